"""All SQL of reporting."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Select, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.reporting.core.ledger import BookedTrade, Changes, DayOf
from services.reporting.core.rollup import DayCounts, DayTrade
from services.reporting.models import Cursor, DecisionCount, DenialCount, LedgerAccount, RollupRow, TradeRow
from shared.journal import GENESIS_HASH
from shared.schemas.reporting import DailyRollup, Trade

_TRADE_FIELDS = tuple(Trade.model_fields)


@dataclass(frozen=True, slots=True)
class Position:
    """How far the ledger has read."""

    seq: int
    hash: str
    updated_at: datetime | None


_BEGINNING = Position(0, GENESIS_HASH, None)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which rows of a listing are wanted; None wants all."""

    account_id: str | None = None
    strategy_id: str | None = None
    simulation_id: str | None = None


async def see_one_moment(session: AsyncSession) -> None:
    """Let every later statement of a session that has sent none yet see the ledger as it is now."""
    await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})


async def position(session: AsyncSession, shard: int, *, lock: bool = False) -> Position:
    """Return how far the ledger has read a shard's journal; locked, nobody else moves it until the transaction ends."""
    query = select(Cursor.seq, Cursor.hash, Cursor.updated_at).where(Cursor.shard == shard)
    row = (await session.execute(query.with_for_update() if lock else query)).one_or_none()
    return _BEGINNING if row is None else Position(row.seq, row.hash, row.updated_at)


async def begin(session: AsyncSession, shard: int) -> None:
    """Have a cursor for a shard, at the beginning where there is none."""
    first = {"shard": shard, "seq": _BEGINNING.seq, "hash": _BEGINNING.hash}
    await session.execute(insert(Cursor).values(first).on_conflict_do_nothing())


async def move(session: AsyncSession, shard: int, seq: int, digest: str, now: datetime) -> None:
    """Say how far the ledger has read a shard's journal."""
    await session.execute(update(Cursor).where(Cursor.shard == shard).values(seq=seq, hash=digest, updated_at=now))


async def put(session: AsyncSession, shard: int, changes: Changes) -> None:
    """Store what a page of a shard's journal changes, roll-ups aside."""
    if changes.accounts:
        accounts = [
            {"account_id": opened.account_id, "simulation_id": opened.simulation_id, "currency": opened.base_currency}
            for opened in changes.accounts
        ]
        await session.execute(insert(LedgerAccount), accounts)
    if changes.trades:
        await session.execute(insert(TradeRow), [_trade_values(shard, booked) for booked in changes.trades])
    days = changes.approved.keys() | changes.denied.keys()
    if days:
        statement = insert(DecisionCount)
        adding = statement.on_conflict_do_update(
            index_elements=["account_id", "session_date", "strategy_id"],
            set_={
                "approved": DecisionCount.approved + statement.excluded.approved,
                "denied": DecisionCount.denied + statement.excluded.denied,
            },
        )
        values = [{**_day(day), "approved": changes.approved[day], "denied": changes.denied[day]} for day in days]
        await session.execute(adding, values)
    if changes.denials:
        statement = insert(DenialCount)
        adding = statement.on_conflict_do_update(
            index_elements=["account_id", "session_date", "strategy_id", "reason"],
            set_={"count": DenialCount.count + statement.excluded.count},
        )
        values = [{**_day(day), "reason": reason, "count": number} for (day, reason), number in changes.denials.items()]
        await session.execute(adding, values)


async def day_trades(session: AsyncSession, account_id: str, day: date) -> list[DayTrade]:
    """Return the trades of an account's day."""
    query = (
        select(TradeRow).where(TradeRow.account_id == account_id, TradeRow.session_date == day).order_by(TradeRow.id)
    )
    return [
        DayTrade(
            strategy_id=row.strategy_id,
            notional=row.notional,
            realised_pnl=row.realised_pnl,
            fee=row.fee,
            closing=row.closing,
            confidence=row.telemetry["calibrated_confidence"] if row.telemetry else None,
        )
        for row in await session.scalars(query)
    ]


async def day_counts(session: AsyncSession, account_id: str, day: date) -> dict[str, DayCounts]:
    """Return what was decided in an account's day, by strategy."""
    counts: dict[str, DayCounts] = {}
    decided = select(DecisionCount).where(DecisionCount.account_id == account_id, DecisionCount.session_date == day)
    for row in await session.scalars(decided):
        counts[row.strategy_id] = DayCounts(row.approved, row.denied)
    denied = select(DenialCount).where(DenialCount.account_id == account_id, DenialCount.session_date == day)
    for reason in await session.scalars(denied):
        counts[reason.strategy_id].reasons[reason.reason] = reason.count
    return counts


async def put_rollups(session: AsyncSession, shard: int, rollups: Sequence[DailyRollup]) -> None:
    """Store roll-ups of a shard's accounts."""
    values = [
        {
            "account_id": rollup.account_id,
            "session_date": rollup.session_date,
            "strategy_id": rollup.strategy_id or "",
            "simulation_id": rollup.simulation_id,
            "shard": shard,
            "journal_seq": rollup.journal_seq,
            "document": rollup.model_copy(update={"shard": shard}).model_dump(mode="json"),
        }
        # Listed the newest first: of a day by strategy backwards, and the whole account last, as before.
        for rollup in sorted(rollups, key=lambda each: each.strategy_id or "")
    ]
    await session.execute(insert(RollupRow), values)


async def list_trades(session: AsyncSession, wanted: Filter, before: int | None, limit: int) -> list[tuple[int, Trade]]:
    """Return trades, the newest first, each with its place in the ledger."""
    query = _filtered(select(TradeRow), TradeRow, wanted).order_by(TradeRow.id.desc()).limit(limit)
    if before is not None:
        query = query.where(TradeRow.id < before)
    return [
        (row.id, Trade.model_validate({name: getattr(row, name) for name in _TRADE_FIELDS}))
        for row in await session.scalars(query)
    ]


async def list_rollups(
    session: AsyncSession, wanted: Filter, before: int | None, limit: int
) -> list[tuple[int, DailyRollup]]:
    """Return roll-ups, the newest first, each with its place in the ledger."""
    query = _filtered(select(RollupRow), RollupRow, wanted).order_by(RollupRow.id.desc()).limit(limit)
    if before is not None:
        query = query.where(RollupRow.id < before)
    return [(row.id, DailyRollup.model_validate(row.document)) for row in await session.scalars(query)]


async def totals(session: AsyncSession) -> tuple[int, int]:
    """Return how many trades and roll-ups there are."""
    trades = await session.scalar(select(func.count()).select_from(TradeRow))
    rollups = await session.scalar(select(func.count()).select_from(RollupRow))
    return trades or 0, rollups or 0


@dataclass(frozen=True, slots=True)
class Sums:
    """Totals of the accounts of a simulation, or of the live ones."""

    approved: int
    denied: int
    reasons: Mapping[str, int]
    trades: int
    realised_pnl: Mapping[str, Decimal]
    fees: Mapping[str, Decimal]
    rollups: int


async def sums(session: AsyncSession, simulation_id: str | None) -> Sums:
    """Return the totals of a simulation, or of the live accounts."""
    mine = (
        select(LedgerAccount.account_id)
        .where(LedgerAccount.simulation_id.is_not_distinct_from(simulation_id))
        .scalar_subquery()
    )
    decided = select(
        func.coalesce(func.sum(DecisionCount.approved), 0), func.coalesce(func.sum(DecisionCount.denied), 0)
    ).where(DecisionCount.account_id.in_(mine))
    approved, denied = (await session.execute(decided)).one()
    reasons = (
        select(DenialCount.reason, func.sum(DenialCount.count))
        .where(DenialCount.account_id.in_(mine))
        .group_by(DenialCount.reason)
        .order_by(DenialCount.reason)
    )
    money = (
        select(LedgerAccount.currency, func.count(), func.sum(TradeRow.realised_pnl), func.sum(TradeRow.fee))
        .join(TradeRow, TradeRow.account_id == LedgerAccount.account_id)
        .where(LedgerAccount.simulation_id.is_not_distinct_from(simulation_id))
        .group_by(LedgerAccount.currency)
        .order_by(LedgerAccount.currency)
    )
    by_currency = (await session.execute(money)).all()
    days = (
        select(func.count()).select_from(RollupRow).where(RollupRow.account_id.in_(mine), RollupRow.strategy_id == "")
    )
    return Sums(
        approved=int(approved),
        denied=int(denied),
        reasons={reason: int(number) for reason, number in await session.execute(reasons)},
        trades=sum(number for _, number, _, _ in by_currency),
        realised_pnl={currency: pnl for currency, _, pnl, _ in by_currency},
        fees={currency: fee for currency, _, _, fee in by_currency},
        rollups=await session.scalar(days) or 0,
    )


def _filtered(query: Select[Any], table: type[TradeRow] | type[RollupRow], wanted: Filter) -> Select[Any]:
    for name in ("account_id", "strategy_id", "simulation_id"):
        value = getattr(wanted, name)
        if value is not None:
            query = query.where(getattr(table, name) == value)
    return query


def _day(day: DayOf) -> dict[str, Any]:
    return {"account_id": day.account_id, "session_date": day.session_date, "strategy_id": day.strategy_id}


def _trade_values(shard: int, booked: BookedTrade) -> dict[str, Any]:
    trade = booked.trade
    values = {name: getattr(trade, name) for name in _TRADE_FIELDS}
    telemetry = trade.telemetry.model_dump(mode="json") if trade.telemetry else None
    return {
        **values,
        "shard": shard,
        "side": trade.side.value,
        "telemetry": telemetry,
        "notional": booked.notional,
        "closing": booked.closing,
    }
