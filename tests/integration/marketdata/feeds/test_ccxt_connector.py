"""The connector of an exchange, by way of the real ccxt, against a server that answers as Binance does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from services.marketdata.feeds.ccxt_connector import CcxtConnector, CcxtPlan
from services.marketdata.feeds.ccxt_exchange import Reach
from services.marketdata.feeds.connector import Delivery, Poll, rows_of
from services.marketdata.feeds.errors import FeedError, Throttled, Unreachable, Unsupported
from shared.clock import ManualClock
from shared.schemas.market_events import Aggressor
from tests.harness import serving
from tests.integration.marketdata.feeds.exchange import Exchange, ms

pytest.importorskip("ccxt", reason="ccxt is an extra: requirements/feeds.in")
pytestmark = pytest.mark.integration

NOW = datetime(2026, 3, 2, 9, 30, 30, tzinfo=UTC)
SPOT = {"BTCUSDT": "BTC/USDT"}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
def exchange() -> Exchange:
    return Exchange(NOW)


@asynccontextmanager
async def connected(
    exchange: Exchange, clock: ManualClock, timeout: float = 5, **plan: Any
) -> AsyncIterator[CcxtConnector]:
    async with serving(exchange.app) as url:
        values = {"symbols": SPOT, "poll_seconds": 1.0, **plan}
        connector = CcxtConnector("ccxt.binance", CcxtPlan("binance", **values), Reach(timeout, url), clock)
        try:
            await connector.open()
            yield connector
        finally:
            await connector.close()


async def fetch(connector: CcxtConnector, start: str) -> list[Delivery]:
    poll = next(job for job in connector.jobs() if isinstance(job, Poll) and job.name.startswith(start))
    return list(await poll.fetch())


async def rows(connector: CcxtConnector, start: str) -> list[Any]:
    """Fetch, and take what came."""
    found = []
    for delivery in await fetch(connector, start):
        found += rows_of(delivery.batch)
        delivery.taken()
    return found


async def test_bars_are_those_that_have_ended_with_the_exchanges_own_digits(
    exchange: Exchange, clock: ManualClock
) -> None:
    exchange.add_bars(NOW.replace(second=0) - timedelta(minutes=9), 10)
    async with connected(exchange, clock) as connector:
        bars = await rows(connector, "bars")
    # 09:30 has begun and not ended.
    assert [bar.ts.minute for bar in bars] == [27, 28, 29]
    assert (str(bars[0].volume), str(bars[0].open)) == ("1.00000001", "42006.10000000")
    assert bars[0].symbol == "BTCUSDT"


async def test_no_float_comes_in_between(exchange: Exchange, clock: ManualClock) -> None:
    exchange.add_bars(NOW.replace(second=0) - timedelta(minutes=2), 2)
    # A float holds 17 digits.
    exchange.bars["1m"][0][1:5] = ["123456789012345.67890123"] * 4
    # A number that is not quoted keeps its digits too.
    exchange.bars["1m"][1][1:5] = [0.1, 0.3, 0.1, 0.2]
    async with connected(exchange, clock) as connector:
        bars = await rows(connector, "bars")
    assert bars[0].open == Decimal("123456789012345.67890123")
    assert [bars[1].open, bars[1].high] == [Decimal("0.1"), Decimal("0.3")]


async def test_polls_go_on_where_what_was_taken_ended(exchange: Exchange, clock: ManualClock) -> None:
    exchange.add_bars(NOW.replace(second=0) - timedelta(minutes=9), 30)
    async with connected(exchange, clock) as connector:
        await fetch(connector, "bars")
        not_taken = await rows(connector, "bars")
        clock.advance(timedelta(minutes=2))
        after = await rows(connector, "bars")
    assert [bar.ts.minute for bar in not_taken] == [27, 28, 29]
    # The newest one again, as it may not have been final, and what has ended since.
    assert [bar.ts.minute for bar in after] == [29, 30, 31]


async def test_every_trade_comes_once_though_many_share_a_millisecond(exchange: Exchange, clock: ManualClock) -> None:
    for number in range(5):
        exchange.add_trade(number, NOW, sell=number % 2 == 0)
    async with connected(exchange, clock, kinds=["ticks"]) as connector:
        first = await rows(connector, "ticks")
        assert await rows(connector, "ticks") == []
        exchange.add_trade(5, NOW)
        second = await rows(connector, "ticks")
        assert await rows(connector, "ticks") == []
        exchange.add_trade(6, NOW + timedelta(milliseconds=1))
        second += await rows(connector, "ticks")
        assert await rows(connector, "ticks") == []
    assert [tick.trade_id for tick in first + second] == [str(number) for number in range(7)]
    assert [tick.aggressor for tick in first[:2]] == [Aggressor.SELL, Aggressor.BUY]
    assert str(first[0].price) == "42000.10000000"


async def test_more_trades_in_a_millisecond_than_an_answer_holds_do_not_stop_it(
    exchange: Exchange, clock: ManualClock
) -> None:
    for number in range(1_001):
        exchange.add_trade(number, NOW)
    exchange.add_trade(2_000, NOW + timedelta(milliseconds=1))
    async with connected(exchange, clock, kinds=["ticks"]) as connector:
        found = [len(await rows(connector, "ticks")) for _ in range(3)]
    assert found == [1_000, 0, 1]


async def test_an_order_book_has_its_levels_best_first_and_its_number(exchange: Exchange, clock: ManualClock) -> None:
    async with connected(exchange, clock, kinds=["order_books"]) as connector:
        (book,) = await rows(connector, "order book")
    assert (book.ts, book.sequence, len(book.bids)) == (NOW, 1027024, 50)
    assert [str(each) for each in book.bids[0]] == ["42000.10000000", "0.30000000"]
    assert book.asks[0][0] < book.asks[1][0]


async def test_funding_rates_of_a_perpetual(exchange: Exchange, clock: ManualClock) -> None:
    for hour in (0, 8):
        row = {
            "symbol": "BTCUSDT",
            "fundingRate": "0.00010000",
            "fundingTime": ms(NOW.replace(hour=hour)),
            "markPrice": "1",
        }
        exchange.funding.append(row)
    plan = {"symbols": {"BTCUSDT.P": "BTC/USDT:USDT"}, "kinds": ["funding_rates"]}
    async with connected(exchange, clock, **plan) as connector:
        found = await rows(connector, "funding")
        assert await rows(connector, "funding") == []
    assert [(rate.symbol, rate.rate, rate.ts.hour) for rate in found] == [
        ("BTCUSDT.P", Decimal("0.0001"), 0),
        ("BTCUSDT.P", Decimal("0.0001"), 8),
    ]


async def test_history_comes_by_pages_half_open_and_without_the_bar_in_the_making(
    exchange: Exchange, clock: ManualClock
) -> None:
    start = NOW.replace(second=0) - timedelta(minutes=1_500)
    exchange.add_bars(start, 1_501)
    async with connected(exchange, clock) as connector:
        first = await connector.fetch_bars("BTCUSDT", "1m", start, NOW)
        second = await connector.fetch_bars("BTCUSDT", "1m", first[-1].ts + timedelta(minutes=1), NOW)
        some = await connector.fetch_bars("BTCUSDT", "1m", start, start + timedelta(minutes=3))
        none = await connector.fetch_bars("BTCUSDT", "1m", NOW, NOW)
    assert (len(first), len(second), len(some), none) == (1_000, 500, 3, [])
    assert second[-1].ts == NOW.replace(second=0) - timedelta(minutes=1)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("500", Unreachable),
        ("malformed", Unreachable),
        ("html", Unreachable),
        ("all bad", Unreachable),
        ("hang", Unreachable),
        ("429", Throttled),
    ],
)
async def test_what_goes_wrong_is_named_and_the_next_call_is_well(
    exchange: Exchange, clock: ManualClock, fault: str, error: type[FeedError]
) -> None:
    exchange.add_bars(NOW.replace(second=0) - timedelta(minutes=9), 10)
    async with connected(exchange, clock, timeout=0.4) as connector:
        exchange.fault = fault
        with pytest.raises(error):
            await fetch(connector, "bars")
        exchange.fault = ""
        assert len(await rows(connector, "bars")) == 3


async def test_an_exchange_that_throttles_is_left_alone_for_as_long_as_it_says(
    exchange: Exchange, clock: ManualClock
) -> None:
    async with connected(exchange, clock) as connector:
        exchange.fault = "429"
        with pytest.raises(Throttled) as caught:
            await fetch(connector, "bars")
        assert caught.value.retry_after == 7
        exchange.retry_after = None
        with pytest.raises(Throttled) as caught:
            await fetch(connector, "bars")
        assert caught.value.retry_after == 60


async def test_a_wrong_order_is_put_right_and_one_bad_row_does_not_cost_the_others(
    exchange: Exchange, clock: ManualClock
) -> None:
    exchange.add_bars(NOW.replace(second=0) - timedelta(minutes=9), 10)
    async with connected(exchange, clock) as connector:
        exchange.fault = "reversed"
        assert [bar.ts.minute for bar in (await fetch(connector, "bars"))[0].batch.bars] == [27, 28, 29]
        exchange.fault = "one bad row"
        assert [bar.ts.minute for bar in (await fetch(connector, "bars"))[0].batch.bars] == [28, 29]
        exchange.fault = "empty"
        assert await fetch(connector, "bars") == []


async def test_a_symbol_or_an_exchange_that_is_not_there_is_refused_at_once(
    exchange: Exchange, clock: ManualClock
) -> None:
    with pytest.raises(Unsupported, match="no DOGE/USDT"):
        async with connected(exchange, clock, symbols={"DOGEUSDT": "DOGE/USDT"}):
            pass
    unknown = CcxtConnector("ccxt.nowhere", CcxtPlan("nowhere", SPOT), Reach(), clock)
    with pytest.raises(Unsupported, match="no exchange 'nowhere'"):
        await unknown.open()


async def test_an_exchange_that_was_away_at_the_start_can_be_opened_later(
    exchange: Exchange, clock: ManualClock
) -> None:
    async with serving(exchange.app) as url:
        connector = CcxtConnector("ccxt.binance", CcxtPlan("binance", SPOT), Reach(0.4, url), clock)
        exchange.faults["/api/v3/exchangeInfo"] = ["500", "hang"]
        for _ in range(2):
            with pytest.raises(Unreachable):
                await connector.open()
        await connector.open()
        await connector.close()


async def test_a_cancelled_call_leaves_nothing_behind(exchange: Exchange, clock: ManualClock) -> None:
    exchange.add_bars(NOW.replace(second=0) - timedelta(minutes=9), 10)
    async with connected(exchange, clock) as connector:
        exchange.fault = "hang"
        for _ in range(3):
            asking = asyncio.create_task(fetch(connector, "bars"))
            await asyncio.sleep(0.05)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
        exchange.fault = ""
        assert len(await rows(connector, "bars")) == 3
    await connector.close()
    with pytest.raises(Unreachable, match="closed"):
        await fetch(connector, "bars")
