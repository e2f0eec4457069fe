"""Checkpoints against a journal in a real PostgreSQL, attacked by whoever owns the database."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import Result
from prometheus_client import REGISTRY
from typer.testing import CliRunner

from cli.main import app
from services.risk.checkpoint_file import CheckpointFile
from services.risk.checkpoints import CheckpointKeeper, journal_hashes
from services.risk.core.chain import Row
from services.risk.core.checkpoints import DurableTip
from services.risk.signing import create_signing_key
from shared.clock import SystemClock
from shared.database import Database
from tests.harness import plain
from tests.integration.risk.client import RiskClient
from tests.integration.risk.conftest import Running
from tests.unit.risk.checkpoint_samples import journal, rehashed, tip_of

pytestmark = pytest.mark.integration

ROWS = journal(40)
COLUMNS = "seq, ts, epoch, account_id, kind, body, prev_hash, hash"


class Attacked:
    """A journal, its checkpoints, and everything an owner of the database may do."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.path, self.key, self.public = folder / "checkpoints.jsonl", folder / "key", folder / "key.pub"
        self.export = folder / "export.jsonl"
        self.public.write_text(create_signing_key(self.key).pem())
        self.file = CheckpointFile(self.path, self.key)

    def sql(self, *statements: str) -> None:
        with psycopg.connect(plain(self.url)) as connection:
            connection.execute("ALTER TABLE risk.journal DISABLE TRIGGER append_only")
            for statement in statements:
                connection.execute(statement.encode())

    def write(self, rows: Sequence[Row]) -> None:
        """Put rows where the journal is, whole, as a restore would."""
        self.sql("DELETE FROM risk.journal")
        with psycopg.connect(plain(self.url)) as connection, connection.cursor() as cursor:
            insert = f"INSERT INTO risk.journal ({COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"
            cursor.executemany(insert.encode(), rows)
            cursor.execute("UPDATE risk.leader SET last_seq = %s", (len(rows),))

    def sign(self, *seqs: int) -> None:
        for seq in seqs:
            self.file.append(self.file.read(), tip_of(ROWS[seq - 1]), SystemClock().now())

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(app, ["journal", *arguments])

    def verify(self, *more: str, export: bool = False) -> Result:
        where = ["--export", str(self.export)] if export else ["--database", self.url]
        proof = ["--checkpoints", str(self.path), "--public-key", str(self.public)]
        return self.run("verify", *where, *proof, *more)

    def finds(self, *words: str, export: bool = False) -> None:
        done = self.verify(export=export)
        assert done.exit_code == 1, done.output
        for word in words:
            assert word in done.output


@pytest.fixture
def attacked(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Attacked:
    monkeypatch.setenv("KEELSON_VAR", str(tmp_path / "var"))
    for name in ("TRADING_DATABASE_URL", "TRADING_RISK_CHECKPOINT_FILE", "TRADING_RISK_CHECKPOINT_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)
    found = Attacked(database_url, tmp_path)
    found.write(ROWS)
    found.sign(10, 20, 30)
    return found


def test_a_sound_journal_is_proved_from_the_database_and_from_an_export(attacked: Attacked) -> None:
    done = attacked.verify()
    assert done.exit_code == 0, done.output
    assert "40 rows" in done.output
    assert "signed up to row 30" in done.output
    assert attacked.run("export", "--database", attacked.url, "--file", str(attacked.export)).exit_code == 0
    assert attacked.verify(export=True).exit_code == 0


def test_a_full_rewrite_with_every_hash_recomputed_is_found(attacked: Attacked) -> None:
    attacked.write(rehashed(ROWS, 12, body='{"flavour":"forged"}'))
    attacked.finds("journal rewritten: journal row 20", "up to row 10")
    attacked.write(journal(40, "another history"))
    attacked.finds("journal rewritten: journal row 10")


def test_a_cut_tail_is_found(attacked: Attacked) -> None:
    attacked.sql("DELETE FROM risk.journal WHERE seq > 25")
    attacked.finds("journal cut: journal row 26", "after row 25")
    attacked.sql("UPDATE risk.leader SET last_seq = 25")
    attacked.finds("old backup: journal row 26", "checkpoint 3")


def test_an_old_backup_is_found_also_after_it_was_written_on(attacked: Attacked) -> None:
    attacked.write(ROWS[:15])
    attacked.finds("old backup: journal row 16")
    attacked.write(journal(30, "the day after", after=ROWS[:15]))
    attacked.finds("journal rewritten: journal row 20", "up to row 10")


@pytest.mark.parametrize(
    ("statement", "row"),
    [
        ("UPDATE risk.journal SET body = body || ' ' WHERE seq = 7", 7),
        ("UPDATE risk.journal SET ts = 'infinity' WHERE seq = 7", 7),
        ("UPDATE risk.journal SET ts = '-infinity' WHERE seq = 40", 40),
        ("ALTER TABLE risk.journal ALTER hash DROP NOT NULL; UPDATE risk.journal SET hash = NULL WHERE seq = 7", 7),
        ("ALTER TABLE risk.journal ALTER ts DROP NOT NULL; UPDATE risk.journal SET ts = NULL WHERE seq = 1", 1),
        ("ALTER TABLE risk.journal ALTER ts TYPE timestamp", 1),
        ("ALTER TABLE risk.journal ALTER epoch TYPE numeric", 1),
        ("DELETE FROM risk.journal WHERE seq = 6", 7),
        ("DELETE FROM risk.journal WHERE seq < 6", 6),
        ("UPDATE risk.journal SET seq = 100 WHERE seq = 40", 100),
    ],
)
def test_a_damaged_row_is_named(attacked: Attacked, statement: str, row: int) -> None:
    attacked.sql(*statement.split("; "))
    attacked.finds(f"journal broken: journal row {row}:")


def test_damaged_checkpoints_are_named_and_the_journal_is_read_all_the_same(attacked: Attacked) -> None:
    whole = attacked.path.read_bytes()
    lines = whole.splitlines(keepends=True)
    attacked.path.write_bytes(whole.replace(b'"journal_seq":20', b'"journal_seq":21'))
    attacked.finds("altered checkpoint: checkpoint 2")
    attacked.path.write_bytes(lines[0] + lines[2])
    attacked.finds("missing checkpoint: checkpoint 2")
    attacked.path.write_bytes(b"")
    attacked.finds("missing checkpoint: checkpoint 1")
    attacked.path.write_bytes(lines[0] + lines[1][:40] + b"\n" + lines[2])
    attacked.sql("UPDATE risk.journal SET kind = 'x' WHERE seq = 3")
    attacked.finds("altered checkpoint: checkpoint 2", "journal broken: journal row 3")


def test_a_torn_last_line_is_told_and_ignored_and_a_known_end_is_held_to(attacked: Attacked) -> None:
    whole = attacked.path.read_bytes()
    attacked.path.write_bytes(whole[:-20])
    done = attacked.verify()
    assert done.exit_code == 0, done.output
    assert "torn" in done.output
    assert "signed up to row 20" in done.output
    held = attacked.verify("--newest", "3")
    assert held.exit_code == 1
    assert "missing checkpoint: checkpoint 3" in held.output


def test_another_key_is_named(attacked: Attacked, tmp_path: Path) -> None:
    other = tmp_path / "other.pub"
    other.write_text(create_signing_key(tmp_path / "other").pem())
    proof = ["--checkpoints", str(attacked.path), "--database", attacked.url]
    done = attacked.run("verify", *proof, "--public-key", str(other))
    assert done.exit_code == 1
    assert "unknown key: checkpoint 1" in done.output
    assert (
        attacked.run("verify", *proof, "--public-key", str(other), "--public-key", str(attacked.public)).exit_code == 0
    )


@pytest.mark.parametrize(
    "change",
    [
        {"--database": "postgresql://127.0.0.1:1/none"},
        {"--database": "mysql://x"},
        {"--checkpoints": "/nowhere"},
        {"--public-key": "/nowhere"},
        {"--public-key": __file__},
    ],
)
def test_what_cannot_run_ends_with_2_and_no_traceback(attacked: Attacked, change: dict[str, str]) -> None:
    values = {"--database": attacked.url, "--checkpoints": str(attacked.path), "--public-key": str(attacked.public)}
    done = attacked.run("verify", *(part for pair in {**values, **change}.items() for part in pair))
    assert done.exit_code == 2, done.output
    assert "Traceback" not in done.output


def test_a_database_without_the_journal_cannot_be_verified(attacked: Attacked) -> None:
    attacked.sql("DROP TABLE risk.journal")
    assert attacked.verify().exit_code == 2


class TestExport:
    def test_it_is_carried_on_where_it_ended_and_after_a_torn_line(self, attacked: Attacked) -> None:
        attacked.write(ROWS[:15])
        export = ["export", "--database", attacked.url, "--file", str(attacked.export)]
        assert "rows 1 to 15" in attacked.run(*export).output
        assert attacked.export.stat().st_mode & 0o777 == 0o600
        attacked.export.write_bytes(attacked.export.read_bytes()[:-10])
        attacked.write(ROWS)
        assert "rows 15 to 40" in attacked.run(*export).output
        assert "nothing after row 40" in attacked.run(*export).output
        assert attacked.verify(export=True).exit_code == 0

    def test_it_can_begin_later_and_be_read_in_parts(self, attacked: Attacked, tmp_path: Path) -> None:
        first, second = tmp_path / "first", tmp_path / "second"
        attacked.write(ROWS[:15])
        attacked.run("export", "--database", attacked.url, "--file", str(first))
        attacked.write(ROWS)
        begun = ["export", "--database", attacked.url, "--after", "15", "--file"]
        assert "rows 16 to 40" in attacked.run(*begun, str(second)).output
        assert attacked.run(*begun, str(second)).exit_code == 1
        proof = ["--checkpoints", str(attacked.path), "--public-key", str(attacked.public)]
        assert attacked.run("verify", "--export", str(first), "--export", str(second), *proof).exit_code == 0
        alone = attacked.run("verify", "--export", str(second), *proof)
        assert alone.exit_code == 1
        assert "rows 1 to 15 are missing" in alone.output

    def test_any_damage_to_it_is_found(self, attacked: Attacked) -> None:
        attacked.run("export", "--database", attacked.url, "--file", str(attacked.export))
        lines = attacked.export.read_bytes().splitlines(keepends=True)
        for changed, words in (
            (lines[4].replace(b'"kind"', b' "kind"'), "journal broken: journal row 5"),
            (lines[4].replace(b"ORDER_APPROVED", b"ORDER_DENIED"), "journal broken: journal row 5"),
            (lines[4][:30] + b"\n", "journal broken: journal row 5"),
            (b"\n", "journal broken: journal row 5"),
            (b"", "journal broken: journal row 6"),
        ):
            attacked.export.write_bytes(b"".join([*lines[:4], changed, *lines[5:]]))
            attacked.finds(words, export=True)
        attacked.export.write_bytes(b"".join(lines[:25]))
        attacked.finds("journal cut: journal row 26", export=True)
        attacked.export.write_bytes(b"".join(lines)[:-1])
        attacked.finds("journal broken: journal row 40", export=True)

    def test_a_file_that_is_none_is_left_alone(self, attacked: Attacked, tmp_path: Path) -> None:
        other = tmp_path / "notes"
        other.write_text("dear diary\n")
        done = attacked.run("export", "--database", attacked.url, "--file", str(other))
        assert done.exit_code == 1
        assert other.read_text() == "dear diary\n"


async def newest(url: str) -> DurableTip | None:
    """Return the tip as the engine would, had it led all along."""
    async with await psycopg.AsyncConnection.connect(plain(url)) as connection:
        found = await connection.execute("SELECT seq, hash, epoch FROM risk.journal ORDER BY seq DESC LIMIT 1")
        row: Any = await found.fetchone()
        return DurableTip(*row) if row else None


class TestWriter:
    @pytest.fixture
    def keeper(self, attacked: Attacked) -> Callable[[Database], CheckpointKeeper]:
        def make(database: Database) -> CheckpointKeeper:
            async def tip() -> DurableTip | None:
                return await newest(attacked.url)

            return CheckpointKeeper(attacked.file, tip, journal_hashes(database), SystemClock(), rows=1, seconds=0.05)

        return make

    async def test_it_signs_what_is_written_and_stops_at_what_is_rewritten(
        self, attacked: Attacked, keeper: Callable[[Database], CheckpointKeeper]
    ) -> None:
        database = Database(attacked.url, application_name="test", pool_size=1)
        looking = keeper(database)
        assert await looking.look()
        done = await asyncio.to_thread(attacked.verify)
        assert "signed up to row 40, by checkpoint 4" in done.output
        attacked.write(rehashed([*ROWS, *journal(1, after=ROWS)[40:]], 35, body="{}"))
        before = attacked.path.read_bytes()
        assert not await looking.look()
        assert REGISTRY.get_sample_value("risk_checkpoint_broken") == 1
        assert attacked.path.read_bytes() == before
        attacked.write(ROWS[:35])
        assert not await looking.look()
        attacked.write(journal(41))
        assert await looking.look()
        assert REGISTRY.get_sample_value("risk_checkpoint_broken") == 0
        await database.dispose()

    async def test_it_survives_a_file_and_a_database_that_are_away(
        self, attacked: Attacked, keeper: Callable[[Database], CheckpointKeeper]
    ) -> None:
        away = attacked.path.with_name("away")
        attacked.path.rename(away)
        attacked.path.mkdir()
        database = Database(attacked.url, application_name="test", pool_size=1)
        looking = keeper(database)
        assert not await looking.look()
        attacked.path.rmdir()
        away.rename(attacked.path)
        assert await looking.look()
        nowhere = Database("postgresql+psycopg://127.0.0.1:1/none", application_name="test", pool_size=1)
        assert not await keeper(nowhere).look()
        await database.dispose()
        await nowhere.dispose()


async def test_what_the_service_journals_is_proved(
    run_risk: Running, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEELSON_VAR", str(tmp_path / "var"))
    own = Attacked(database_url, tmp_path)
    async with run_risk() as risk:
        assert isinstance(risk, RiskClient)
        await risk.set_up()
        await risk.order("o1")
    tip = await newest(database_url)
    assert tip is not None
    own.file.append(None, tip, SystemClock().now())
    done = await asyncio.to_thread(own.verify)
    assert done.exit_code == 0, done.output
    assert f"signed up to row {tip.seq}" in done.output


async def test_the_running_service_signs_its_journal_and_a_cut_of_it_is_found(
    attacked: Attacked, run_risk: Running
) -> None:
    attacked.sql("DELETE FROM risk.journal", "UPDATE risk.leader SET last_seq = 0")
    attacked.path.unlink()
    where = {"risk_checkpoint_file": attacked.path, "risk_checkpoint_key_file": attacked.key}
    async with run_risk(**where, risk_checkpoint_rows=5, risk_checkpoint_seconds=1) as risk:
        await risk.set_up()
        for number in range(12):
            await risk.order(f"o{number}")
        last = (await risk.ok("GET", "/journal?limit=5000"))["last_seq"]
    # Stopped in order, it has signed the last row.
    done = await asyncio.to_thread(attacked.verify)
    assert done.exit_code == 0, done.output
    assert f"signed up to row {last}" in done.output
    attacked.sql(f"DELETE FROM risk.journal WHERE seq = {last}", f"UPDATE risk.leader SET last_seq = {last - 1}")
    await asyncio.to_thread(attacked.finds, "old backup")
