"""Live data watched over time: silence, standstill, sources that disagree, clocks, and quiet days."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from shared.roles import Role
from tests.harness import Tokens
from tests.integration.marketdata.client import bar, batch, state
from tests.integration.marketdata.measured import metric
from tests.integration.marketdata.watched import MINUTE, NOW, SECOND, Watched, marks

pytestmark = pytest.mark.integration


async def until_marked(redis_url: str, expected: tuple[str, str]) -> list[tuple[str, str]]:
    async with asyncio.timeout(10):
        while not (found := await marks(redis_url)) or found[-1] != expected:
            await asyncio.sleep(0.02)
    return found


async def test_a_feed_that_ends_is_stale_until_it_goes_on(live: Watched, redis_url: str) -> None:
    await live.feed(price="101.5")
    await live.look()
    assert await live.issues() == {}
    await live.look(minutes=6)
    assert await live.issues() == {"stale_age a": "warning"}
    # Whoever takes over knows what was known.
    live.restart()
    await live.look(minutes=5)
    assert await live.issues() == {"stale_age a": "critical"}
    await until_marked(redis_url, ("101.5", "critical"))
    for _ in range(3):
        await live.look(seconds=5)
    (issue,) = await live.client.all("/quality/issues?code=stale_age")
    assert issue["count"] == 5
    assert issue["duration_seconds"] == 315
    await live.tick(price="101.52")
    found = await until_marked(redis_url, ("101.52", "ok"))
    assert [severity for _, severity in found].count("critical") == 1
    await live.look(seconds=5)
    assert await live.issues() == {}


async def test_findings_of_series_that_wait_for_their_turn_still_stand(
    live: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    def counted(code: str, severity: str) -> float | None:
        return metric("marketdata_monitor_findings", code=code, severity=severity)

    async def bars(minute: int) -> None:
        live.clock.set(NOW + timedelta(minutes=minute + 1, seconds=5))
        ts = (NOW + timedelta(minutes=minute)).isoformat()
        await live.client.post("/bars", batch(*(bar(0, ts=ts, symbol=name) for name in "ABC"), simulation_id=None))

    for minute in (0, 1, 2, 10, 11, 12):
        await bars(minute)
    monkeypatch.setattr("services.marketdata.handlers.streams._SCANS_A_ROUND", 1)
    for expected in (1, 2, 3, 3, 3):
        await live.look(seconds=61)
        assert (counted("gap", "critical"), counted("gap", "warning")) == (expected, 0)
    for _ in range(3):
        minutes = int((live.clock.now() - NOW) / MINUTE)
        missing = [bar(0, ts=(NOW + n * MINUTE).isoformat(), symbol=name) for name in "AB" for n in range(3, minutes)]
        await live.client.post("/bars", batch(*missing, simulation_id=None))
        await live.look(seconds=61)
    assert counted("gap", "critical") == 1
    # A series that nobody knows any more has no fault.
    await live.look(days=40)
    assert counted("gap", "critical") == 0


async def test_a_stale_state_is_no_finding_of_the_monitor_once_states_come_again(live: Watched) -> None:
    async def states(minutes: int) -> None:
        for _ in range(minutes):
            live.clock.advance(timedelta(minutes=1))
            moment = live.clock.now().isoformat()
            price = f"100.{live.clock.now().minute:02}"
            await live.client.post(
                "/market-states", {"source": "a", "states": [state(0, timestamp=moment, spot_price=price)]}
            )

    def stale() -> float | None:
        return metric("marketdata_monitor_findings", code="stale_age", severity="critical")

    await states(3)
    await live.look(minutes=11)
    assert stale() == 1
    await states(1)
    await live.look(seconds=5)
    assert stale() == 0


async def test_silence_of_one_source_blocks_nobody_who_has_another(live: Watched, redis_url: str) -> None:
    for _ in range(20):
        live.clock.advance(10 * SECOND)
        await live.tick(source="a")
        await live.tick(source="b")
    for _ in range(70):
        live.clock.advance(10 * SECOND)
        await live.tick(source="b")
    await live.look()
    assert await live.issues() == {"stale_age a": "critical"}
    await live.tick(source="b", price="100.02")
    found = await until_marked(redis_url, ("100.02", "ok"))
    assert "critical" not in {severity for _, severity in found}


async def test_history_is_neither_stale_nor_judged_as_a_stream(live: Watched) -> None:
    for n in range(0, 600, 100):
        rows = [bar(k) for k in range(-9_000 + n, -8_900 + n) if k % 50]
        await live.client.post("/bars", batch(*rows, *rows[:30], simulation_id=None))
        live.clock.advance(timedelta(minutes=5))
    for hours in (0, 1, 24, 100):
        await live.look(hours=hours)
        assert await live.issues() == {}
    found = await live.client.all("/gaps?symbol=X&interval=1m")
    assert len(found) == 11
    assert {gap["bars"] for gap in found} == {1}


async def test_a_night_and_a_holiday_are_no_silence(live: Watched, tokens: Tokens) -> None:
    await live.put("/symbols/X", {"calendar": "XNSE"}, tokens.auth(Role.RISK_OFFICER))
    await live.put(
        "/calendars/XNSE/overrides/2024-01-03",
        {"kind": "closed", "reason": "a holiday"},
        tokens.auth(Role.RISK_OFFICER),
    )
    live.clock.set(NOW.replace(hour=9, minute=55))
    await live.feed(minutes=4.5)
    while live.clock.now() < NOW.replace(day=4, hour=3, minute=48):
        await live.look(hours=1) if live.clock.now() < NOW.replace(day=4, hour=2) else await live.look(minutes=20)
        if live.clock.now() < NOW.replace(day=4, hour=3, minute=45):
            assert await live.issues() == {}
    live.clock.set(NOW.replace(day=4, hour=3, minute=56))
    await live.look()
    assert await live.issues() == {"stale_age a": "critical"}


async def test_a_symbol_that_trades_seldom_is_judged_by_its_pace(live: Watched) -> None:
    await live.feed(minutes=180, every=9 * 60)
    await live.look(minutes=20)
    assert await live.issues() == {}
    await live.look(minutes=8)
    assert await live.issues() == {"stale_age a": "critical"}


async def test_a_clock_that_stands_still(live: Watched) -> None:
    await live.feed()
    still = live.clock.now().isoformat()
    for n in range(1, 40):
        live.clock.advance(10 * SECOND)
        await live.tick(ts=still, trade_id=str(n))
    await live.look()
    assert (await live.issues())["clock_frozen a"] == "critical"
    await live.feed(minutes=0.1)
    await live.look()
    assert await live.issues() == {}


async def test_the_same_batch_again_is_no_repeat_and_rows_twice_in_one_are(live: Watched) -> None:
    def ticks(minute: int, number: int) -> list[dict[str, Any]]:
        start = live.clock.now() - timedelta(seconds=number)
        return [
            {
                "symbol": "X", "ts": (start + n * SECOND).isoformat(), "price": "100", "quantity": "1",
                "trade_id": f"{minute}-{n}",
            }
            for n in range(number)
        ]  # fmt: skip

    for minute in range(3):
        live.clock.advance(timedelta(minutes=1))
        rows = ticks(minute, 50)
        for _ in range(5):
            await live.client.post("/ticks", {"source": "a", "ticks": rows})
    await live.look()
    assert await live.issues() == {}
    live.clock.advance(timedelta(minutes=1))
    rows = ticks(9, 50)
    await live.client.post("/ticks", {"source": "a", "ticks": [*rows, *rows[:5]]})
    await live.look()
    assert await live.issues() == {"duplicate a": "warning"}
    live.clock.advance(timedelta(minutes=1))
    rows = ticks(10, 50)
    await live.client.post("/ticks", {"source": "a", "ticks": [*rows[25:], *rows[:25]]})
    await live.look()
    assert await live.issues() == {"duplicate a": "warning", "out_of_order a": "critical"}


async def test_sources_that_disagree(live: Watched, redis_url: str) -> None:
    for price_of_b, expected in (("100.05", {}), ("100.5", "warning"), ("102", "critical"), ("100", {})):
        for _ in range(20):
            live.clock.advance(5 * SECOND)
            await live.tick(source="a", price="100")
            await live.tick(source="b", price=price_of_b)
        await live.look()
        found = {code: severity for code, severity in (await live.issues()).items() if code.startswith("cross")}
        assert found == ({} if not expected else {f"cross_source {source}": expected for source in "ab"})
    assert "critical" in {severity for _, severity in await marks(redis_url)}
    # A third one shows which of them is off.
    for _ in range(20):
        live.clock.advance(5 * SECOND)
        for source, price in (("a", "100"), ("b", "100.01"), ("c", "101.5")):
            await live.tick(source=source, price=price)
    await live.look()
    assert {code for code in await live.issues() if code.startswith("cross")} == {"cross_source c"}


async def test_a_skew_is_learnt_and_future_is_what_lies_beyond_it(live: Watched) -> None:
    first = await live.tick(age=-3)
    assert first["verdicts"][0]["issues"][0]["code"] == "future_timestamp"
    await live.feed(minutes=1.5, every=1, age=-3)
    await live.look(seconds=0)
    assert (await live.issues("open=true&code=clock_skew")) == {"clock_skew a": "critical"}
    live.clock.advance(SECOND)
    assert (await live.tick(age=-3))["flagged"] == 0
    assert (await live.tick(age=-5))["verdicts"][0]["issues"][0]["value"] == pytest.approx(2.0, abs=0.01)


async def test_updates_missing_between_two_batches(live: Watched) -> None:
    async def book(sequence: int, previous: int | None) -> Any:
        live.clock.advance(SECOND)
        row = {
            "symbol": "X", "ts": live.clock.now().isoformat(), "bids": [["99", "1"]], "asks": [["101", "1"]],
            "sequence": sequence, "previous_sequence": previous,
        }  # fmt: skip
        return row, await live.client.post("/order-books", {"source": "a", "order_books": [row]})

    await book(10, 9)
    assert (await book(12, 10))[1]["flagged"] == 0
    row, broken = await book(20, 17)
    (issue,) = broken["verdicts"][0]["issues"]
    assert (issue["code"], issue["severity"], issue["value"]) == ("sequence_break", "critical", 5.0)
    assert broken["published"] == 0
    assert await live.issues() == {"sequence_break a": "critical"}
    # Sent again it is judged as it was.
    again = await live.client.post("/order-books", {"source": "a", "order_books": [row]})
    assert (again["unchanged"], again["verdicts"][0]["issues"][0]["value"]) == (1, 5.0)
    assert (await book(21, 20))[1]["published"] == 1
    assert await live.issues() == {}


async def test_old_rows_of_a_source_that_is_live_are_what_it_says_now(live: Watched) -> None:
    await live.feed(minutes=3)
    old = {"age": 7_200.0, "price": "-1"}
    assert (await live.tick(**old))["flagged"] == 1
    assert (await live.issues("open=true&severity=critical")) == {"price_not_positive a": "critical"}
    live.clock.advance(SECOND)
    await live.tick()
    assert await live.issues("open=true&severity=critical") == {}
    # Of one that is not, they are history.
    await live.tick(source="b", **old)
    assert await live.issues("open=true&severity=critical") == {}
    assert await live.issues("open=false&source=b") == {"price_not_positive b": "critical"}


async def test_a_slot_with_few_rows(live: Watched) -> None:
    slot = NOW.replace(hour=5)
    for day in range(1, 13):
        start = slot - timedelta(days=day)
        rows = [
            {
                "symbol": "X", "ts": (start + n * 20 * SECOND).isoformat(), "price": "100", "quantity": "1",
                "trade_id": f"{day}-{n}",
            }
            for n in range(45)
        ]  # fmt: skip
        await live.client.post("/ticks", {"source": "a", "ticks": rows})
    await live.feed(minutes=15, every=20)
    await live.look(minutes=2)
    assert await live.issues() == {}
    # Of the next slot nothing is known from other days: nothing is said of it.
    await live.feed(minutes=15, every=180)
    await live.look(minutes=2)
    assert await live.issues() == {}
    live.clock.set(slot + timedelta(days=1, minutes=-1))
    await live.feed(minutes=17, every=200)
    await live.look()
    assert await live.issues() == {"row_volume a": "critical"}
