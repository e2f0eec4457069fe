"""What a folder of market data holds: datasets, their records and the rows that could not be read."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Generic
from zoneinfo import ZoneInfo

from typing_extensions import TypeVar

from services.marketdata.core.stream.messages import Message, Stream
from shared.schemas.instruments import Instrument
from shared.schemas.market_events import FundingRate, OrderBook, Tick
from shared.schemas.marketdata import INTERVAL_LENGTH, Bar, Interval, MarketState

# What can be traded on within the day, and all there is.
Record = Bar | MarketState
AnyRecord = Record | Tick | OrderBook | FundingRate
R_co = TypeVar("R_co", bound=AnyRecord, default=Record, covariant=True)


class FormatError(Exception):
    """A file is not what its name says; the text names the file and, where there is one, the line."""


class RowRefused(FormatError):
    """A bad row that nobody asked to hear of."""


@dataclass(frozen=True, slots=True)
class BadRow:
    """Something that could not be taken as it stands; line 0 means the file, or a member of it, as a whole.

    `lost` says that the file could not be read at all, which is more than rows that are left out.
    """

    file: str
    line: int
    reason: str
    lost: bool = False

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}" if self.line else f"{self.file}: {self.reason}"


Report = Callable[[BadRow], None]


def refuse(bad: BadRow) -> None:
    """Raise RowRefused: what happens to a bad row when nobody asked to hear of it."""
    raise RowRefused(str(bad))


@contextmanager
def losing(files: Sequence[Path], report: Report) -> Iterator[None]:
    """Report the file of several that cannot be read as lost, so that those after it can still be."""
    try:
        yield
    except RowRefused:
        raise
    except FormatError as error:
        said = str(error)
        file = next((each for each in files if said.startswith(str(each))), files[0])
        report(BadRow(str(file), 0, said.removeprefix(str(file)).lstrip("!: "), lost=True))


class DatasetKind(StrEnum):
    """What the records are: bars, states of an underlying with its option chain, trades, books or funding rates."""

    BARS = "bars"
    STATES = "states"
    TICKS = "ticks"
    ORDER_BOOKS = "order_books"
    FUNDING_RATES = "funding_rates"


Hear = Callable[[Message], None]


@dataclass(frozen=True, slots=True)
class RawStream(Generic[R_co]):
    """The stream that records are made of; `read` tells each of its messages before the record that it makes."""

    stream: Stream
    read: Callable[[Report, Hear], Iterator[R_co]]


@dataclass(frozen=True, slots=True)
class Dataset(Generic[R_co]):
    """One instrument's records of one kind from one source, and what must be known to replay them.

    `timezone` and `calendar` are those of the sessions: `24x7`, the ISO 10383 code of an exchange, or None where
    nothing is known of them. `interval` is None for all but bars; `read` yields the records of `files`. `raw` is the
    stream they are made of, None of what was recorded as it is. `price_limit` is the greatest move of a day as a
    fraction of the prior close, None where the market has none.
    """

    name: str
    kind: DatasetKind
    symbol: str
    source: str
    timezone: ZoneInfo
    calendar: str | None
    interval: Interval | None
    instrument: Instrument
    files: tuple[Path, ...]
    read: Callable[[Report], Iterator[R_co]]
    raw: RawStream[R_co] | None = None
    price_limit: float | None = None

    @property
    def currency(self) -> str:
        """Return the currency its prices are in."""
        return self.instrument.currency

    def records(self, on_bad_row: Report | None = None, *, whole: bool = True) -> Iterator[R_co]:
        """Yield the records in time order, reading as they are asked for; may be called again.

        Bars and states are each later than the one before; of the others several may be of one moment.

        Bad rows go to `on_bad_row` and are left out; without it the first one raises FormatError.
        A file that cannot be read at all raises FormatError; where the dataset need not be `whole`, and has other
        files, it goes to `on_bad_row` as lost.
        """
        report = on_bad_row or refuse
        return self.read(_whole(report) if whole else report)

    def session_date(self, record: AnyRecord) -> date:
        """Return the local date a record belongs to: that of a bar's start, or of its moment."""
        return _moment(record).astimezone(self.timezone).date()


def _whole(report: Report) -> Report:
    def told(bad: BadRow) -> None:
        (refuse if bad.lost else report)(bad)

    return told


def known_at(record: AnyRecord) -> datetime:
    """Return when a record was complete: the end of a bar, the moment of anything else."""
    moment = _moment(record)
    return moment + INTERVAL_LENGTH[record.interval] if isinstance(record, Bar) else moment


def _moment(record: AnyRecord) -> datetime:
    if not isinstance(record, MarketState):
        return record.ts
    if record.timestamp is None:
        raise ValueError(f"a state of {record.symbol} has no timestamp")
    return record.timestamp
