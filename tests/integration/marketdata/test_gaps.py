"""The gap ledger over the API: found, shrunk, filled, by calendar, for any window."""

from datetime import timedelta
from typing import Any

import pytest

from shared.roles import Role
from tests.harness import Tokens
from tests.integration.marketdata.client import BASE, START, bar, batch
from tests.integration.marketdata.watched import Watched

pytestmark = pytest.mark.integration
WINDOW = "/gaps?symbol=X&interval=1m&start=2024-01-02T00:00:00Z&end=2024-01-02T01:00:00Z"


def spans(gaps: list[dict[str, Any]]) -> list[tuple[str, str, int]]:
    return [(gap["from_ts"][11:16], gap["to_ts"][11:16], gap["bars"]) for gap in gaps]


async def test_a_gap_is_found_shrinks_and_is_filled(live: Watched) -> None:
    client = live.client
    rows = [bar(n) for n in range(60)]
    await client.post("/bars", batch(*rows[:20], *rows[40:]))
    window = WINDOW + "&simulation_id=s1"
    (gap,) = found = await client.all(window)
    assert spans(found) == [("00:20", "00:40", 20)]
    assert gap["filled_at"] is None
    assert await client.all(WINDOW) == []
    live.clock.advance(timedelta(minutes=1))
    await client.post("/bars", batch(*rows[20:25]))
    (same,) = found = await client.all(window)
    assert spans(found) == [("00:25", "00:40", 15)]
    assert (same["gap_id"], same["found_at"]) == (gap["gap_id"], gap["found_at"])
    await client.post("/bars", batch(*rows[30:32]))
    assert spans(await client.all(window)) == [("00:25", "00:30", 5), ("00:32", "00:40", 8)]
    assert len(await client.all(window + "&limit=1")) == 2
    # A window that cuts a gap does not cut it.
    part = window.replace("01:00", "00:35")
    assert spans(await client.all(part)) == [("00:25", "00:30", 5), ("00:32", "00:40", 8)]
    await client.post("/bars", batch(*rows))
    assert await client.all(window + "&open=true") == []
    filled = await client.all(window + "&open=false")
    assert {each["filled_at"] for each in filled} == {live.clock.now().isoformat().replace("+00:00", "Z")}
    assert len(filled) == 2


async def test_windows_that_cannot_be_looked_at(live: Watched) -> None:
    response = await live.client.http.get(f"{BASE}{WINDOW.replace('2024-01-02T00', '1990-01-02T00')}")
    assert response.status_code == 422
    assert (await live.client.http.get(f"{BASE}{WINDOW}&cursor=x")).status_code == 400
    # What is yet to come is not missing, and of a source that nothing is known of nothing is.
    assert await live.client.all(WINDOW.replace("2024", "2030")) == []
    assert await live.client.all(WINDOW + "&source=nobody") == []


async def test_gaps_of_a_live_series_are_found_and_judged(live: Watched, tokens: Tokens) -> None:
    await live.put("/symbols/X", {"calendar": "XSHG"}, tokens.auth(Role.RISK_OFFICER))
    missing = {10, 11, 12, 13, 14}
    live.clock.set(START + timedelta(hours=1, minutes=30))

    async def send(minutes: range, without: set[int]) -> None:
        for n in minutes:
            live.clock.set(START + timedelta(hours=1, minutes=31 + n, seconds=1))
            if n not in without and not 120 <= n < 210:
                await live.client.post("/bars", batch(bar(90 + n), simulation_id=None))

    await send(range(0, 230, 1), missing)
    await live.look(minutes=0)
    assert await live.issues() == {"gap test": "critical"}
    found = await live.client.all("/gaps?symbol=X&interval=1m")
    assert spans(found) == [("01:40", "01:45", 5)]
    await live.client.post("/bars", batch(*(bar(90 + n) for n in missing), simulation_id=None))
    await live.look(minutes=1)
    assert await live.issues() == {}
    assert await live.client.all("/gaps?symbol=X&interval=1m&open=true") == []
    # Lunch is no gap, and neither is the night.
    await send(range(230, 330), set())
    live.clock.set(START + timedelta(days=1, minutes=91))
    await live.look(minutes=0)
    assert await live.client.all("/gaps?symbol=X&interval=1m&open=true") == []
    await live.look(minutes=60)
    (silence,) = await live.client.all("/gaps?symbol=X&interval=1m&open=true")
    assert silence["bars"] == 59
