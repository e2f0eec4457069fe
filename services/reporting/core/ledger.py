"""Fold journal rows into what they change in the ledger."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, localcontext

from pydantic import ValidationError

from services.reporting.core.journal import JournalRow
from shared.money import MAX_DIGITS, round_amount
from shared.schemas.decisions import Verdict
from shared.schemas.events import AccountOpened, DayRolled, FillApplied, OrderDecided
from shared.schemas.journal import EventKind
from shared.schemas.reporting import Trade

_Body = AccountOpened | OrderDecided | FillApplied | DayRolled
# The kinds the ledger is made of; every other kind moves the cursor on and nothing else.
_KINDS: dict[str, type[_Body]] = {
    EventKind.ACCOUNT_OPENED: AccountOpened,
    EventKind.ORDER_APPROVED: OrderDecided,
    EventKind.ORDER_DENIED: OrderDecided,
    EventKind.FILL_APPLIED: FillApplied,
    EventKind.DAY_ROLLED: DayRolled,
}
_KNOWN = frozenset(EventKind)
# The product of four amounts, of 28 digits each, has no more.
_DIGITS = 4 * MAX_DIGITS


class MalformedRowError(ValueError):
    """A row does not say what its kind says; leaving it out would make the ledger wrong."""


@dataclass(frozen=True, slots=True)
class DayOf:
    """A trading day of one strategy in one account."""

    account_id: str
    session_date: date
    strategy_id: str


@dataclass(frozen=True, slots=True)
class BookedTrade:
    """A trade with what the ledger keeps beside it; `notional` in the account's currency."""

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
    unknown: Counter[str] = field(default_factory=Counter)


def fold(entries: Sequence[JournalRow]) -> Changes:
    """Return what rows change; kinds a newer risk writes are counted and left out. Raises MalformedRowError."""
    changes = Changes()
    for entry in entries:
        kind = _KINDS.get(entry.kind)
        if kind is None:
            if entry.kind not in _KNOWN:
                changes.unknown[entry.kind] += 1
            continue
        match _body(kind, entry):
            case AccountOpened() as body:
                changes.accounts.append(body)
            case OrderDecided() as body:
                _count(changes, body)
            case FillApplied() as body:
                changes.trades.append(_booked(entry.seq, body))
            case DayRolled() as body:
                changes.days.append((entry.seq, body))
    return changes


def _body(kind: type[_Body], entry: JournalRow) -> _Body:
    try:
        return kind.model_validate(entry.body)
    except ValidationError as error:
        wrong = error.errors(include_input=False, include_url=False)
        first = f"{'.'.join(map(str, wrong[0]['loc'])) or 'body'}: {wrong[0]['msg']}"
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise MalformedRowError(f"row {entry.seq} ({entry.kind}) cannot be read: {first}{more}") from error


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
    with localcontext(prec=_DIGITS):
        notional = round_amount(body.price * body.quantity * body.multiplier * body.fx_rate)
    return BookedTrade(trade, notional, before * signed < 0)
