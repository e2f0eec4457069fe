"""One function per use case: load what came before, judge, store with the verdict."""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from services.marketdata import store
from services.marketdata.core.bars import Earlier, bar_end, judge_bar
from services.marketdata.core.finding import severity_of
from services.marketdata.core.states import EarlierState, content_hash, judge_state, state_id
from services.marketdata.metrics import ROWS, VERDICTS
from services.marketdata.store import FeedChange, Origin
from shared.logging import Category, get_trading_logger
from shared.pagination import decode_cursor, encode_cursor
from shared.problems import NotFound
from shared.schemas.base import Page, Severity
from shared.schemas.marketdata import (
    Bar,
    BarBatch,
    FeedStatus,
    IngestResult,
    Interval,
    MarketState,
    MarketStateBatch,
    MarkMessage,
    QualityIssue,
    RejectedRow,
    StoredBar,
    StoredMarketState,
    Verdict,
)
from shared.windows import Window

_LOG = get_trading_logger("keelson.marketdata.quality", Category.MARKET_DATA)
S = TypeVar("S", StoredBar, StoredMarketState)
_Judged = tuple[int, Bar, Severity, list[QualityIssue]]


async def ingest_bars(session: AsyncSession, batch: BarBatch, now: datetime) -> IngestResult:
    """Judge and store bars; queue the marks of those that are new or changed, a critical one as what it is."""
    origin = Origin(batch.simulation_id or "", batch.source, now)
    unique, rejected = _unique(batch.bars)
    firsts: dict[tuple[str, Interval], datetime] = {}
    for _, bar in unique:
        firsts.setdefault((bar.symbol, bar.interval), bar.ts)
    earlier = dict(await store.earlier_bars(session, origin, firsts))
    judged: list[_Judged] = []
    for index, bar in unique:
        issues = judge_bar(bar, earlier.get((bar.symbol, bar.interval)), None if batch.simulation_id else now)
        severity = severity_of(issues)
        judged.append((index, bar, severity, issues))
        if severity is not Severity.CRITICAL:
            earlier[bar.symbol, bar.interval] = Earlier(bar.ts, bar.close, bar.volume)
    changed = await store.put_bars(session, origin, [row[1:] for row in judged])
    news = [row for row in judged if (row[1].symbol, row[1].interval, row[1].ts) in changed]
    # In the order in which they became known, across symbols.
    marks = sorted(
        (mark for _, bar, severity, _ in news if (mark := _bar_mark(batch, bar, severity)) is not None),
        key=lambda mark: mark.ts_event,
    )
    await _finish(session, origin, marks, [(bar.symbol, bar.ts, severity) for _, bar, severity, _ in news])
    verdicts = [
        Verdict(index=index, symbol=bar.symbol, ts=bar.ts, severity=severity, issues=issues)
        for index, bar, severity, issues in sorted(judged, key=lambda row: row[0])
        if severity is not Severity.OK
    ]
    _count("bar", len(news), len(judged) - len(news), len(rejected), [row[2] for row in judged])
    _log_critical(batch.source, verdicts)
    return IngestResult(
        received=len(batch.bars),
        stored=len(changed),
        unchanged=len(batch.bars) - len(changed) - len(rejected),
        rejected=rejected,
        published=_usable(marks),
        verdicts=verdicts,
    )


async def ingest_states(session: AsyncSession, batch: MarketStateBatch, now: datetime) -> IngestResult:
    """Judge and store market states; queue the marks of those that are new, a critical one as what it is."""
    origin = Origin(batch.simulation_id or "", batch.source, now)
    verdicts: list[Verdict] = []
    marks: list[MarkMessage] = []
    news: list[tuple[str, datetime | None, Severity]] = []
    earlier: dict[str, EarlierState | None] = {}
    order = sorted(enumerate(batch.states), key=lambda item: (item[1].timestamp or now, item[0]))
    for index, state in order:
        if state.symbol not in earlier:
            earlier[state.symbol] = await store.earlier_state(session, origin, state.symbol, state.timestamp)
        content = content_hash(state)
        issues = judge_state(state, content, earlier[state.symbol], None if batch.simulation_id else now)
        severity = severity_of(issues)
        identifier = state_id(batch.source, batch.simulation_id, state, content)
        new = await store.put_state(session, origin, identifier, state, content, (severity, issues))
        if severity is not Severity.CRITICAL:
            earlier[state.symbol] = EarlierState(state.spot_price, content)
        if new:
            news.append((state.symbol, state.timestamp, severity))
        mark = _state_mark(batch, state, severity) if new else None
        if mark is not None:
            marks.append(mark)
        verdicts.append(
            Verdict(
                index=index,
                symbol=state.symbol,
                ts=state.timestamp,
                severity=severity,
                issues=issues,
                market_state_id=identifier,
            )
        )
    await _finish(session, origin, marks, news)
    verdicts.sort(key=lambda verdict: verdict.index)
    _count("state", len(news), len(verdicts) - len(news), 0, [verdict.severity for verdict in verdicts])
    _log_critical(batch.source, verdicts)
    return IngestResult(
        received=len(batch.states),
        stored=len(news),
        unchanged=len(batch.states) - len(news),
        published=_usable(marks),
        verdicts=verdicts,
    )


async def list_bars(
    session: AsyncSession,
    scope: str,
    series: tuple[str, Interval],
    window: Window,
    cursor: str | None,
    limit: int,
) -> Page[StoredBar]:
    """Return a page of bars."""
    found = await store.list_bars(session, scope, series, window, _after(cursor), limit + 1)
    return _page(found, limit, lambda bar: (bar.ts, bar.source))


async def list_states(
    session: AsyncSession, scope: str, symbol: str, window: Window, cursor: str | None, limit: int
) -> Page[StoredMarketState]:
    """Return a page of market states."""
    found = await store.list_states(session, scope, symbol, window, _after(cursor), limit + 1)
    return _page(found, limit, lambda state: (state.timestamp, state.market_state_id))


async def get_state(session: AsyncSession, market_state_id: str) -> StoredMarketState:
    """Return a market state by its id."""
    found = await store.get_state(session, market_state_id)
    if found is None:
        raise NotFound(f"market state {market_state_id} does not exist")
    return found


async def current_state(session: AsyncSession, scope: str, symbol: str) -> StoredMarketState:
    """Return the newest market state that can be trusted."""
    found = await store.current_state(session, scope, symbol)
    if found is None:
        raise NotFound(f"there is no market state of {symbol} that can be trusted")
    return found


async def list_feeds(session: AsyncSession, scope: str | None, cursor: str | None, limit: int) -> Page[FeedStatus]:
    """Return how each source is doing."""
    after = str(decode_cursor(cursor, source=str)["source"]) if cursor else ""
    found = await store.list_feeds(session, scope, after, limit + 1)
    following = encode_cursor({"source": found[limit - 1].source}) if len(found) > limit else None
    return Page(items=found[:limit], next_cursor=following)


def _unique(bars: Sequence[Bar]) -> tuple[list[tuple[int, Bar]], list[RejectedRow]]:
    """Return each bar once, in the order of their keys, and those that contradict an earlier one of the batch."""
    kept: dict[tuple[str, Interval, datetime], tuple[int, Bar]] = {}
    rejected = []
    for index, bar in enumerate(bars):
        first, known = kept.setdefault((bar.symbol, bar.interval, bar.ts), (index, bar))
        if known != bar:
            rejected.append(RejectedRow(index=index, reason=f"differs from row {first} of the same bar"))
    # One order of keys for everyone: two batches at once then never wait for each other in a circle.
    return [kept[key] for key in sorted(kept)], rejected


def _bar_mark(batch: BarBatch, bar: Bar, severity: Severity) -> MarkMessage | None:
    # A bar that never ends is critical in its own right; risk is told so at its start.
    return _mark(batch, bar.symbol, bar.close, bar_end(bar) or bar.ts, severity)


def _state_mark(batch: MarketStateBatch, state: MarketState, severity: Severity) -> MarkMessage | None:
    return _mark(batch, state.symbol, state.spot_price, state.timestamp, severity)


def _mark(
    batch: BarBatch | MarketStateBatch,
    symbol: str,
    price: Decimal | None,
    ts: datetime | None,
    severity: Severity,
) -> MarkMessage | None:
    """Return what risk is told: a critical price too, so that it denies orders in the symbol until a better one."""
    if price is None or price <= 0 or ts is None:
        return None
    return MarkMessage(
        symbol=symbol,
        price=price,
        ts_event=ts,
        source=batch.source,
        simulation_id=batch.simulation_id,
        severity=severity,
    )


def _usable(marks: Sequence[MarkMessage]) -> int:
    return sum(1 for mark in marks if mark.severity is not Severity.CRITICAL)


async def _finish(
    session: AsyncSession,
    origin: Origin,
    marks: Sequence[MarkMessage],
    news: Sequence[tuple[str, datetime | None, Severity]],
) -> None:
    changes: dict[str, FeedChange] = {}
    for symbol, ts, severity in news:
        change = changes.setdefault(symbol, FeedChange())
        change.rows += 1
        change.warning += severity is Severity.WARNING
        change.critical += severity is Severity.CRITICAL
        if ts is not None and (change.last_ts_event is None or ts > change.last_ts_event):
            change.last_ts_event = ts
    if changes:
        await store.count_feed(session, origin, changes)
    if marks:
        await store.put_marks(session, [mark.model_dump_json() for mark in marks])


def _after(cursor: str | None) -> tuple[datetime, str] | None:
    if not cursor:
        return None
    place = decode_cursor(cursor, ts=datetime, key=str)
    return place["ts"], place["key"]


def _page(found: list[S], limit: int, key: Callable[[S], tuple[datetime | None, str]]) -> Page[S]:
    if len(found) <= limit:
        return Page(items=found)
    ts, identifier = key(found[limit - 1])
    return Page(items=found[:limit], next_cursor=encode_cursor({"ts": ts or "", "key": identifier}))


def _count(kind: str, stored: int, unchanged: int, rejected: int, severities: Sequence[Severity]) -> None:
    for outcome, number in (("stored", stored), ("unchanged", unchanged), ("rejected", rejected)):
        if number:
            ROWS.labels(kind, outcome).inc(number)
    for severity, number in Counter(severities).items():
        VERDICTS.labels(kind, severity.value).inc(number)


def _log_critical(source: str, verdicts: Sequence[Verdict]) -> None:
    by_symbol: dict[str, list[str]] = {}
    for verdict in verdicts:
        if verdict.severity is Severity.CRITICAL:
            by_symbol.setdefault(verdict.symbol, []).extend(issue.code for issue in verdict.issues)
    for symbol, codes in by_symbol.items():
        _LOG.log_data_quality(symbol=symbol, severity=Severity.CRITICAL, findings=sorted(set(codes)), source=source)
