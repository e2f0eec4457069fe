"""A start from a snapshot is a start from the whole journal, only sooner; a bad snapshot is passed over."""

from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from services.risk.core.snapshot import write
from services.risk.core.state import FirmState
from services.risk.replica import Replica
from services.risk.signing import create_signing_key
from services.risk.snapshots import restore
from services.risk.snapshotter import make
from services.risk.store import follow_pages
from shared.database import Database
from tests.harness import plain
from tests.integration.risk.client import RiskClient, order, until
from tests.integration.risk.conftest import Running

pytestmark = pytest.mark.integration


async def trade(risk: RiskClient, first: int, count: int = 20) -> None:
    for number in range(first, first + count):
        assert (await risk.order(f"o{number}"))["decision"] == "APPROVED"


async def state_of(risk: RiskClient) -> str:
    return str(await risk.app.state.engine.read(_text))


def _text(state: FirmState) -> str:
    return "\n".join(write(state))


def snapshots(url: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(plain(url)) as connection:
        return connection.execute("SELECT seq, format, signature FROM risk.snapshot ORDER BY seq").fetchall()


def change(url: str, statement: str) -> None:
    with psycopg.connect(plain(url), autocommit=True) as connection:
        connection.execute(statement.encode())


async def folded(url: str, key_file: Path | None = None) -> tuple[int, str]:
    """Return how many rows were folded, and the state they gave, from the newest snapshot on."""
    database = Database(url, application_name="test", pool_size=1)
    try:
        replica = Replica(partial(restore, database, key_file))
        rows = await replica.catch_up(follow_pages(database))
        return rows, _text(replica.state)
    finally:
        await database.dispose()


async def test_the_service_has_snapshots_made_and_starts_from_the_newest(run_risk: Running, database_url: str) -> None:
    async with run_risk(risk_snapshot_rows=20) as risk:
        await risk.set_up()
        await trade(risk, 0, 30)

        async def made() -> bool:
            kept = snapshots(database_url)
            metrics = (await risk.http.get("/metrics")).text
            return bool(kept) and f"risk_snapshot_seq {float(kept[-1][0])}" in metrics

        await until(made, 30)
    async with run_risk(risk_snapshot_rows=0) as risk:
        await trade(risk, 30, 5)
        assert (await risk.order("o3"))["decision"] == "APPROVED"
        assert (await risk.call("POST", "/accounts/main/orders", order("o3", quantity="2"))).status_code == 409
        assert (await risk.ok("GET", "/journal/verify"))["ok"]
        rows, found = await folded(database_url)
        assert rows < 20
        assert found == await state_of(risk)
    change(database_url, "TRUNCATE risk.snapshot")
    rows, whole = await folded(database_url)
    assert rows > 35
    assert whole == found


async def test_three_are_kept_and_one_of_the_same_row_is_replaced(run_risk: Running, database_url: str) -> None:
    async with run_risk(risk_snapshot_rows=0) as risk:
        await risk.set_up()
        for number in range(5):
            await trade(risk, number, 1)
            made = [await make(database_url, None) for _ in range(2)]
            assert made[0]["seq"] == made[1]["seq"]
        assert len(snapshots(database_url)) == 3
        explained = await risk.ok("GET", "/accounts/main/decisions/o4/explain")
        assert explained["agrees"]


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE risk.snapshot SET content = substr(content, 2) WHERE seq = (SELECT max(seq) FROM risk.snapshot)",
        "UPDATE risk.snapshot SET content = '\\x00' WHERE seq = (SELECT max(seq) FROM risk.snapshot)",
        "UPDATE risk.snapshot SET digest = 'x' WHERE seq = (SELECT max(seq) FROM risk.snapshot)",
        "UPDATE risk.snapshot SET format = 0 WHERE seq = (SELECT max(seq) FROM risk.snapshot)",
        "UPDATE risk.snapshot SET row_hash = 'x' WHERE seq = (SELECT max(seq) FROM risk.snapshot)",
        # As after an old backup of the journal was put back.
        "UPDATE risk.snapshot SET seq = 1000000 WHERE seq = (SELECT max(seq) FROM risk.snapshot)",
        "UPDATE risk.snapshot SET format = 0",
    ],
)
async def test_a_bad_snapshot_is_passed_over_and_nothing_is_lost(
    run_risk: Running, database_url: str, damage: str
) -> None:
    async with run_risk(risk_snapshot_rows=0) as risk:
        await risk.set_up()
        await trade(risk, 0, 3)
        await make(database_url, None)
        await trade(risk, 3, 3)
        await make(database_url, None)
        await trade(risk, 6, 3)
        before = await state_of(risk)
    change(database_url, damage)
    _, found = await folded(database_url)
    assert found == before
    async with run_risk() as risk:
        assert (await risk.ok("GET", "/accounts/main"))["open_orders"] == 9
        await trade(risk, 9, 1)


async def test_with_a_key_only_what_it_signed_is_believed(run_risk: Running, database_url: str, tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours.pem", tmp_path / "theirs.pem"
    create_signing_key(ours)
    create_signing_key(theirs)
    async with run_risk(risk_snapshot_rows=0) as risk:
        await risk.set_up()
        await trade(risk, 0, 3)
        await make(database_url, ours)
        rows, believed = await folded(database_url, ours)
        assert rows == 0
        for key in (None, theirs):
            change(database_url, "TRUNCATE risk.snapshot")
            await make(database_url, key)
            rows, found = await folded(database_url, ours)
            assert rows > 3
            assert found == believed
