"""Begin with the newest snapshot that is sound, and have a new one made now and then.

A snapshot is made by a process of its own, from the journal and not from the engine's memory: it takes no time of the
one who decides, and every one proves once more that the journal gives the state.
"""

import asyncio
import contextlib
import json
import sys
from dataclasses import replace
from pathlib import Path

from services.risk import store
from services.risk.core.chain import Tip
from services.risk.core.snapshot.sealed import Sealed, unseal
from services.risk.core.state import FirmState
from services.risk.engine import Engine
from services.risk.metrics import SNAPSHOT_FAILURES, SNAPSHOT_SEQ
from services.risk.replica import Folded
from services.risk.settings import RiskSettings
from services.risk.signing import SigningKey, SigningKeyError, load_signing_key
from shared.database import UNAVAILABLE, Database
from shared.logging import Category, get_trading_logger

_LOG = get_trading_logger("keelson.risk.snapshots", Category.RISK)
_LOOK_SECONDS = 2.0
_RETRY_SECONDS = 60.0
_ROOT = Path(__file__).resolve().parents[2]


class SnapshotError(Exception):
    """No snapshot could be made."""


def sign(sealed: Sealed, key: SigningKey | None) -> Sealed:
    """Return a snapshot signed, where there is a key."""
    return replace(sealed, signature=key.sign(sealed.message())) if key else sealed


async def restore(database: Database, key_file: Path | None, before: int) -> Folded | None:
    """Return the state of the newest sound snapshot of a row before this one; None where the fold begins at nothing.

    Sound is what is signed by our key, where there is one, is whole, and belongs to the row the journal has there.
    """
    while True:
        async with database.session() as session:
            sealed = await store.find_snapshot(session, before)
            if sealed is None:
                return None
            row_hash = await store.hash_at(session, sealed.seq)
        try:
            state = await asyncio.to_thread(_opened, sealed, row_hash, key_file)
        except (ValueError, SigningKeyError) as error:
            # The journal has everything; it only takes longer.
            SNAPSHOT_FAILURES.inc()
            _LOG.error("a snapshot cannot be used", seq=sealed.seq, reason=str(error))
            before = sealed.seq
            continue
        return Folded(state, Tip(sealed.seq, sealed.row_hash))


def _opened(sealed: Sealed, row_hash: str | None, key_file: Path | None) -> FirmState:
    if row_hash != sealed.row_hash:
        raise ValueError("the journal has another row there" if row_hash else "the journal does not go so far")
    if key_file is not None:
        public = load_signing_key(key_file).public
        if sealed.signature is None or not public.verify(sealed.signature, sealed.message()):
            raise ValueError("our key has not signed it")
    return unseal(sealed)


async def keep_snapshots(settings: RiskSettings, engine: Engine, database: Database) -> None:
    """Have a snapshot made whenever the journal has grown by so many rows and this process leads; for ever."""
    if not settings.risk_snapshot_rows:
        return
    newest: int | None = None
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        try:
            tip = await engine.durable_tip()
            if tip is None:
                newest = None
                continue
            if newest is None:
                async with database.session() as session:
                    newest = await store.newest_snapshot_seq(session)
            if tip.seq - newest >= settings.risk_snapshot_rows:
                newest = await _make(settings)
                SNAPSHOT_SEQ.set(newest)
        except (OSError, SnapshotError, *UNAVAILABLE) as error:
            SNAPSHOT_FAILURES.inc()
            _LOG.error("no snapshot could be made", reason=str(error))
            await asyncio.sleep(_RETRY_SECONDS)
        except Exception:  # whatever it is, decisions go on, and so does this
            SNAPSHOT_FAILURES.inc()
            _LOG.exception("keeping snapshots failed")
            await asyncio.sleep(_RETRY_SECONDS)


async def _make(settings: RiskSettings) -> int:
    """Run the process that makes one; return its row. Raises SnapshotError."""
    key_file = settings.risk_checkpoint_key_file
    request = {
        "database_url": settings.database_url.get_secret_value(),
        "key_file": str(key_file.absolute()) if key_file else None,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.risk.snapshotter", cwd=_ROOT,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    if process.stdin is None or process.stdout is None or process.stderr is None:
        raise SnapshotError("the process has no pipes")
    try:
        # Left open: its end tells the process that this one has ended. The address has a password: no argument is it.
        process.stdin.write(json.dumps(request).encode() + b"\n")
        await process.stdin.drain()
        answer, told = await asyncio.gather(process.stdout.read(), process.stderr.read())
        await process.wait()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode:
        raise SnapshotError(told.decode(errors="replace").strip()[-1_000:] or f"it ended with {process.returncode}")
    made = json.loads(answer)
    _LOG.info("snapshot", **made)
    seq: int = made["seq"]
    return seq
