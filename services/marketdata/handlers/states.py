"""Take market states in, and find them by their ids."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from sqlalchemy.ext.asyncio import AsyncSession

from services.marketdata import store
from services.marketdata.core.catalogue import Subject
from services.marketdata.core.chain.context import EarlierState, StateContext, content_hash, following, state_id
from services.marketdata.core.chain.judge import judgement_of
from services.marketdata.core.finding import SEVERITIES, severity_of
from services.marketdata.core.live.counting import counts_from
from services.marketdata.core.monitor.arrival import Arrived
from services.marketdata.handlers.arrivals import Known, load, note_states, past_symbols
from services.marketdata.handlers.outcome import (
    MOST_NAMED,
    Mode,
    count_feed,
    count_rows,
    keep_issues,
    log_critical,
    publish,
    usable,
)
from services.marketdata.handlers.rules import Rules, load_rules
from services.marketdata.handlers.spots import Past, SpotHistory
from services.marketdata.handlers.writing import write
from services.marketdata.rows.kinds import MARKET_STATES, MONEY, TEXT, TIME
from services.marketdata.rows.read import States, no_good_rows
from services.marketdata.store import TABLES, Origin, Partitions
from shared.journal import canonical
from shared.problems import NotFound
from shared.schemas.base import Severity, format_utc
from shared.schemas.marketdata import (
    IngestResult,
    MarketState,
    MarkMessage,
    RejectedRow,
    StoredMarketState,
    Verdict,
)

_FIRST = datetime.min.replace(tzinfo=UTC)
_TABLE = TABLES[Subject.MARKET_STATE]
_KIND = Subject.MARKET_STATE.value
_AMOUNTS = ("spot_price", "total_call_oi", "total_put_oi")
_SCHEMA = pa.schema(
    [
        ("symbol", TEXT),
        ("ts", TIME),
        ("timestamp", TIME),
        ("market_state_id", TEXT),
        *((name, MONEY) for name in _AMOUNTS),
        ("option_chain", TEXT),
        ("content_hash", TEXT),
        ("spot_prices", TEXT),
        ("relative_spread", MONEY),
    ]
)


@dataclass(frozen=True)
class _Judged:
    """The states of a batch in the order of their times, each with its verdict, its row and the price known before."""

    states: list[MarketState]
    verdicts: list[Verdict]
    rows: list[dict[str, Any]]
    known: list[Decimal | None]


async def ingest_states(
    session: AsyncSession, partitions: Partitions, batch: States, mode: Mode, now: datetime
) -> IngestResult:
    """Judge and store market states; queue the marks of those that are new, a critical one as what it is.

    Raises Unprocessable for a bad state where the mode is strict.
    """
    origin = Origin(batch.simulation_id or "", batch.source, now)
    chosen, rejected = _one_each(batch, partitions.retention.horizon(Subject.MARKET_STATE, now))
    if not chosen or (mode == "strict" and rejected):
        raise no_good_rows(MARKET_STATES, rejected)
    named = sorted({state.symbol for _, state in chosen})
    # Before anything is asked in the session: while it holds a connection no second one is to be waited for.
    await partitions.ensure(_TABLE.name, [state.timestamp or now for _, state in chosen])
    await store.lock_symbols(session, _TABLE, origin, named)
    rules = await load_rules(session, named)
    judged = await _judge(session, origin, batch, chosen, rules)
    severities = np.array([SEVERITIES.index(verdict.severity) for verdict in judged.verdicts], np.int16)
    texts = {n: _text(verdict) for n, verdict in enumerate(judged.verdicts) if verdict.issues}
    table = pa.Table.from_pylist(judged.rows, _SCHEMA)
    written = await write(session, partitions, _TABLE, origin, table, severities, texts)
    changed = written.changed
    marks = [mark for n in changed.tolist() if (mark := _mark(batch, judged, n, now)) is not None]
    await publish(session, marks)
    codes = np.array([named.index(verdict.symbol) for verdict in judged.verdicts], np.int64)
    moments = table["ts"].combine_chunks().cast(pa.int64()).to_numpy()
    series = await load(session, Subject.MARKET_STATE, origin, named)
    # A state that does not say when it was is of now.
    newest = [(each.symbol, Arrived(each.ts or now, now)) for each in judged.verdicts]
    past = past_symbols(origin, newest, series, rules)
    await _note(session, origin, judged, changed.tolist(), series)
    await count_feed(session, origin, codes[changed], named, severities[changed], moments[changed])
    fresh = [judged.verdicts[n] for n in changed.tolist()]
    new = sorted({verdict.symbol for verdict in fresh})
    await keep_issues(session, origin, Subject.MARKET_STATE, new, fresh, past)
    verdicts = sorted(judged.verdicts, key=lambda verdict: verdict.index)
    received = len(batch.states) + len(batch.rejected)
    unchanged = received - len(changed) - len(rejected)
    count_rows(_KIND, len(changed), unchanged, len(rejected), severities)
    log_critical(batch.source, verdicts)
    return IngestResult(
        received=received,
        stored=len(changed),
        revised=len(written.revised),
        unchanged=unchanged,
        rejected_count=len(rejected),
        rejected=rejected[:MOST_NAMED],
        published=usable(marks),
        flagged=sum(1 for verdict in verdicts if verdict.issues),
        verdicts=_named(verdicts),
    )


def _named(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Return those that a result names, in their order: where they are too many, the worst."""
    chosen = sorted(verdicts, key=lambda verdict: -SEVERITIES.index(verdict.severity))[:MOST_NAMED]
    return sorted(chosen, key=lambda verdict: verdict.index)


async def _note(session: AsyncSession, origin: Origin, judged: _Judged, changed: Sequence[int], series: Known) -> None:
    """Note the new usable states of each symbol for the quality monitor; one that does not say when it was is none."""
    newest: dict[str, datetime] = {}
    counts: Counter[str] = Counter()
    for verdict in (judged.verdicts[n] for n in changed):
        if verdict.ts is not None and verdict.severity is not Severity.CRITICAL:
            newest[verdict.symbol] = max(verdict.ts, newest.get(verdict.symbol, verdict.ts))
            counts[verdict.symbol] += 1
    await note_states(session, origin, newest, counts, series)


async def _judge(
    session: AsyncSession, origin: Origin, batch: States, chosen: list[tuple[int, MarketState]], rules: Rules
) -> _Judged:
    earlier: dict[str, EarlierState | None] = {}
    history = SpotHistory(session, origin, rules)
    pasts = []
    for _, state in chosen:
        if state.symbol not in earlier:
            is_open = partial(_is_open, rules, state.symbol)
            earlier[state.symbol] = await store.earlier_state(session, origin, state.symbol, state.timestamp, is_open)
        pasts.append(await history.of(state.symbol, state.timestamp))
    # Some milliseconds each: others are answered meanwhile.
    judged = await asyncio.to_thread(_judge_each, origin, batch, chosen, rules, earlier, pasts)
    for n, state in enumerate(judged.states):
        if state.timestamp is None:
            # Sent again, a state that does not say when it was is the one that came before.
            since = await store.time_of_state(session, judged.rows[n]["market_state_id"])
            judged.rows[n]["ts"] = since or origin.ts_init
    return judged


def _judge_each(
    origin: Origin,
    batch: States,
    chosen: list[tuple[int, MarketState]],
    rules: Rules,
    earlier: dict[str, EarlierState | None],
    pasts: Sequence[Past],
) -> _Judged:
    """Judge each state by the ones before it; `pasts` are those of its day, `earlier` the last one of its symbol."""
    judged = _Judged([], [], [], [])
    for (index, state), past in zip(chosen, pasts, strict=True):
        content = content_hash(state)
        before = earlier[state.symbol]
        context = StateContext(
            content_hash=content,
            earlier=before,
            now=None if batch.simulation_id else origin.ts_init,
            prior_close=past.prior_close,
            session_open=None if state.timestamp is None else _is_open(rules, state.symbol, state.timestamp),
            median_spread=past.median_spread,
            thresholds=rules.of(state.symbol).with_learnt(past.band),
        )
        judgement = judgement_of(state, context)
        issues, severity = judgement.issues, severity_of(judgement.issues)
        identifier = state_id(batch.source, batch.simulation_id, state, content)
        earlier[state.symbol] = following(state, context, severity)
        judged.states.append(state)
        judged.known.append(before.spot_price if before is not None else None)
        judged.rows.append(_row(state, identifier, content, judgement.relative_spread))
        judged.verdicts.append(
            Verdict(
                index=index,
                symbol=state.symbol,
                ts=state.timestamp,
                severity=severity,
                issues=issues,
                market_state_id=identifier,
            )
        )
    return judged


async def get_state(session: AsyncSession, market_state_id: str) -> StoredMarketState:
    """Return a market state by its id."""
    found = await store.get_state(session, market_state_id)
    if found is None:
        raise NotFound(f"market state {market_state_id} does not exist")
    return stored_state(found)


def stored_state(row: Mapping[str, Any]) -> StoredMarketState:
    """Return a row of the table as the wire has it."""
    return StoredMarketState(
        **{name: row[name] for name in ("symbol", *_AMOUNTS, "option_chain", "market_state_id", "source", "revision")},
        timestamp=row["timestamp"],
        spot_prices=row["spot_prices"],
        simulation_id=row["scope"] or None,
        severity=SEVERITIES[row["severity"]],
        issues=row["issues"] or [],
        ts_init=row["ts_init"],
    )


def _is_open(rules: Rules, symbol: str, moment: datetime) -> bool | None:
    calendar = rules.calendar(symbol)
    return None if calendar is None else calendar.is_open(moment)


def _one_each(batch: States, horizon: datetime | None) -> tuple[list[tuple[int, MarketState]], list[RejectedRow]]:
    """Return the states in the order of their times, one of each symbol and moment, and those that are not stored."""
    order = sorted(batch.states, key=lambda item: (item[1].timestamp or _FIRST, item[0]))
    kept: dict[tuple[str, datetime | None], tuple[int, MarketState]] = {}
    rejected = list(batch.rejected)
    for index, state in order:
        if horizon is not None and state.timestamp is not None and state.timestamp < horizon:
            reason = f"older than what is kept, which begins at {format_utc(horizon)}"
            rejected.append(RejectedRow(index=index, reason=reason))
            continue
        first, known = kept.setdefault((state.symbol, state.timestamp), (index, state))
        if known != state:
            rejected.append(RejectedRow(index=index, reason=f"differs from row {first} of the same moment"))
    return list(kept.values()), sorted(rejected, key=lambda row: row.index)


def _row(state: MarketState, identifier: str, content: str, spread: float | None) -> dict[str, Any]:
    chain = state.option_chain
    return {
        "symbol": state.symbol,
        "ts": state.timestamp,
        "timestamp": state.timestamp,
        "market_state_id": identifier,
        **{name: getattr(state, name) for name in _AMOUNTS},
        "option_chain": None
        if chain is None
        else canonical([quote.model_dump(mode="json", exclude_none=True) for quote in chain]),
        "content_hash": content,
        "spot_prices": None if state.spot_prices is None else canonical([str(spot) for spot in state.spot_prices]),
        "relative_spread": None if spread is None else Decimal(f"{spread:.10f}"),
    }


def _text(verdict: Verdict) -> str:
    return canonical([issue.model_dump(mode="json") for issue in verdict.issues])


def _mark(batch: States, judged: _Judged, place: int, now: datetime) -> MarkMessage | None:
    """Return what risk is told of a state: of one without a usable price, the last one known, not to be trusted."""
    state, severity = judged.states[place], judged.verdicts[place].severity
    usable_price = state.spot_price is not None and state.spot_price > 0
    price = state.spot_price if usable_price else judged.known[place]
    if price is None or price <= 0:
        return None
    # A simulation has no clock of ours to fall back to.
    moment = state.timestamp or (None if batch.simulation_id else now)
    if moment is None or (not usable_price and severity is not Severity.CRITICAL):
        return None
    return MarkMessage(
        symbol=state.symbol,
        price=price,
        ts_event=counts_from(moment, severity, None if batch.simulation_id else now),
        source=batch.source,
        simulation_id=batch.simulation_id,
        severity=severity,
    )
