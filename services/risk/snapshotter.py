"""Make one snapshot and end: `python -m services.risk.snapshotter`, asked by a line of JSON on standard input."""

import asyncio
import json
import os
import sys
import threading
import time
from functools import partial
from pathlib import Path

from services.risk.core.snapshot.sealed import seal
from services.risk.replica import JournalBrokenError, Replica
from services.risk.signing import SigningKeyError, load_signing_key
from services.risk.snapshots import restore, sign
from services.risk.store import follow_pages, put_snapshot
from shared.database import UNAVAILABLE, Database

# Whoever decides comes first.
_NICENESS = 10


async def make(database_url: str, key_file: Path | None) -> dict[str, object]:
    """Fold the journal from the last snapshot to its end, and keep the state. Raises JournalBrokenError."""
    started = time.monotonic()
    database = Database(database_url, application_name="risk-snapshotter", pool_size=1)
    try:
        replica = Replica(partial(restore, database, key_file))
        rows = await replica.catch_up(follow_pages(database))
        sealed = sign(seal(replica.state, replica.tip), load_signing_key(key_file) if key_file else None)
        async with database.session() as session:
            await put_snapshot(session, sealed)
    finally:
        await database.dispose()
    seconds = round(time.monotonic() - started, 3)
    return {"seq": sealed.seq, "rows": rows, "bytes": len(sealed.content), "seconds": seconds}


def main() -> int:
    """Answer the one request; return the exit code."""
    request = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.nice(_NICENESS)
    key_file = Path(request["key_file"]) if request["key_file"] else None
    try:
        print(json.dumps(asyncio.run(make(request["database_url"], key_file))))
    except (JournalBrokenError, SigningKeyError, *UNAVAILABLE) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
