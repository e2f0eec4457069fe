"""Issues over the API: one for as long as it is found again, and what history says of the present."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from services.marketdata.settings import MarketdataSettings
from tests.conftest import MakeSettings
from tests.harness import Tokens
from tests.integration.marketdata.client import BASE, START, Client, bar, batch, client_of, state

pytestmark = pytest.mark.integration


@pytest.fixture
async def client(make_settings: MakeSettings, tokens: Tokens) -> AsyncIterator[Client]:
    async with client_of(make_settings(MarketdataSettings), tokens) as found:
        yield found


async def test_an_issue_that_persists_is_one_with_count_and_duration(client: Client) -> None:
    bad = {"high": "1"}
    live = {"simulation_id": None}
    start = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=10)
    bar = partial(bar_since, start)
    await client.post("/bars", batch(bar(0, **bad), bar(1, **bad), bar(2), **live))
    await client.post("/bars", batch(bar(3, **bad), **live))
    (issue,) = (await client.get("/quality/issues?code=ohlc_bounds"))["items"]
    assert (issue["count"], issue["severity"], issue["symbol"], issue["source"]) == (3, "critical", "X", "test")
    assert (issue["subject"], issue["ended_at"]) == ("bar", None)
    found = [datetime.fromisoformat(issue[name]) for name in ("first_ts", "last_ts")]
    assert found == [start, start + timedelta(minutes=3)]
    report = await client.get("/quality/report")
    assert (report["status"], report["open_issues"], report["critical_last_hour"]) == ("critical", 1, 1)
    assert (report["rows"], report["critical_rows"]) == (4, 3)
    # Another symbol's rows say nothing of this one's.
    await client.post("/bars", batch(bar(4, symbol="Y"), **live))
    assert (await client.get("/quality/issues?open=true"))["items"][0]["code"] == "ohlc_bounds"
    await client.post("/bars", batch(bar(4), **live))
    (ended,) = (await client.get("/quality/issues?open=false"))["items"]
    assert ended["issue_id"] == issue["issue_id"]
    assert ended["duration_seconds"] > 0
    await client.post("/bars", batch(bar(5, **bad), **live))
    both = (await client.get("/quality/issues?symbol=X"))["items"]
    assert [found["ended_at"] is None for found in both] == [True, False]
    assert (await client.get("/quality/report"))["status"] == "critical"


async def test_rows_that_come_again_count_no_issue_and_end_none(client: Client) -> None:
    async def known() -> list[tuple[int, bool]]:
        found = (await client.get("/quality/issues?simulation_id=s1&code=ohlc_bounds"))["items"]
        return [(issue["count"], issue["ended_at"] is None) for issue in found]

    bad, good = [bar(0, high="1"), bar(1), bar(2, high="1")], [bar(3)]
    for _ in range(2):
        told = await client.post("/bars", batch(*bad))
        # Who sends them is told what they are all the same.
        assert [verdict["index"] for verdict in told["verdicts"]] == [0, 2]
        assert await known() == [(2, True)]
    await client.post("/bars", batch(bar(1)))
    assert await known() == [(2, True)]
    # Of what comes beside them the new row alone counts.
    await client.post("/bars", batch(*bad, bar(4, high="1")))
    assert await known() == [(3, True)]
    await client.post("/bars", batch(*bad, *good))
    for again in ([*bad, bar(4, high="1")], good):
        await client.post("/bars", batch(*again))
        assert await known() == [(3, False)]
    # Corrected it is new, and found again as bad as it was.
    await client.post("/bars", batch(bar(0, high="2")))
    assert await known() == [(1, True), (3, False)]


async def test_states_that_come_again_count_no_issue_and_end_none(client: Client) -> None:
    async def known() -> list[tuple[int, bool]]:
        found = (await client.get("/quality/issues?simulation_id=s1&code=spot_zero"))["items"]
        return [(issue["count"], issue["ended_at"] is None) for issue in found]

    body = {"source": "test", "simulation_id": "s1"}
    bad, good = state(0, spot_price="0", spot_prices=["0", "100"]), state(1)
    for count in (1, 1):
        await client.post("/market-states", {**body, "states": [bad]})
        assert await known() == [(count, True)]
    await client.post("/market-states", {**body, "states": [bad, good]})
    for again in (bad, good):
        await client.post("/market-states", {**body, "states": [again]})
        assert await known() == [(1, False)]


def bar_since(start: datetime, minute: int, symbol: str = "X", **changes: Any) -> dict[str, Any]:
    return bar(0, symbol=symbol, ts=(start + timedelta(minutes=minute)).isoformat(), **changes)


async def test_what_is_wrong_with_history_does_not_stand(client: Client) -> None:
    old = {"simulation_id": None}
    # A file in two batches, of which the one between says nothing of the fault, and the same file again.
    for rows in ((bar(0, high="1"), bar(1)), (bar(2),), (bar(3, high="1"), bar(4, high="1"))):
        await client.post("/bars", batch(*rows, **old))
    (issue,) = (await client.get("/quality/issues"))["items"]
    assert (issue["code"], issue["severity"], issue["count"]) == ("ohlc_bounds", "critical", 3)
    assert (issue["first_ts"], issue["last_ts"]) == ("2024-01-02T00:00:00Z", "2024-01-02T00:04:00Z")
    assert issue["ended_at"] == issue["last_seen"] > issue["first_seen"]
    report = await client.get("/quality/report")
    assert (report["status"], report["open_issues"], report["critical_last_hour"]) == ("ok", 0, 1)
    assert report["critical_rows"] == 3
    # States too.
    answer = await client.post("/market-states", {"source": "test", "states": [state(0, spot_price=None)]})
    assert answer["flagged"] == 1
    found = await client.all("/quality/issues?code=required_field_missing")
    assert [each["ended_at"] is None for each in found] == [False]
    assert (await client.get("/quality/report"))["status"] == "ok"


async def test_what_stands_is_not_ended_by_history_that_has_it_too(client: Client) -> None:
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    live = {"simulation_id": None}
    await client.post("/bars", batch(bar_since(now, -2, high="1"), **live))
    await client.post("/bars", batch(bar(0, high="1"), bar(1, high="1"), **live))
    (issue,) = (await client.get("/quality/issues"))["items"]
    assert (issue["ended_at"], issue["count"], issue["first_ts"]) == (None, 3, "2024-01-02T00:00:00Z")
    await client.post("/bars", batch(bar_since(now, -1), **live))
    assert (await client.get("/quality/report"))["status"] == "ok"
    # What ended with live rows is another issue than that of a file.
    await client.post("/bars", batch(bar(2, high="1"), **live))
    both = (await client.get("/quality/issues"))["items"]
    assert [(each["count"], each["ended_at"] is None) for each in both] == [(1, False), (3, False)]


async def test_a_batch_with_history_and_the_present_is_of_the_present(client: Client) -> None:
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    rows = [bar_since(now, -3_000, high="1"), bar_since(now, -1), bar(0, symbol="OLD", high="1")]
    days = [
        bar_since(now, -2 * 1_440, symbol="DAY", interval="1d", high="1"),
        bar_since(now, -5 * 1_440, symbol="WEEK", interval="1d", high="1"),
    ]
    await client.post("/bars", batch(*rows, *days, simulation_id=None))
    found = await client.all("/quality/issues?code=ohlc_bounds")
    assert {each["symbol"]: each["ended_at"] is None for each in found} == {
        "X": True,
        "OLD": False,
        "DAY": True,
        "WEEK": False,
    }


async def test_issues_are_paged_and_filtered(client: Client) -> None:
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    rows = [bar_since(now, -1, symbol=f"S{n}", high="1") for n in range(7)]
    await client.post("/bars", batch(*rows, simulation_id=None))
    await client.post("/bars", batch(*rows, simulation_id="sim"))
    found = await client.all("/quality/issues?limit=3")
    assert len(found) == len({issue["issue_id"] for issue in found}) == 7
    assert len(await client.all("/quality/issues?simulation_id=sim&severity=critical&limit=3")) == 7
    for query in ("severity=warning", "source=nobody", "symbol=S9", "code=gap", "open=false"):
        assert (await client.get(f"/quality/issues?{query}"))["items"] == []
    assert (await client.http.get(f"{BASE}/quality/issues?cursor=x")).status_code == 400


async def test_issues_of_states_are_kept(client: Client) -> None:
    await client.post("/market-states", {"source": "test", "states": [state(0, spot_price="0")]})
    codes = {issue["code"] for issue in (await client.get("/quality/issues"))["items"]}
    assert codes
    await client.post("/market-states", {"source": "test", "states": [state(1)]})
    still = {issue["code"] for issue in (await client.get("/quality/issues?open=true"))["items"]}
    assert still < codes


async def test_a_contract_quoted_twice_is_an_issue_until_a_state_is_without_it(client: Client) -> None:
    whole = state(0)
    twice = {**state(1), "option_chain": [*whole["option_chain"], whole["option_chain"][0]]}
    for number, each in enumerate((twice, {**state(2)}), 1):
        await client.post("/market-states", {"source": "test", "simulation_id": "s1", "states": [each]})
        (issue,) = (await client.get("/quality/issues?simulation_id=s1&code=duplicate"))["items"]
        assert (issue["subject"], issue["ended_at"] is None) == ("market_state", number == 1)


async def test_a_liquidation_far_from_the_others_is_an_issue_until_a_batch_is_without_it(client: Client) -> None:
    def liquidations(start: int, *prices: str) -> dict[str, Any]:
        rows = [
            {"symbol": "X", "ts": (START + timedelta(seconds=start + n)).isoformat(), "side": "buy", "price": price}
            for n, price in enumerate(prices)
        ]
        return {"source": "test", "simulation_id": "s1", "liquidations": [{**row, "quantity": "1"} for row in rows]}

    await client.post("/liquidations", liquidations(0, *["100"] * 60, "150"))
    (issue,) = (await client.get("/quality/issues?simulation_id=s1"))["items"]
    assert (issue["subject"], issue["code"], issue["ended_at"]) == ("liquidation", "price_outlier", None)
    await client.post("/liquidations", liquidations(100, *["100"] * 60))
    (issue,) = (await client.get("/quality/issues?simulation_id=s1"))["items"]
    assert issue["ended_at"] is not None
