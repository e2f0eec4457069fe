"""The widths that bars of one minute are rolled up to: where a bucket starts and ends, here and in SQL.

A session's hours start with the session, and its days at the exchange's midnight; see the migration that makes the
roll-ups.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from zoneinfo import ZoneInfo

from services.marketdata.core.catalogue import Subject
from shared.schemas.marketdata import Interval

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INSTANT = timedelta(microseconds=1)
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
# So near to the first and last moment there are is no bucket.
_MARGIN = timedelta(days=2)
FINEST = "ohlcv_5m"


@dataclass(frozen=True, slots=True)
class Width:
    """A roll-up: its name, whether it is summed from minutes or from the finest roll-up, and its buckets.

    Buckets are `step` long and start `shift` after the epoch's multiples of it; with a zone they are its days.
    """

    name: str
    from_minutes: bool
    step: timedelta
    shift: timedelta = timedelta(0)
    zone: str | None = None

    def start(self, moment: datetime) -> datetime:
        """Return where the bucket of a moment starts."""
        moment = min(max(moment, _FIRST + _MARGIN), _LAST - _MARGIN)
        if self.zone is None:
            return moment - (moment - _EPOCH - self.shift) % self.step
        local = moment.astimezone(ZoneInfo(self.zone))
        return datetime(local.year, local.month, local.day, tzinfo=ZoneInfo(self.zone)).astimezone(UTC)

    def end(self, moment: datetime) -> datetime:
        """Return where the bucket that ends with a moment, or holds it, ends."""
        start = self.start(moment - _INSTANT)
        if self.zone is None:
            return start + self.step
        local = start.astimezone(ZoneInfo(self.zone)) + timedelta(days=1)
        return datetime(local.year, local.month, local.day, tzinfo=ZoneInfo(self.zone)).astimezone(UTC)

    def ended_by(self, moment: datetime) -> datetime:
        """Return the latest start that a bucket can have which has ended by a moment."""
        # Not by its start where it has hours of two kinds, as a Chinese day.
        return moment - self.step if self.zone is None else self.start(moment) - _INSTANT

    def not_ended_before(self, moment: datetime) -> datetime:
        """Return the earliest start that a bucket can have which has not ended before a moment."""
        return moment - self.step if self.zone is None else self.start(moment - _INSTANT)

    @property
    def sql(self) -> str:
        """Return the start of the bucket of `ts` in PostgreSQL's own terms."""
        if self.zone is not None:
            return f"date_trunc('day', ts, '{self.zone}')"
        origin = (_EPOCH + self.shift).isoformat()
        return f"date_bin(INTERVAL '{int(self.step.total_seconds())} seconds', ts, TIMESTAMPTZ '{origin}')"

    def ends(self, column: str) -> str:
        """Return the end of the bucket that starts with a column in PostgreSQL's own terms."""
        if self.zone is not None:
            return f"(({column} AT TIME ZONE '{self.zone}') + INTERVAL '1 day') AT TIME ZONE '{self.zone}'"
        return f"{column} + INTERVAL '{int(self.step.total_seconds())} seconds'"


def _minutes(count: int) -> timedelta:
    return timedelta(minutes=count)


WIDTHS = (
    Width(FINEST, True, _minutes(5)),
    Width("ohlcv_15m", False, _minutes(15)),
    Width("ohlcv_1h", False, _minutes(60)),
    Width("ohlcv_1h_us", False, _minutes(60), _minutes(30)),
    Width("ohlcv_1h_nse", False, _minutes(60), _minutes(45)),
    Width("ohlcv_1d", False, _minutes(1440), zone="UTC"),
    Width("ohlcv_1d_nse", False, _minutes(1440), zone="Asia/Kolkata"),
    Width("ohlcv_1d_cn", False, _minutes(1440), zone="Asia/Shanghai"),
    Width("ohlcv_1d_us", False, _minutes(1440), zone="America/New_York"),
)
# A view of two others: the morning has the hours of one, the afternoon those of the other.
_CHINESE_HOUR = Width("ohlcv_1h_cn", False, _minutes(60), _minutes(30))
_BY_NAME = {width.name: width for width in (*WIDTHS, _CHINESE_HOUR)}
# What the views of an exchange's own hours and days end in, by the code of its calendar.
_MARKETS = {
    "XNSE": "_nse", "XBOM": "_nse", "XSHG": "_cn", "XSHE": "_cn", "XNYS": "_us", "XNAS": "_us",
}  # fmt: skip
VOLUME = Width("trade_volume_1h", False, _minutes(60))
# What is summed from rows of which kind.
SUMMED: Mapping[Subject, Sequence[Width]] = MappingProxyType({Subject.BAR: WIDTHS, Subject.TICK: (VOLUME,)})


def width_of(interval: Interval, calendar: str) -> Width | None:
    """Return the roll-up that has bars of an interval as a calendar counts them; None for minutes."""
    if interval == "1m":
        return None
    own = _MARKETS.get(calendar, "") if interval in ("1h", "1d") else ""
    return _BY_NAME[f"ohlcv_{interval}{own}"]


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A range of time of one symbol of one source, from a start until before an end."""

    scope: str
    symbol: str
    source: str
    start: datetime
    end: datetime

    @property
    def of(self) -> tuple[str, str, str]:
        """Return the scope, symbol and source."""
        return self.scope, self.symbol, self.source


def aligned(width: Width, spans: Iterable[Span], kept_from: datetime | None = None) -> list[Span]:
    """Return spans of whole buckets that cover the spans, and do not overlap.

    Buckets that begin before `kept_from` are left as they are: some of their rows may be gone.
    """
    first = _FIRST if kept_from is None else width.end(kept_from)
    found: list[Span] = []
    for whole in sorted(
        Span(each.scope, each.symbol, each.source, width.start(each.start), width.end(each.end)) for each in spans
    ):
        if whole.end <= first:
            continue
        span = Span(*whole.of, max(whole.start, first), whole.end)
        last = found[-1] if found else None
        if last and last.of == span.of and span.start <= last.end:
            found[-1] = Span(*span.of, last.start, max(last.end, span.end))
        else:
            found.append(span)
    return found


def portions(width: Width, spans: Iterable[Span], most: timedelta) -> Iterator[list[Span]]:
    """Yield spans of whole buckets in groups that last `most` together, or one bucket; long ones are cut."""
    group: list[Span] = []
    room = most
    for span in spans:
        start = span.start
        while start < span.end:
            end = span.end if span.end - start <= room else max(width.start(start + room), width.end(start + _INSTANT))
            group.append(Span(*span.of, start, end))
            room -= end - start
            start = end
            if room < width.step:
                yield group
                group, room = [], most
    if group:
        yield group
