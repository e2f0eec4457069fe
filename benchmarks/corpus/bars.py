"""Made series of bars, and the real ones that may be published, in a form that can be broken."""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.corpus.rows import RowCase, exact, moments
from services.marketdata.calendars import calendar_of
from services.marketdata.core.bars import BarsBefore
from services.marketdata.core.calendars import micros_array
from services.marketdata.core.flags import Floats, Longs
from services.marketdata.formats.found_binance import binance_bars
from services.marketdata.formats.found_lean import lean_coins, lean_minutes
from services.marketdata.formats.found_tables import days_of_indices
from services.marketdata.rows.kinds import BARS
from shared.schemas.marketdata import INTERVAL_LENGTH, Bar, Interval

_SAMPLE = Path(__file__).parents[2] / "data" / "sample"
_KNOWN = 50
_PRICES = ("open", "high", "low", "close")


@dataclass(frozen=True, slots=True)
class BarMarket:
    """How bars are made: `move` is the deviation of a bar's return, `gap` that of a night's; both have fat tails.

    `untraded` is the share of bars in which nothing is traded.
    """

    name: str
    calendar: str = "XNYS"
    interval: Interval = "1m"
    first: date = date(2026, 3, 3)
    price: float = 180.0
    move: float = 0.0004
    gap: float = 0.008
    tick: float = 0.01
    volume: float = 20_000.0
    untraded: float = 0.0
    bars: int = 300
    price_limit: float | None = None


BAR_MARKETS = (
    BarMarket("share in New York"),
    BarMarket("share over the change to summer time", first=date(2026, 3, 6), bars=800),
    BarMarket("share on half days", first=date(2026, 11, 25), bars=620),
    BarMarket("index in Mumbai", "XNSE", price=25_000.0, tick=0.05, volume=0.0, move=0.0002, bars=700),
    BarMarket("share in Shanghai", "XSHG", first=date(2026, 3, 3), price=18.4, move=0.0008, bars=500),
    BarMarket("dear coin", "24x7", price=95_000.0, move=0.0005, gap=0.0),
    BarMarket("coin of coarse ticks", "24x7", price=0.00001234, tick=1e-8, move=0.0008, gap=0.0, volume=1e7),
    BarMarket("cheap share", "XNSE", price=7.35, tick=0.05, move=0.0008, volume=900.0),
    BarMarket("thin share", "XNSE", price=412.0, tick=0.05, move=0.0012, volume=40.0, untraded=0.3),
    BarMarket("hours of a share in Mumbai", "XNSE", "1h", first=date(2026, 1, 2), price=1_450.0, move=0.004, bars=200),
    BarMarket("quarters of a coin", "24x7", "15m", price=3_400.0, move=0.003, gap=0.0, bars=400),
    BarMarket("days of a share", "XSHG", "1d", date(2025, 1, 3), 1_500.0, 0.017, 0.004, price_limit=0.1, bars=250),
    BarMarket("days of an index", "XNYS", "1d", date(2025, 1, 3), 6_000.0, 0.011, 0.0, bars=250),
)


@dataclass(slots=True)
class Bars:
    """Bars of one series, oldest first, in columns that can be changed; the first fifty are known before."""

    market: BarMarket
    ts: Longs
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    amount: Floats
    received_after: float | None = None
    order: Longs | None = None

    def __len__(self) -> int:
        return len(self.ts)

    @property
    def length(self) -> int:
        """Return the length of a bar in microseconds."""
        return int(INTERVAL_LENGTH[self.market.interval].total_seconds()) * 1_000_000

    def somewhere(self, rng: np.random.Generator, room: int = 1) -> int:
        """Return a place among the bars that are judged, with so many bars from it on."""
        return int(rng.integers(_KNOWN, len(self) - room))

    def put(self, place: int, price: float) -> None:
        """Set a close, and stretch the bar so that it holds it."""
        self.close[place] = price
        self.reach(place, price)

    def reach(self, place: int, price: float, opened: bool = False) -> None:
        """Stretch a bar so that it holds a price; where `opened`, it is the first one."""
        self.high[place] = max(self.high[place], price)
        self.low[place] = min(self.low[place], price)
        if opened:
            self.open[place] = price

    def keep(self, places: Longs) -> None:
        """Keep these bars alone."""
        for name in ("ts", *_PRICES, "volume", "amount"):
            setattr(self, name, getattr(self, name)[places])

    def case(self) -> RowCase:
        """Return what is judged."""
        chosen = slice(_KNOWN, None)
        rows = len(self) - _KNOWN
        return RowCase(
            BARS,
            {
                "interval": [self.market.interval] * rows,
                "ts": moments(self.ts[chosen]),
                **{name: exact(getattr(self, name)[chosen]) for name in (*_PRICES, "volume", "amount")},
            },
            before=BarsBefore(
                self.close[:_KNOWN],
                self.volume[:_KNOWN],
                self.high[:_KNOWN] - self.low[:_KNOWN],
                int(self.ts[_KNOWN - 1]),
            ),
            calendar=None if self.market.calendar == "24x7" else self.market.calendar,
            price_limit=self.market.price_limit,
            received_after=self.received_after,
            length=self.length / 1e6,
            in_order=False,
            order=self.order,
        )


def make_bars(market: BarMarket, rng: np.random.Generator) -> Bars:
    """Return bars in which nothing is wrong."""
    total = market.bars + _KNOWN
    start = datetime.combine(market.first, datetime.min.time(), UTC)
    length = INTERVAL_LENGTH[market.interval]
    days = timedelta(days=30) + length * total * (2 if market.interval == "1d" else 8)
    ts = calendar_of(market.calendar).expected_starts(market.interval, start, start + days)[:total]
    is_first = np.diff(ts, prepend=ts[0]) > 4 * 3_600_000_000
    # Four degrees of freedom: moves of five deviations are seen every day.
    moves = rng.standard_t(4, total) / np.sqrt(2) * market.move
    moves += np.where(is_first, rng.standard_t(4, total) / np.sqrt(2) * market.gap, 0.0)
    if market.price_limit:
        moves = np.clip(moves, -0.95 * market.price_limit, 0.95 * market.price_limit)
    traded = rng.random(total) >= market.untraded
    moves = np.where(traded, moves, 0.0)
    close = market.price * np.exp(np.cumsum(moves))
    opened = np.concatenate([close[:1], close[:-1]]) * np.exp(np.where(is_first, moves, moves * 0.1))
    opened, close = _on_ticks(opened, market.tick), _on_ticks(close, market.tick)
    if market.untraded:
        # Nothing traded: the last price is shown.
        last = np.maximum.accumulate(np.where(traded, np.arange(total), 0))
        close = close[last]
        opened = np.where(traded, opened, close)
    wick = np.abs(rng.normal(0, market.move / 2, (2, total))) * close * traded
    high = _on_ticks(np.maximum(opened, close) + wick[0], market.tick)
    low = np.maximum(_on_ticks(np.minimum(opened, close) - wick[1], market.tick), market.tick)
    high, low = np.maximum.reduce([high, opened, close]), np.minimum.reduce([low, opened, close])
    volume = np.round(market.volume * np.exp(rng.normal(0, 0.8, total))) * traded
    volume = np.where(traded & (market.volume > 0), np.maximum(volume, 1.0), volume)
    amount = np.round(volume * (low + (high - low) * rng.uniform(0.3, 0.7, total)), 6)
    return Bars(market, ts, opened, high, low, close, volume, np.where(volume > 0, amount, np.nan))


def _on_ticks(prices: Floats, tick: float) -> Floats:
    return np.maximum(np.round(np.round(prices / tick) * tick, 10), tick)


@cache
def real_bars() -> dict[str, Bars]:
    """Return the bundled series by where they are from."""
    datasets = [
        *lean_minutes(_SAMPLE),
        *binance_bars(_SAMPLE),
        *days_of_indices(_SAMPLE),
        *(each for each in lean_coins(_SAMPLE) if each.interval),
    ]
    found = {}
    for dataset in datasets:
        bars = [bar for bar in dataset.read(lambda bad: None) if isinstance(bar, Bar)]
        tick = float(dataset.instrument.tick_size)
        market = BarMarket(dataset.name, dataset.calendar or "24x7", dataset.interval or "1m", tick=tick)
        opened, high, low, close = (np.array([float(getattr(bar, name)) for bar in bars]) for name in _PRICES)
        found[dataset.name] = Bars(
            market,
            micros_array(bar.ts for bar in bars),
            opened,
            high,
            low,
            close,
            np.array([float(bar.volume) for bar in bars]),
            np.array([np.nan if bar.amount is None else float(bar.amount) for bar in bars]),
        )
    return found


def real_part(name: str, start: int, number: int) -> Bars:
    """Return some bars of a bundled series."""
    whole = real_bars()[name]
    chosen = slice(start, start + number + _KNOWN)
    columns = {name: getattr(whole, name)[chosen].copy() for name in ("ts", *_PRICES, "volume", "amount")}
    return replace(whole, **columns)
