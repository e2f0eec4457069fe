"""What is done to bars, in which markets, and whether it is a fault."""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Final

from benchmarks.corpus import bar_faults as faults
from benchmarks.corpus.bar_faults import Change
from benchmarks.corpus.bars import BAR_MARKETS, BarMarket

(_SHARE, _SUMMER, _HALF, _INDEX, _SHANGHAI, _COIN, _COARSE, _CHEAP, _THIN, _HOURS, _QUARTERS, _DAYS, _INDEX_DAYS) = (
    BAR_MARKETS
)
_TRADED: Final = (_SHARE, _SHANGHAI, _COIN, _COARSE, _HOURS, _QUARTERS, _DAYS)
_PRICED: Final = (*_TRADED, _INDEX, _INDEX_DAYS)
GOOG, NIFTY, _BTC = "lean-equity-goog-1m", "lean-index-nifty50-1m", "binance-btcusdt-1m"
_BTC_DAYS, _SPX, _VIX = "lean-crypto-coinbase-btcusd-1d", "index-spx-1d", "index-vix-1d"
NAMES: Final = {
    GOOG: "LEAN GOOG",
    NIFTY: "LEAN NIFTY",
    _BTC: "Binance BTC",
    _BTC_DAYS: "Coinbase BTC",
    _SPX: "S&P 500",
    _VIX: "VIX",
}
_REAL: Final = (_BTC, NIFTY)
_ALWAYS: Final = (_COIN, _QUARTERS)
# Their prices are neither 0.01 nor a million.
_LARGE: Final = (_SHARE, _SHANGHAI, _COIN, _HOURS, _QUARTERS, _INDEX)
_EITHER: Final = frozenset({"price_outlier", "price_limit"})
# Half of the bars' money is gone with their prices.
_BOUNDS: Final = frozenset({"ohlc_bounds", "amount_volume"})


@dataclass(frozen=True, slots=True)
class Way:
    """A change of bars, whether it is a fault of `check`, and in which markets and real series it is made."""

    check: str
    title: str
    change: Change
    is_fault: bool
    markets: tuple[BarMarket, ...] = _TRADED
    real: tuple[str, ...] = ()
    tolerated: frozenset[str] = frozenset()
    times: int = 1


WAYS: Final = (
    *(
        Way(
            "price_outlier",
            f"one close {size:g} moves away",
            faults.bad_close(size),
            True,
            _PRICED,
            (_BTC, NIFTY),
            _EITHER,
        )
        for size in (8, 15, 30, 100, 400)
    ),
    *(
        Way("price_outlier", f"one bar times {by:g}", faults.scaled_bar(by), True, _PRICED, (_BTC, GOOG), _EITHER)
        for by in (1.02, 0.9, 1.3, 0.1, 100)
    ),
    *(
        Way("price_outlier", f"a crash of {1 - by:.0%} over {over} bars", faults.shifted_from(by, over), False, _PRICED)
        for by, over in ((0.96, 10), (0.9, 30), (0.8, 40))
    ),
    Way(
        "price_outlier",
        "one close 30 moves away, much traded",
        faults.bad_close(30, 10),
        True,
        _TRADED,
        (_BTC,),
        _EITHER,
    ),
    *(
        Way("price_outlier", f"one {field} {size:g} moves away", faults.bad_wick(field, size), True, _PRICED, _REAL)
        for field in ("open", "high", "low")
        for size in (15, 60, 400)
    ),
    *(
        Way(
            "price_outlier",
            f"a {field} of {price:,g}",
            faults.printed(field, price),
            True,
            _LARGE,
            (_BTC, GOOG),
            _BOUNDS,
        )
        for field, price in (("high", 1e6), ("low", 0.01))
    ),
    *(
        Way("price_outlier", f"a crash of {1 - by:.0%} within a bar", faults.crash_within(by), False, _PRICED, _REAL)
        for by in (0.99, 0.97, 0.92)
    ),
    Way("price_outlier", "a book with little in it", faults.long_wicks(20), False, _PRICED, (_BTC,)),
    *(
        Way("price_outlier", f"{bars} bars not received", faults.not_received(bars), False, _ALWAYS, (_BTC,), times=3)
        for bars in (10, 60, 150)
    ),
    Way("price_outlier", "a flash crash of 3 % and back", faults.shifted_from(0.97, 3, 2), False, _PRICED),
    Way("price_outlier", "a flash crash of 8 % and back", faults.shifted_from(0.92, 6, 4), False, _PRICED),
    Way("price_outlier", "news: 1.5 % within a bar, and it stays", faults.shifted_from(1.015), False, _PRICED),
    *(
        Way(
            "price_outlier",
            f"opened {by - 1:+.0%} after news",
            faults.gap_at_opening(by),
            False,
            (_SUMMER, _HALF, _INDEX, _SHANGHAI),
            (NIFTY,),
        )
        for by in (1.02, 0.96, 1.08, 0.85)
    ),
    Way("price_outlier", "split two for one, not adjusted", faults.gap_at_opening(0.5), False, (_SUMMER, _SHANGHAI)),
    Way("price_outlier", "bars that do not move within", faults.flat, False, _PRICED),
    *(
        Way(
            "price_limit",
            f"a day of {move:+.1%}",
            faults.closed_at(move),
            abs(move) > 0.102,
            (_DAYS,),
            tolerated=_EITHER if abs(move) > 0.102 else frozenset(),
            times=3,
        )
        for move in (0.08, 0.0995, -0.1, 0.1005, 0.104, -0.107, 0.12, -0.2, 0.44)
    ),
    # The limit is of the reference price, which the exchange lowers by what is given away.
    Way("price_limit", "ten shares for eight, on its day", faults.closed_at(-0.2), False, (_DAYS,), times=3),
    Way("price_limit", "two per cent of dividend", faults.closed_at(-0.05), False, (_DAYS,), times=3),
    *(
        Way(
            "price_not_positive",
            f"a close of {price:g}",
            faults.negative(price),
            True,
            _TRADED,
            (_BTC,),
            _BOUNDS | _EITHER,
        )
        for price in (0.0, -1.0)
    ),
    # Crude oil, on 2020-04-20.
    Way(
        "price_not_positive",
        "a future that trades at -37",
        faults.negative(-37.0),
        False,
        (_SHARE,),
        (),
        _BOUNDS | _EITHER,
    ),
    Way("price_not_positive", "a coin at a hundred-thousandth", faults.flat, False, (_COARSE,), times=4),
    *(
        Way(
            "ohlc_bounds",
            f"a high {ticks} ticks too low",
            faults.high_below(ticks),
            True,
            _PRICED,
            _REAL,
            # The low is as far down.
            _BOUNDS | _EITHER,
        )
        for ticks in (1, 20)
    ),
    Way("ohlc_bounds", "high and low swapped", faults.swapped("high", "low"), True, _PRICED, (_BTC, _SPX), _BOUNDS),
    Way("ohlc_bounds", "open and high swapped", faults.swapped("open", "high"), True, _PRICED, (_BTC,), _BOUNDS),
    # Nothing contradicts it, unless the next bar is looked at.
    Way("ohlc_bounds", "open and close swapped", faults.swapped("open", "close"), True, _TRADED, (), _BOUNDS | _EITHER),
    Way("ohlc_bounds", "bars of one price", faults.flat, False, _PRICED, (_BTC,)),
    *(
        Way("amount_volume", f"amounts times {by:g}", faults.amount_times(by), True, _TRADED, (_BTC,))
        for by in (1.0005, 1.01, 0.9, 100, 0.01)
    ),
    Way("amount_volume", "amounts in thousands", faults.amount_times(0.001, 1.0), True, _TRADED, (_BTC,)),
    Way("amount_volume", "volume in hundreds", faults.amount_times(100, 1.0), True, (_SHANGHAI, _DAYS)),
    Way("amount_volume", "all paid at the high", faults.amount_of_highs(0.0), False, _TRADED, (_BTC,)),
    Way("amount_volume", "fees of five hundredths of a per cent in it", faults.amount_of_highs(0.0005), False, _TRADED),
    Way("amount_volume", "amounts in whole units", faults.whole_amounts, False, (_SHARE, _SHANGHAI, _COIN, _DAYS)),
    Way("amount_volume", "amounts in whole units of a thin share", faults.whole_amounts, False, (_CHEAP, _THIN)),
    Way("amount_volume", "no amounts", faults.no_amounts, False, _TRADED),
    *(
        Way("volume_zero", f"volume lost of {run} bars", faults.without_volume(run), True, _TRADED, (_BTC, GOOG))
        for run in (1, 3, 5, 15)
    ),
    *(
        Way(
            "volume_zero",
            f"volume lost of {run} bars of a thin share",
            faults.without_volume(run),
            True,
            (_THIN,),
            times=3,
        )
        for run in (8, 20)
    ),
    Way("volume_zero", "a share that trades in two minutes of three", faults.received(1.0), False, (_THIN,), times=5),
    Way(
        "volume_zero",
        "a share that trades in one minute of four",
        faults.received(1.0),
        False,
        (replace(_THIN, untraded=0.75),),
        times=5,
    ),
    Way("volume_zero", "a thin market's nights", faults.without_volume(2, True), False, (_COARSE, _CHEAP)),
    Way("volume_zero", "halted for 15 minutes", faults.without_volume(15, True), False, (_SHARE, _SHANGHAI)),
    Way("volume_zero", "an index without volume", faults.received(1.0), False, (_INDEX,), (NIFTY, _VIX), times=2),
    *(
        Way("outside_session", title, faults.moved_to(moment), True, (market,))
        for title, moment, market in (
            ("in the lunch break of Shanghai", datetime(2026, 3, 5, 4, 0, tzinfo=UTC), _SHANGHAI),
            ("on a Saturday", datetime(2026, 3, 14, 16, 0, tzinfo=UTC), _SHARE),
            ("after the close of a half day", datetime(2026, 11, 27, 18, 30, tzinfo=UTC), _HALF),
            ("on Thanksgiving", datetime(2026, 11, 26, 16, 0, tzinfo=UTC), _HALF),
            ("an hour early in summer time", datetime(2026, 3, 9, 20, 10, tzinfo=UTC), _SUMMER),
            ("before the opening in Mumbai", datetime(2026, 3, 16, 3, 37, tzinfo=UTC), _INDEX),
            ("an index day on a Sunday", datetime(2026, 3, 15, 4, 0, tzinfo=UTC), _INDEX_DAYS),
        )
    ),
    *(
        Way("outside_session", f"in session, {market.name}", faults.received(1.0), False, (market,), times=2)
        for market in (_SUMMER, _HALF, _SHANGHAI, replace(_COIN, first=date(2026, 3, 14)), _DAYS)
    ),
    *(
        Way("bar_unaligned", f"{seconds:g} s late", faults.later_by(seconds), True, (_SHARE, _COIN, _QUARTERS), (_BTC,))
        for seconds in (0.5, 1, 30)
    ),
    # As a quarter of an hour begins at each of its minutes for somebody.
    Way("bar_unaligned", "quarters that start seven minutes late", faults.later_by(420), True, (_QUARTERS,)),
    Way(
        "bar_unaligned",
        "hours that start on the hour in Mumbai",
        faults.later_by(2_700),
        True,
        (_HOURS,),
        (),
        frozenset({"outside_session"}),
    ),
    Way("bar_unaligned", "hours that start with the session", faults.received(1.0), False, (_HOURS,), times=3),
    Way(
        "bar_unaligned",
        "days that start at midnight of the exchange",
        faults.received(1.0),
        False,
        (_DAYS, _INDEX_DAYS),
        times=2,
    ),
    *(
        Way("duplicate", f"{rows} bars twice in a batch", faults.sent_twice(rows), True, (_SHARE, _COIN), (_BTC,))
        for rows in (1, 3, 40)
    ),
    Way("duplicate", "a batch newest first", faults.sent_in("newest first"), False, (_SHARE, _COIN, _DAYS)),
    Way("duplicate", "a batch in no order", faults.sent_in("none"), False, (_SHARE, _COIN, _DAYS)),
    *(
        Way(
            "duplicate_conflicting",
            f"{rows} bars twice, with another close",
            faults.sent_twice(rows, True),
            True,
            (_SHARE, _COIN),
            (_BTC,),
            frozenset({"duplicate"}),
        )
        for rows in (1, 3)
    ),
    Way(
        "duplicate_conflicting",
        "the same bars twice",
        faults.sent_twice(2),
        False,
        (_SHARE, _COIN),
        (_BTC,),
        frozenset({"duplicate"}),
    ),
    *(
        Way(
            "future_timestamp",
            f"received {after:+g} s after the end",
            faults.received(after),
            after < 0,
            (_SHARE, _COIN, _HOURS),
            (_BTC,),
        )
        for after in (-0.4, -1.5, -20, -60, 0.0, 0.3, 45)
    ),
)
