"""What follows from rows that were stored: marks to publish, figures of feeds, metrics and the log."""

from collections.abc import Collection, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
from sqlalchemy.ext.asyncio import AsyncSession

from services.marketdata import store
from services.marketdata.core.calendars.sessions import from_micros, to_micros
from services.marketdata.core.catalogue import CATALOGUE, Subject
from services.marketdata.core.finding import SEVERITIES
from services.marketdata.core.stream.lanes import CODES
from services.marketdata.core.stream.news import SUBJECTS, News
from services.marketdata.metrics import ROWS, VERDICTS
from services.marketdata.store import FeedChange, Found, Origin
from shared.logging import Category, get_trading_logger
from shared.schemas.base import Severity
from shared.schemas.marketdata import MarkMessage, Verdict

Mode = Literal["lenient", "strict"]
# What a result says of single rows; the counts are of all.
MOST_NAMED = 1_000
_LOG = get_trading_logger("keelson.marketdata.quality", Category.MARKET_DATA)
# Those found on rows themselves; the others are of a whole stream, and ended by whoever watches it.
OF_STREAMS = frozenset(
    {
        "stale_age", "clock_frozen", "gap", "duplicate", "out_of_order", "cross_source", "row_volume", "response_time",
        "failure_rate", "clock_skew",
    }
)  # fmt: skip
_OF_ROWS = {
    subject: [code for code, check in CATALOGUE.items() if subject in check.subjects and code not in OF_STREAMS]
    for subject in Subject
}
# A state that only repeats itself is stale by its own content; that none comes is the monitor's. What is quoted twice
# is so within a state.
_OF_ROWS[Subject.MARKET_STATE] += ["stale_age", "duplicate"]


async def publish(session: AsyncSession, marks: Sequence[MarkMessage]) -> None:
    """Queue marks in their order."""
    if marks:
        await store.put_marks(session, [mark.model_dump_json() for mark in marks])


def usable(marks: Sequence[MarkMessage]) -> int:
    """Return how many marks may be traded on."""
    return sum(1 for mark in marks if mark.severity is not Severity.CRITICAL)


async def count_feed(
    session: AsyncSession,
    origin: Origin,
    codes: npt.NDArray[np.int64],
    symbols: Sequence[str],
    severities: npt.NDArray[np.int16],
    moments: npt.NDArray[np.int64],
) -> None:
    """Add new rows to the figures of their feed; `codes` are their symbols' places, `moments` microseconds."""
    if not len(codes):
        return
    rows, warning, critical = (
        np.bincount(codes[chosen], minlength=len(symbols)).tolist()
        for chosen in (severities >= 0, severities == 1, severities == 2)
    )
    last = np.full(len(symbols), np.iinfo(np.int64).min)
    # A moment of the future would stand as the last one for long.
    np.maximum.at(last, codes, moments if origin.scope else np.minimum(moments, to_micros(origin.ts_init)))
    changes = {
        symbol: FeedChange(rows[n], warning[n], critical[n], from_micros(int(last[n])))
        for n, symbol in enumerate(symbols)
        if rows[n]
    }
    await store.count_feed(session, origin, changes)


def count_rows(kind: str, stored: int, unchanged: int, rejected: int, severities: npt.NDArray[np.int16]) -> None:
    """Count what became of the rows of a batch."""
    for outcome, number in (("stored", stored), ("unchanged", unchanged), ("rejected", rejected)):
        if number:
            ROWS.labels(kind, outcome).inc(number)
    for place, number in enumerate(np.bincount(severities, minlength=len(SEVERITIES)).tolist()):
        if number:
            VERDICTS.labels(kind, SEVERITIES[place].value).inc(number)


def log_critical(source: str, verdicts: Sequence[Verdict]) -> None:
    """Log one line for each symbol with critical rows."""
    by_symbol: dict[str, set[str]] = {}
    for verdict in verdicts:
        if verdict.severity is Severity.CRITICAL:
            by_symbol.setdefault(verdict.symbol, set()).update(issue.code for issue in verdict.issues)
    for symbol, codes in by_symbol.items():
        _LOG.log_data_quality(symbol=symbol, severity=Severity.CRITICAL, findings=sorted(codes), source=source)


async def keep_issues(
    session: AsyncSession,
    origin: Origin,
    subject: Subject,
    symbols: Sequence[str],
    verdicts: Sequence[Verdict],
    past: Collection[str],
    news: News | None = None,
) -> None:
    """Keep what was found of new rows as issues, and end those of their symbols that were not found again.

    Rows that come again as they are stored say nothing. Of symbols of the `past` what is found says nothing of the
    present: it has ended with the batch. What stands by the `news` of the raw stream that the rows are made of goes on,
    and is counted by its messages alone.
    """
    found: dict[tuple[str, str], Found] = {}
    for verdict in verdicts:
        for issue in verdict.issues:
            _add(found, Found(verdict.symbol, subject.value, issue, 1, verdict.ts, verdict.ts))
    checked = _OF_ROWS[subject]
    if news is not None:
        by_messages = _found_of(news)
        counted = {code for _, code in by_messages} | news.standing
        found = {key: each for key, each in found.items() if key[1] not in counted} | by_messages
        checked = sorted({*checked, *CODES[news.stream]} - news.standing)
        # Messages are new though the rows made of them may be known.
        symbols = sorted({*symbols, news.symbol})
    await store.put_issues(session, origin, subject.value, symbols, checked, list(found.values()), past)
    if news is not None:
        await _end(session, origin, news)


async def keep_news(session: AsyncSession, origin: Origin, news: News) -> None:
    """Keep what the checks of a raw stream found of messages without rows, and end what stands no longer."""
    found = list(_found_of(news).values())
    checked = sorted({*CODES[news.stream]} - news.standing)
    await store.put_issues(session, origin, SUBJECTS[news.stream].value, [news.symbol], checked, found)
    await _end(session, origin, news)


async def _end(session: AsyncSession, origin: Origin, news: News) -> None:
    """End what messages showed and no longer show: nothing may come after them."""
    over = {each.issue.code for each in news.found} - news.standing
    if over:
        await store.put_issues(session, origin, SUBJECTS[news.stream].value, [news.symbol], sorted(over), [])


def _found_of(news: News) -> dict[tuple[str, str], Found]:
    found: dict[tuple[str, str], Found] = {}
    for each in news.found:
        first, last = (from_micros(ns // 1_000) for ns in (each.since_ns, each.seen_ns))
        _add(found, Found(each.symbol, SUBJECTS[each.stream].value, each.issue, each.messages, first, last))
    return found


def _add(found: dict[tuple[str, str], Found], one: Found) -> None:
    """Add to what was found of a check and symbol: the worst of it, the last where several are as bad."""
    known = found.setdefault((one.symbol, one.issue.code), one)
    if known is one:
        return
    known.count += one.count
    if SEVERITIES.index(one.issue.severity) >= SEVERITIES.index(known.issue.severity):
        known.issue = one.issue
    if one.first_ts is not None and one.last_ts is not None:
        known.first_ts = min(known.first_ts or one.first_ts, one.first_ts)
        known.last_ts = max(known.last_ts or one.last_ts, one.last_ts)
