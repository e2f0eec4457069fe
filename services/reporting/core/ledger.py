"""Fold journal rows into what they change in the ledger."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from shared.money import round_amount
from shared.schemas.events import AccountOpened, DayRolled, FillApplied, OrderDecided
from shared.schemas.journal import EventKind, JournalEntry
from shared.schemas.reporting import Trade
from shared.schemas.risk import Verdict

# The kinds the ledger is made of; every other kind moves the cursor on and nothing else.
_KINDS: dict[EventKind, type[AccountOpened | OrderDecided | FillApplied | DayRolled]] = {
    EventKind.ACCOUNT_OPENED: AccountOpened,
    EventKind.ORDER_APPROVED: OrderDecided,
    EventKind.ORDER_DENIED: OrderDecided,
    EventKind.FILL_APPLIED: FillApplied,
    EventKind.DAY_ROLLED: DayRolled,
}


@dataclass(frozen=True, slots=True)
class DayOf:
    """A trading day of one strategy in one account."""

    account_id: str
    session_date: date
    strategy_id: str


@dataclass(frozen=True, slots=True)
class BookedTrade:
    """A trade with what the ledger keeps beside it."""

    trade: Trade
    notional: Decimal
    closing: bool


@dataclass(slots=True)
class Changes:
    """What a page of the journal changes."""

    accounts: list[AccountOpened] = field(default_factory=list)
    trades: list[BookedTrade] = field(default_factory=list)
    approved: Counter[DayOf] = field(default_factory=Counter)
    denied: Counter[DayOf] = field(default_factory=Counter)
    denials: Counter[tuple[DayOf, str]] = field(default_factory=Counter)
    days: list[tuple[int, DayRolled]] = field(default_factory=list)


def fold(entries: Sequence[JournalEntry]) -> Changes:
    """Return what rows change. Raises pydantic's ValidationError where a row does not say what its kind says."""
    changes = Changes()
    for entry in entries:
        kind = _KINDS.get(entry.kind)
        if kind is None:
            continue
        match kind.model_validate(entry.body):
            case AccountOpened() as body:
                changes.accounts.append(body)
            case OrderDecided() as body:
                _count(changes, body)
            case FillApplied() as body:
                changes.trades.append(_booked(entry.seq, body))
            case DayRolled() as body:
                changes.days.append((entry.seq, body))
    return changes


def _count(changes: Changes, body: OrderDecided) -> None:
    day = DayOf(body.account_id, body.session_date, body.order.strategy_id)
    if body.decision.decision is Verdict.APPROVED:
        changes.approved[day] += 1
        return
    changes.denied[day] += 1
    for reason in body.decision.reasons:
        changes.denials[day, reason.code.value] += 1


def _booked(seq: int, body: FillApplied) -> BookedTrade:
    trade = Trade(
        trade_id=body.trade_id,
        account_id=body.account_id,
        simulation_id=body.simulation_id,
        session_date=body.session_date,
        client_order_id=body.client_order_id,
        strategy_id=body.strategy_id,
        symbol=body.symbol,
        side=body.side,
        quantity=body.quantity,
        price=body.price,
        fee=body.fee,
        realised_pnl=body.realised_pnl,
        position_quantity=body.position_quantity,
        ts_event=body.ts_event,
        journal_seq=seq,
        telemetry=body.telemetry,
    )
    signed = body.quantity if body.side == "BUY" else -body.quantity
    before = body.position_quantity - signed
    return BookedTrade(trade, round_amount(body.price * body.quantity * body.multiplier), before * signed < 0)
