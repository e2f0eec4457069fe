"""What every connection to a source of market data offers, and the batches it gives."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from services.marketdata.core.feeds.rows import Observed
from services.marketdata.core.stream.news import News
from services.marketdata.feeds.errors import Unsupported
from shared.schemas.base import Severity
from shared.schemas.market_events import (
    FundingRate,
    FundingRateBatch,
    Liquidation,
    LiquidationBatch,
    OrderBook,
    OrderBookBatch,
    Tick,
    TickBatch,
)
from shared.schemas.marketdata import (
    INTERVAL_LENGTH,
    Bar,
    BarBatch,
    IngestResult,
    Interval,
    MarketState,
    MarketStateBatch,
)

Row = Bar | Tick | OrderBook | FundingRate | Liquidation | MarketState
Batch = BarBatch | TickBatch | OrderBookBatch | FundingRateBatch | LiquidationBatch | MarketStateBatch

# Each kind of row: its batch, the field of it that holds the rows, and how many at most: what a result names singly.
_BATCHES: dict[type[Row], tuple[type[Batch], str, int]] = {
    Bar: (BarBatch, "bars", 1_000),
    Tick: (TickBatch, "ticks", 1_000),
    OrderBook: (OrderBookBatch, "order_books", 1_000),
    FundingRate: (FundingRateBatch, "funding_rates", 1_000),
    Liquidation: (LiquidationBatch, "liquidations", 1_000),
    MarketState: (MarketStateBatch, "states", 500),
}
_FIELDS = {batch: field for batch, field, _ in _BATCHES.values()}


def batches_of(source: str, rows: Sequence[Row], simulation_id: str | None = None) -> list[Batch]:
    """Return rows of one kind as batches, in their order, none longer than a result names rows."""
    if not rows:
        return []
    batch, field, most = _BATCHES[type(rows[0])]
    pieces = (rows[at : at + most] for at in range(0, len(rows), most))
    # Rows that are contracts already are not checked again.
    return [batch.model_validate({"source": source, "simulation_id": simulation_id, field: each}) for each in pieces]


def without_rows(source: str, kind: type[Row], simulation_id: str | None) -> Batch:
    """Return a batch for news alone: of messages that no row was made of, such as those of a book that is lost."""
    batch, field, _ = _BATCHES[kind]
    # On the wire there is no such batch, so that its contract is not asked.
    values: dict[str, Any] = {"source": source, "simulation_id": simulation_id, field: []}
    return batch.model_construct(**values)


def rows_of(batch: Batch) -> Sequence[Row]:
    """Return the rows of a batch."""
    rows: Sequence[Row] = getattr(batch, _FIELDS[type(batch)])
    return rows


def event_time(row: Row) -> datetime | None:
    """Return when what a row says was known: the end of a bar, else its own time; None of a state without one."""
    if isinstance(row, Bar):
        return row.ts + INTERVAL_LENGTH[row.interval]
    return row.timestamp if isinstance(row, MarketState) else row.ts


def newest(rows: Sequence[Row]) -> datetime | None:
    """Return the latest event time of rows of one kind, None of none."""
    # Bars by interval: adding its length to each of 50,000 would take as long as judging them.
    found = [max(row.ts for row in each) + length for each, length in _by_interval(rows)]
    return max(found or (moment for row in rows if (moment := event_time(row)) is not None), default=None)


def oldest(rows: Sequence[Row]) -> datetime | None:
    """Return from when on rows of one kind say something: the first start of a bar, else the first event time."""
    times = (row.timestamp if isinstance(row, MarketState) else row.ts for row in rows)
    return min((moment for moment in times if moment is not None), default=None)


def cadence(rows: Sequence[Row]) -> timedelta:
    """Return how long after its event time the next row can be known: of bars, their shortest interval."""
    return min((length for _, length in _by_interval(rows)), default=timedelta(0))


def observed(batch: Batch, result: IngestResult) -> Observed:
    """Return what a batch showed, from what became of it; a result names at most 1,000 rows, so none longer here."""
    rows = rows_of(batch)
    severities = {verdict.index: verdict.severity for verdict in result.verdicts}
    bad = {index for index, severity in severities.items() if severity is Severity.CRITICAL}
    # A row that was refused is of no more use than one that is stored as critical.
    bad |= {rejected.index for rejected in result.rejected}
    good = [row for index, row in enumerate(rows) if index not in bad] if bad else rows
    return Observed(
        rows=len(rows),
        warning=sum(1 for severity in severities.values() if severity is Severity.WARNING),
        critical=len(bad),
        newest=newest(rows),
        newest_good=newest(good),
        first_good=oldest(good),
        cadence=cadence(rows),
    )


def _by_interval(rows: Sequence[Row]) -> list[tuple[list[Bar], timedelta]]:
    groups: dict[Interval, list[Bar]] = {}
    for row in rows:
        if not isinstance(row, Bar):
            return []
        groups.setdefault(row.interval, []).append(row)
    return [(bars, INTERVAL_LENGTH[interval]) for interval, bars in groups.items()]


def _nothing() -> None:
    return None


@dataclass(frozen=True, slots=True)
class Delivery:
    """A batch, and what is to be called once it is safe with whoever took it: the connector then moves on.

    Where it is not called the same rows come again: what could not be stored is not lost. `news` is what the checks
    of the raw stream that the rows were made of say beside them, None of what is made of no raw stream.
    """

    batch: Batch
    taken: Callable[[], None] = _nothing
    news: News | None = None


@dataclass(frozen=True, slots=True)
class Poll:
    """Something to ask for every so many seconds; each `fetch` is one call, and empty where there is nothing new.

    An answer of `page` rows is a full one: there may be more, and it is asked again at once.
    """

    name: str
    every: float
    fetch: Callable[[], Awaitable[Sequence[Delivery]]]
    page: int = 1_000_000


@dataclass(frozen=True, slots=True)
class Stream:
    """Something that comes by itself once opened, going on after what was taken last; it ends with the source."""

    name: str
    open: Callable[[], AsyncGenerator[Delivery, None]]


class Connector(Protocol):
    """A source of market data, by the name its batches carry.

    Whatever it raises of a source is a FeedError. A runner drives it: time limits, retries and breaker are not its
    concern. Being cancelled anywhere leaves nothing behind that `close` does not close.
    """

    @property
    def name(self) -> str:
        """Return the source's name."""

    async def open(self) -> None:
        """Prepare: what must be known of the source before anything can be asked. Called again where it failed."""

    def jobs(self) -> Sequence[Poll | Stream]:
        """Return what is to be polled and what streams; none of a source that sends by itself."""

    async def fetch_bars(self, symbol: str, interval: Interval, start: datetime, end: datetime) -> list[Bar]:
        """Return the first bars in [start, end), oldest first, as many as one call gives; none where there are none.

        Raises Unsupported where the source has no history.
        """

    async def close(self) -> None:
        """Close what is open. May be called more than once."""


class WithoutHistory:
    """Part of a connector whose source cannot be asked for the past."""

    async def fetch_bars(self, symbol: str, interval: Interval, start: datetime, end: datetime) -> list[Bar]:
        """Raise Unsupported."""
        raise Unsupported(f"no history of {symbol} can be asked for")

    async def open(self) -> None:
        """Return at once: there is nothing to prepare."""

    async def close(self) -> None:
        """Return at once: there is nothing to close."""


def describe(batch: Batch) -> dict[str, Any]:
    """Return what a batch holds, for a log line."""
    return {"source": batch.source, "kind": _FIELDS[type(batch)], "rows": len(rows_of(batch))}
