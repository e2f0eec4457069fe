"""The file of checkpoints, its key, and the task that writes it."""

import asyncio
import os
import stat
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from unittest.mock import patch

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from prometheus_client import REGISTRY

from services.risk.checkpoint_file import BrokenError, CheckpointFile
from services.risk.checkpoints import CheckpointKeeper, keep_checkpoints
from services.risk.core.chain import Row
from services.risk.core.checkpoints import Checkpoint, DurableTip
from services.risk.settings import RiskSettings
from services.risk.signing import SigningKeyError, create_signing_key, load_public_key, load_signing_key
from shared.clock import ManualClock
from tests.unit.risk.checkpoint_samples import START, checkpoints, journal, tip_of, write_file

pytestmark = pytest.mark.unit
ROWS = journal(40)


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    create_signing_key(path)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "checkpoints.jsonl"


@pytest.fixture
def opened(path: Path, key_file: Path) -> CheckpointFile:
    return CheckpointFile(path, key_file)


def grow(file: CheckpointFile, *seqs: int) -> Checkpoint:
    for seq in seqs:
        made = file.append(file.read(), tip_of(ROWS[seq - 1]), START)
    return made


class TestKeys:
    def test_a_key_is_its_owners_alone_and_never_replaced(self, key_file: Path) -> None:
        assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
        before = key_file.read_bytes()
        with pytest.raises(FileExistsError):
            create_signing_key(key_file)
        assert key_file.read_bytes() == before

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o666, 0o601])
    def test_a_key_others_may_use_is_refused(self, key_file: Path, mode: int) -> None:
        key_file.chmod(mode)
        with pytest.raises(SigningKeyError, match="must be 0600"):
            load_signing_key(key_file)

    def test_raw_and_pem_are_the_same_key(self, tmp_path: Path) -> None:
        key = Ed25519PrivateKey.generate()
        raw, pem, public = tmp_path / "raw", tmp_path / "pem", tmp_path / "public"
        raw.write_bytes(key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption()))
        pem.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        public.write_bytes(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))
        for private in (raw, pem):
            private.chmod(0o600)
            loaded = load_signing_key(private)
            assert loaded.public.verify(loaded.sign(b"x"), b"x")
            assert not loaded.public.verify(loaded.sign(b"x"), b"y")
            assert loaded.key_id == load_public_key(public).key_id

    def test_what_is_no_ed25519_key_is_refused_and_not_shown(self, tmp_path: Path) -> None:
        path = tmp_path / "key"
        ecdsa = generate_private_key(SECP256R1())
        secret = b"hunter2hunter2hunter2"
        for content in (
            b"",
            secret,
            b"\x00" * 31,
            ecdsa.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
            ecdsa.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        ):
            path.write_bytes(content)
            path.chmod(0o600)
            for load in (load_signing_key, load_public_key):
                with pytest.raises(SigningKeyError) as raised:
                    load(path)
                assert "hunter2" not in str(raised.value)
        with pytest.raises(SigningKeyError, match="cannot be read"):
            load_signing_key(tmp_path / "none")


class TestFile:
    def test_it_is_made_private_and_read_again(self, opened: CheckpointFile, path: Path, key_file: Path) -> None:
        old = os.umask(0)
        try:
            assert opened.read() is None
        finally:
            os.umask(old)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        newest = grow(opened, 3, 8, 20)
        assert (newest.number, newest.journal_seq) == (3, 20)
        assert CheckpointFile(path, key_file).read() == newest
        assert grow(CheckpointFile(path, key_file), 21).number == 4
        assert len(path.read_bytes().splitlines()) == 4
        assert (last := opened.read()) is not None
        assert last.number == 4

    @pytest.mark.parametrize("kept", [1, 100, -2])
    def test_a_torn_last_line_is_ignored_and_then_dropped(
        self, opened: CheckpointFile, path: Path, key_file: Path, kept: int
    ) -> None:
        grow(opened, 3, 8)
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(lines[0] + lines[1][:kept])
        again = CheckpointFile(path, key_file)
        last = again.read()
        assert last is not None
        assert last.number == 1
        assert path.read_bytes() == lines[0] + lines[1][:kept]
        assert grow(again, 9).number == 2
        assert CheckpointFile(path, key_file).read() == again.read()

    def test_a_whole_line_that_lacks_its_end_is_kept(self, opened: CheckpointFile, path: Path, key_file: Path) -> None:
        newest = grow(opened, 3, 8)
        whole = path.read_bytes()
        path.write_bytes(whole[:-1])
        again = CheckpointFile(path, key_file)
        assert again.read() == newest
        assert path.read_bytes() == whole

    def test_a_line_torn_in_the_middle_is_found(self, opened: CheckpointFile, path: Path, key_file: Path) -> None:
        grow(opened, 3, 8, 9)
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(lines[0] + lines[1][:50] + b"\n" + lines[2])
        with pytest.raises(BrokenError, match="altered checkpoint: checkpoint 2"):
            CheckpointFile(path, key_file).read()
        path.write_bytes(lines[0] + lines[1][:50] + lines[2])
        with pytest.raises(BrokenError, match="altered checkpoint: checkpoint 2"):
            CheckpointFile(path, key_file).read()

    def test_a_file_of_another_key_is_refused(self, path: Path, key_file: Path) -> None:
        write_file(path, checkpoints(ROWS, [3, 8]))
        with pytest.raises(BrokenError, match="unknown key"):
            CheckpointFile(path, key_file).read()

    def test_a_key_that_changes_does_not_sign_on(self, opened: CheckpointFile, key_file: Path) -> None:
        last = grow(opened, 3)
        key_file.unlink()
        create_signing_key(key_file)
        with pytest.raises(BrokenError, match="the key is"):
            opened.append(last, tip_of(ROWS[5]), START)

    def test_what_vanishes_while_the_process_runs_is_missed(self, opened: CheckpointFile, path: Path) -> None:
        grow(opened, 3, 8, 9)
        lines = path.read_bytes().splitlines(keepends=True)
        for content in (b"".join(lines[:2]), b""):
            path.write_bytes(content)
            for _ in range(2):
                with pytest.raises(BrokenError, match="missing checkpoint"):
                    opened.read()
        path.unlink()
        with pytest.raises(BrokenError, match="checkpoints 1 to 3 were there"):
            opened.read()
        path.write_bytes(b"".join(lines))
        assert (found := opened.read()) is not None
        assert found.number == 3

    def test_a_forked_file_is_found(self, opened: CheckpointFile, path: Path, key_file: Path) -> None:
        grow(opened, 3, 8)
        path.unlink()
        grow(CheckpointFile(path, key_file), 4, 9, 10)
        for _ in range(2):
            with pytest.raises(BrokenError, match="altered checkpoint"):
                opened.read()

    def test_two_writers_do_not_mix(self, opened: CheckpointFile, path: Path, key_file: Path) -> None:
        last = grow(opened, 3)
        grow(CheckpointFile(path, key_file), 8)
        with pytest.raises(BrokenError, match="another process"):
            opened.append(last, tip_of(ROWS[8]), START)
        assert grow(opened, 9).number == 3

    @pytest.mark.parametrize("written", [0, 100])
    def test_a_full_disk_leaves_what_was_there(self, opened: CheckpointFile, path: Path, written: int) -> None:
        grow(opened, 3)
        before = path.read_bytes()
        real = os.write

        def full(descriptor: int, data: bytes) -> int:
            if not written:
                raise OSError(28, "No space left on device")
            return real(descriptor, data[:written])

        with patch("services.risk.checkpoint_file.os.write", full), pytest.raises(OSError, match=r"space|part"):
            grow(opened, 8)
        assert path.read_bytes() == before
        assert grow(opened, 8).number == 2

    def test_a_disk_that_fails_to_sync_leaves_what_was_there(self, opened: CheckpointFile, path: Path) -> None:
        grow(opened, 3)
        before = path.read_bytes()
        with (
            patch("services.risk.checkpoint_file.os.fsync", side_effect=OSError(5, "I/O error")),
            pytest.raises(OSError, match="I/O"),
        ):
            grow(opened, 8)
        assert path.read_bytes() == before


def metric(name: str) -> float:
    return REGISTRY.get_sample_value(name) or 0.0


class Journal:
    """What a keeper asks, told by a test."""

    def __init__(self) -> None:
        self.rows: list[Row] = list(ROWS[:5])
        self.leads = True
        self.clock = ManualClock(START)

    async def tip(self) -> DurableTip | None:
        if not self.leads:
            return None
        return tip_of(self.rows[-1]) if self.rows else DurableTip(0, "0" * 64, 1)

    async def hash_at(self, seq: int) -> str | None:
        return next((row.hash for row in self.rows if row.seq == seq), None)

    def keeper(self, file: CheckpointFile, rows: int = 10, seconds: float = 60) -> CheckpointKeeper:
        return CheckpointKeeper(file, self.tip, self.hash_at, self.clock, rows=rows, seconds=seconds)


class TestKeeper:
    async def test_it_signs_when_due_and_only_then(self, opened: CheckpointFile) -> None:
        held = Journal()
        keeper = held.keeper(opened)

        async def signed() -> int:
            assert await keeper.look()
            last = opened.read()
            return last.journal_seq if last else 0

        assert await signed() == 5
        held.rows = ROWS[:14]
        assert await signed() == 5
        held.rows = ROWS[:15]
        assert await signed() == 15
        held.clock.advance(timedelta(seconds=60))
        assert await signed() == 15, "nothing new"
        held.rows = ROWS[:16]
        assert await signed() == 16
        assert metric("risk_checkpoint_seq") == 16

    async def test_who_does_not_lead_writes_nothing(self, opened: CheckpointFile, path: Path) -> None:
        held = Journal()
        held.leads = False
        assert await held.keeper(opened).look()
        assert not path.exists()
        held.leads, held.rows = True, []
        assert await held.keeper(opened).look()
        assert path.read_bytes() == b""

    @pytest.mark.parametrize(
        ("rows", "words"),
        [(ROWS[:5], "old backup"), (journal(30, "rewritten"), "rewritten"), ([], "old backup")],
    )
    async def test_it_refuses_a_journal_that_is_not_what_was_signed_until_it_is_again(
        self,
        opened: CheckpointFile,
        path: Path,
        key_file: Path,
        rows: list[Row],
        words: str,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        grow(opened, 8)
        before = path.read_bytes()
        held = Journal()
        held.rows = rows
        keeper = held.keeper(CheckpointFile(path, key_file))
        for _ in range(3):
            assert not await keeper.look()
        assert metric("risk_checkpoint_broken") == 1
        assert path.read_bytes() == before
        assert [record.levelname for record in caplog.records].count("ERROR") == 1, "said once"
        held.rows = ROWS[:30]
        assert await keeper.look()
        assert metric("risk_checkpoint_broken") == 0
        assert len(path.read_bytes().splitlines()) == 2

    async def test_a_journal_rewritten_under_a_leader_is_not_signed(self, opened: CheckpointFile, path: Path) -> None:
        held = Journal()
        keeper = held.keeper(opened, rows=1)
        assert await keeper.look()
        held.rows = journal(5, "rewritten")
        held.rows += journal(5, after=ROWS[:5])[5:]
        assert not await keeper.look()
        assert len(path.read_bytes().splitlines()) == 1

    @pytest.mark.parametrize("fault", ["folder in place of the file", "no folder", "no key", "open key"])
    async def test_it_counts_what_cannot_be_written_and_goes_on(
        self, tmp_path: Path, path: Path, key_file: Path, fault: str
    ) -> None:
        held = Journal()
        target, repair = path, lambda: None
        if fault == "folder in place of the file":
            path.mkdir()
            repair = path.rmdir
        elif fault == "no folder":
            target = tmp_path / "no" / "file"
            repair = (tmp_path / "no").mkdir
        elif fault == "no key":
            key_file.rename(tmp_path / "away")
            repair = lambda: (tmp_path / "away").rename(key_file)  # type: ignore[assignment,return-value] # noqa: E731
        else:
            key_file.chmod(0o644)
            repair = lambda: key_file.chmod(0o600)  # noqa: E731
        keeper = held.keeper(CheckpointFile(target, key_file))
        before = metric("risk_checkpoint_failures_total")
        assert not await keeper.look()
        assert not await keeper.look()
        assert metric("risk_checkpoint_failures_total") == before + 2
        repair()
        assert await keeper.look()
        assert len(target.read_bytes().splitlines()) == 1

    async def test_any_failure_of_what_it_asks_is_survived(self, opened: CheckpointFile) -> None:
        held = Journal()

        async def fails(seq: int) -> str | None:
            raise RuntimeError(str(seq))

        keeper = CheckpointKeeper(opened, held.tip, fails, held.clock, rows=1, seconds=1)
        assert not await keeper.look()

    async def test_a_slow_disk_does_not_hold_the_event_loop(self, opened: CheckpointFile) -> None:
        held, ticks = Journal(), 0
        real = os.fsync

        def slow(descriptor: int) -> None:
            import time

            time.sleep(0.3)
            real(descriptor)

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        task = asyncio.create_task(tick())
        with patch("services.risk.checkpoint_file.os.fsync", slow):
            assert await held.keeper(opened).look()
        task.cancel()
        assert ticks > 10

    async def test_a_stop_signs_the_rest(self, opened: CheckpointFile) -> None:
        held = Journal()
        task = asyncio.create_task(held.keeper(opened, rows=1000, seconds=60).keep())
        while opened.read() is None:
            await asyncio.sleep(0.01)
        held.rows = ROWS[:7]
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        last = opened.read()
        assert last is not None
        assert last.journal_seq == 7

    async def test_settings_decide(
        self, path: Path, key_file: Path, settings: Callable[..., RiskSettings], caplog: pytest.LogCaptureFixture
    ) -> None:
        held = Journal()
        await keep_checkpoints(settings(), held.tip, held.hash_at, held.clock)
        assert "no checkpoints" in caplog.text
        named = settings(risk_checkpoint_file=path, risk_checkpoint_key_file=key_file, risk_checkpoint_seconds=0.02)
        task = asyncio.create_task(keep_checkpoints(named, held.tip, held.hash_at, held.clock))
        async with asyncio.timeout(10):
            while not path.exists() or not path.read_bytes():
                await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()

    def test_a_file_needs_a_key_and_a_key_a_file(self, settings: Callable[..., RiskSettings], path: Path) -> None:
        for name in ("risk_checkpoint_file", "risk_checkpoint_key_file"):
            with pytest.raises(ValueError, match="need each other"):
                settings(**{name: path})


@pytest.fixture
def settings() -> Callable[..., RiskSettings]:
    def make(**values: object) -> RiskSettings:
        urls = {"database_url": "postgresql://127.0.0.1:1/none", "redis_url": "redis://127.0.0.1:1/0"}
        return RiskSettings.model_validate({**urls, **values})

    return make
