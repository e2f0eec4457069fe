"""Made trades, liquidations, books and funding rates, and the real ones that may be published."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.corpus.rows import RowCase, exact, micros, moments
from services.marketdata.core.calendars import micros_array
from services.marketdata.core.flags import Floats, Longs
from services.marketdata.formats.found_binance import binance_streams
from services.marketdata.formats.found_lean import lean_coins, lean_quotes_of_minutes
from services.marketdata.rows.kinds import FUNDING_RATES, LIQUIDATIONS, ORDER_BOOKS, TICKS, RowKind
from shared.schemas.market_events import FundingRate, OrderBook, Tick

_SAMPLE = Path(__file__).parents[2] / "data" / "sample"
_ROWS, _KNOWN = 250, 50
_MOST_REAL = 400


@dataclass(frozen=True, slots=True)
class EventMarket:
    """How trades and quotes are made: seconds between two, the deviation of a move, spreads and steps of price."""

    name: str
    first: datetime = datetime(2026, 3, 4, 15, 0, tzinfo=UTC)
    calendar: str | None = None
    price: float = 95_000.0
    tick: float = 0.1
    move: float = 0.00003
    seconds: float = 0.4
    spread: float = 0.000002


EVENT_MARKETS = (
    EventMarket("coin"),
    EventMarket("coin in the night", move=0.00001, seconds=20.0, spread=0.00001),
    EventMarket("coin of coarse ticks", price=0.00001234, tick=1e-8, spread=0.0005, move=0.0001),
    EventMarket("share in New York", calendar="XNYS", price=180.0, tick=0.01, spread=0.00006),
    EventMarket("small share", calendar="XNYS", price=4.2, tick=0.01, spread=0.004, move=0.0006, seconds=20.0),
)


@dataclass(slots=True)
class Events:
    """Rows of one symbol, in columns that can be changed; of books `price` is the mid and `spread` what is around it.

    `numbers` are the ids of trades and liquidations and the updates of books, `named` the updates that books follow.
    """

    kind: RowKind
    market: EventMarket
    ts: Longs
    price: Floats
    quantity: Floats
    spread: Floats
    numbers: Longs
    named: Longs | None = None
    before: Any = None
    received_after: float | None = None
    lead: float = 0.0
    order: Longs | None = None
    # Of books both sides as they are sent, where they are more than their best levels or none, by place.
    sides: dict[int, tuple[str, str]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ts)

    def somewhere(self, rng: np.random.Generator, room: int = 1) -> int:
        """Return a place in the latter half, with so many rows from it on."""
        return int(rng.integers(len(self) // 2, len(self) - room))

    def case(self) -> RowCase:
        """Return what is judged."""
        return RowCase(
            self.kind,
            {"ts": moments(self.ts), **self._columns()},
            before=self.before,
            calendar=self.market.calendar,
            received_after=self.received_after,
            lead=self.lead,
            order=self.order,
        )

    def _columns(self) -> dict[str, Any]:
        if self.kind is TICKS or self.kind is LIQUIDATIONS:
            number = pa.array([str(each) for each in self.numbers])
            amounts = {"price": exact(self.price), "quantity": exact(self.quantity)}
            if self.kind is TICKS:
                return {"trade_id": number, **amounts}
            return {"liquidation_id": number, "side": pa.array(["SELL"] * len(self)), **amounts}
        sides = {"bids": self.price - self.spread / 2, "asks": self.price + self.spread / 2}
        found: dict[str, Any] = {
            name: pa.array([f'[["{price:.10f}","1"]]' if price == price else "[]" for price in prices])
            for name, prices in sides.items()
        }
        for place, said in self.sides.items():
            for name, side in zip(sides, said, strict=True):
                found[name] = pc.replace_with_mask(found[name], np.arange(len(self)) == place, pa.scalar(side))
        if self.named is not None:
            found |= {"sequence": pa.array(self.numbers), "previous_sequence": pa.array(self.named)}
        return found


def make_events(kind: RowKind, market: EventMarket, rng: np.random.Generator) -> Events:
    """Return rows in which nothing is wrong."""
    total = _ROWS + _KNOWN
    waits = np.round(rng.exponential(market.seconds, total) * 1e6).astype(np.int64) + 1
    price = market.price * np.exp(np.cumsum(rng.standard_t(4, total) / np.sqrt(2) * market.move))
    # Trades are at the bid or the ask of their moment.
    spread = np.maximum(np.round(market.price * market.spread * rng.lognormal(0, 0.4, total) / market.tick), 1)
    at = price if kind is ORDER_BOOKS else price + rng.choice([-0.5, 0.5], total) * spread * market.tick
    price = np.maximum(np.round(at / market.tick), 1) * market.tick
    numbers = 7_000_000 + np.cumsum(rng.integers(1, 40, total) if kind is ORDER_BOOKS else np.ones(total, np.int64))
    named = np.concatenate([[numbers[0] - 3], numbers[:-1]])
    before: Any = None
    if kind is ORDER_BOOKS:
        before = [int(each) for each in numbers[_KNOWN - 2 : _KNOWN]]
    elif kind is TICKS:
        before = price[:_KNOWN]
    chosen = slice(_KNOWN, None)
    return Events(
        kind,
        market,
        (micros(market.first) + np.cumsum(waits))[chosen],
        price[chosen],
        np.round(rng.lognormal(0, 1.2, total), 3)[chosen] + 0.001,
        (spread * market.tick)[chosen],
        numbers[chosen],
        named[chosen] if kind is ORDER_BOOKS else None,
        before,
    )


def make_funding(hours: int, rng: np.random.Generator) -> tuple[Longs, Floats]:
    """Return the times and rates of a month of funding; venues stamp them some milliseconds late."""
    number = 30 * 24 // hours
    ts = micros(datetime(2026, 2, 1, tzinfo=UTC)) + np.arange(number) * hours * 3_600_000_000
    late = rng.integers(0, 30, number) * 1_000
    return ts + late, np.round(0.0001 + rng.standard_t(3, number) * 0.00015, 8)


def funding_case(ts: Longs, rate: Floats, hours: int, **beside: Any) -> RowCase:
    """Return funding rates to judge."""
    columns = {"ts": moments(ts), "rate": exact(rate), "interval_hours": pa.array([hours] * len(ts), pa.int16())}
    return RowCase(FUNDING_RATES, columns, in_order=False, **beside)


@cache
def real_funding() -> tuple[Longs, Floats]:
    """Return the bundled funding rates of a perpetual, every eight hours."""
    rates = [
        each for dataset in lean_coins(_SAMPLE) for each in dataset.read(lambda bad: None)
        if isinstance(each, FundingRate)
    ]  # fmt: skip
    return micros_array(each.ts for each in rates), np.array([float(each.rate) for each in rates])


@cache
def _real() -> dict[RowKind, list[tuple[str, EventMarket, list[Any]]]]:
    found: dict[RowKind, list[tuple[str, EventMarket, list[Any]]]] = {TICKS: [], ORDER_BOOKS: []}
    for dataset in (*binance_streams(_SAMPLE), *lean_quotes_of_minutes(_SAMPLE)):
        # Of the quotes alone there are thousands.
        rows = list(dataset.read(lambda bad: None))[:_MOST_REAL]
        calendar = None if dataset.calendar == "24x7" else dataset.calendar
        market = EventMarket(dataset.name, calendar=calendar, tick=float(dataset.instrument.tick_size))
        kind = TICKS if isinstance(rows[0], Tick) else ORDER_BOOKS
        found[kind].append(("LEAN GOOG" if calendar else "Binance futures", market, rows))
    return found


def real_events(kind: RowKind) -> list[tuple[str, Events]]:
    """Return the bundled rows of a kind, each series with where it is from."""
    found = []
    for origin, market, rows in _real().get(kind, []):
        ts = micros_array(row.ts for row in rows)
        if kind is TICKS:
            price = np.array([float(row.price) for row in rows])
            quantity = np.array([float(row.quantity) for row in rows])
            numbers = np.array([int(row.trade_id) for row in rows])
            found.append((origin, Events(kind, market, ts, price, quantity, np.zeros(len(ts)), numbers)))
            continue
        bid, ask = (np.array([_best(row, side) for row in rows]) for side in ("bids", "asks"))
        numbers = np.array([-1 if row.sequence is None else row.sequence for row in rows])
        named = np.array([-1 if row.previous_sequence is None else row.previous_sequence for row in rows])
        events = Events(kind, market, ts, (bid + ask) / 2, np.ones(len(ts)), ask - bid, numbers, named)
        found.append((origin, events))
    return found


def _best(book: OrderBook, side: str) -> float:
    levels = getattr(book, side)
    return float(levels[0][0]) if levels else np.nan
