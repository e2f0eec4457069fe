"""One round of the quality monitor over live series: judge whole streams, keep what was found, and warn risk."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property

from sqlalchemy.ext.asyncio import AsyncSession

from services.marketdata import store
from services.marketdata.calendars import ALWAYS_OPEN, calendar_of
from services.marketdata.core.calendars import Calendar
from services.marketdata.core.catalogue import Subject
from services.marketdata.core.finding import SEVERITIES
from services.marketdata.core.monitor.arrival import SeriesState
from services.marketdata.core.monitor.timed import is_fed
from services.marketdata.handlers.outcome import publish
from services.marketdata.handlers.rules import Rules, load_rules
from services.marketdata.metrics import FINDINGS
from services.marketdata.store import Found, Origin, SeriesName
from shared.logging import Category, get_trading_logger
from shared.schemas.base import Severity
from shared.schemas.marketdata import MarkMessage, QualityIssue

_LOG = get_trading_logger("keelson.marketdata.monitor", Category.MARKET_DATA)
# A series that no row came of for longer is nobody's any more.
_REMEMBERED = timedelta(days=30)
PRICED = frozenset({Subject.BAR, Subject.TICK, Subject.ORDER_BOOK, Subject.MARKET_STATE})
# Risk trades on these; of a stale or frozen series only where no other one of its symbol is sound.
_ALONE = frozenset({"stale_age", "clock_frozen"})
_TO_RISK = _ALONE | {"clock_skew", "cross_source"}
Findings = list[tuple[SeriesName, QualityIssue]]


@dataclass(frozen=True)
class Round:
    """The live series as they are known now, and what they are judged by."""

    now: datetime
    series: Mapping[SeriesName, SeriesState]
    rules: Rules

    def calendar(self, symbol: str) -> Calendar:
        """Return the hours of a symbol's market."""
        return self.rules.calendar(symbol) or calendar_of(ALWAYS_OPEN)

    def is_fed(self, name: SeriesName) -> bool:
        """Return whether somebody feeds a series live."""
        return name in self._fed

    @cached_property
    def _fed(self) -> frozenset[SeriesName]:
        return frozenset(
            name for name, state in self.series.items() if is_fed(state, self.calendar(name.symbol), self.now)
        )

    def fed(self, subjects: Collection[Subject]) -> list[SeriesName]:
        """Return the series of some subjects that are fed live while their market is open."""
        return [
            name
            for name in sorted(self.series)
            if name.subject in subjects and self.calendar(name.symbol).is_open(self.now) and self.is_fed(name)
        ]


@dataclass
class Said:
    """What the log and risk were told of criticals: each only once, and risk anew once other rows came of a series.

    `standing` is what was found of a series when it was last judged, `looked` is when each check last looked at one,
    `waits` is how long one usually waits, as of its newest event.
    """

    standing: dict[tuple[SeriesName, str], Severity] = field(default_factory=dict)
    marked: dict[tuple[SeriesName, str], datetime] = field(default_factory=dict)
    looked: dict[tuple[str, SeriesName], datetime] = field(default_factory=dict)
    waits: dict[SeriesName, tuple[datetime, float]] = field(default_factory=dict)

    def in_turn(self, check: str, names: Iterable[SeriesName], limit: int, now: datetime) -> list[SeriesName]:
        """Return so many series that a check looks at now: those it has not looked at for longest."""
        waiting = [(self.looked.get((check, name)), name) for name in names]
        waiting.sort(key=lambda each: (each[0] is not None, each[0] or now, each[1]))
        chosen = [name for _, name in waiting[:limit]]
        self.looked.update({(check, name): now for name in chosen})
        return chosen


async def load_round(session: AsyncSession, now: datetime) -> Round:
    """Return the live series and their rules."""
    series = await store.all_series(session, now - _REMEMBERED)
    return Round(now, series, await load_rules(session, sorted({name.symbol for name in series})))


async def keep(
    session: AsyncSession, of: Round, said: Said, codes: Sequence[str], judged: Iterable[SeriesName], found: Findings
) -> None:
    """Keep what was found by some checks, end what was not found again of the series judged, tell the log and risk."""
    chosen = list(judged)
    groups: dict[tuple[str, Subject], set[str]] = {}
    for name in chosen:
        groups.setdefault((name.source, name.subject), set()).add(name.symbol)
    for (source, subject), symbols in sorted(groups.items()):
        worst: dict[tuple[str, str], Found] = {}
        for name, issue in found:
            if (name.source, name.subject) != (source, subject):
                continue
            known = worst.get((name.symbol, issue.code))
            if known is None or SEVERITIES.index(issue.severity) > SEVERITIES.index(known.issue.severity):
                ts = of.series[name].last_ts
                worst[name.symbol, issue.code] = Found(name.symbol, subject.value, issue, 1, ts, ts)
        origin = Origin("", source, of.now)
        await store.put_issues(session, origin, subject.value, sorted(symbols), codes, list(worst.values()))
    critical = {(name, issue.code) for name, issue in found if issue.severity is Severity.CRITICAL}
    for name, code in sorted(each for each in critical if said.standing.get(each) is not Severity.CRITICAL):
        _LOG.log_data_quality(symbol=name.symbol, severity=Severity.CRITICAL, findings=[code], source=name.source)
    _stand(of, said, codes, set(chosen), found)
    await _warn(session, of, said, codes, set(chosen), critical)


def _stand(of: Round, said: Said, codes: Sequence[str], judged: set[SeriesName], found: Findings) -> None:
    """Count what stands of some checks; one that was not judged in this round is as it was."""
    kept = {
        each: severity
        for each, severity in said.standing.items()
        if each[1] not in codes or (each[0] not in judged and each[0] in of.series)
    }
    said.standing = {**kept, **{(name, issue.code): issue.severity for name, issue in found}}
    counts = Counter((code, severity) for (_, code), severity in said.standing.items())
    for code in codes:
        for severity in (Severity.WARNING, Severity.CRITICAL):
            FINDINGS.labels(code, severity.value).set(counts[code, severity])


async def _warn(
    session: AsyncSession,
    of: Round,
    said: Said,
    codes: Sequence[str],
    judged: set[SeriesName],
    critical: set[tuple[SeriesName, str]],
) -> None:
    """Tell risk not to trust a symbol's price; the next usable row's mark takes that back."""
    over = [
        each for each in said.marked if each[1] in codes and (each[0] in judged or each[0] not in of.series)
    ]  # fmt: skip
    for each in over:
        if each not in critical:
            del said.marked[each]
    marks = []
    for name, code in sorted(critical):
        if code not in _TO_RISK or name.subject not in PRICED:
            continue
        if code in _ALONE and _is_priced_elsewhere(of, name, critical):
            continue
        told = said.marked.get((name, code))
        if told is not None and of.series[name].message_at <= told:
            continue
        mark = await _critical_mark(session, of, name)
        if mark is not None:
            said.marked[name, code] = of.now
            marks.append(mark)
    await publish(session, marks)


def _is_priced_elsewhere(of: Round, name: SeriesName, critical: set[tuple[SeriesName, str]]) -> bool:
    unsound = {each for each, _ in critical}
    others = (each for each in of.series if each.symbol == name.symbol and each.subject in PRICED)
    return any(each not in unsound and of.is_fed(each) for each in others)


async def _critical_mark(session: AsyncSession, of: Round, name: SeriesName) -> MarkMessage | None:
    last = of.series[name].last_ts
    prices = await store.last_prices(session, name, last - timedelta(hours=1), last, 1)
    if not prices:
        return None
    return MarkMessage(
        symbol=name.symbol, price=prices[-1][1], ts_event=of.now, source=name.source, severity=Severity.CRITICAL
    )
