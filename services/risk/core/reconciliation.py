"""Compare an account with its broker, and take the broker's word where an admin says so."""

from decimal import Decimal
from typing import Final

from services.risk.core.commands import Reconcile
from services.risk.core.fills import MOST_CASH, TOO_MUCH, immense
from services.risk.core.outcome import Event, Outcome, conflict, invalid, not_found
from services.risk.core.positions import Position
from services.risk.core.state import Account, FirmState
from services.risk.core.units import BPS, SCALE, amount, moment, text, units
from services.risk.core.valuation import price, rate_of
from shared.schemas.accounts import BreakKind, BrokerPosition, ReconciliationBreak
from shared.schemas.events import AccountReconciled
from shared.schemas.journal import EventKind

# Rounding never comes to more: a hundredth, or a ten-thousandth of a large account.
_LEAST_TOLERANCE: Final = SCALE // 100


def reconcile(state: FirmState, command: Reconcile, now: int) -> Outcome:
    """Return what differs as an event; without a break, or with `adopt`, the account counts as reconciled.

    Whatever waits for a reconciliation waits for one of positions and cash. A tolerance is for rounding: one beyond
    0.0001 of the equity of the day's start is invalid, whoever asks. The event says what the broker was said to have.
    """
    account = state.accounts.get(command.account_id)
    if account is None:
        return not_found(f"account {command.account_id} does not exist")
    request = command.request
    symbols = [each.symbol for each in request.positions]
    if len(set(symbols)) < len(symbols):
        return invalid("a symbol is named twice")
    unknown = [symbol for symbol in symbols if symbol not in state.instruments]
    if request.adopt and unknown:
        return conflict(f"{', '.join(unknown)}: describe the instrument before its position is adopted")
    worthless = [each.symbol for each in request.positions if each.quantity and not _has_rate(state, account, each)]
    if request.adopt and worthless:
        return conflict(f"{', '.join(worthless)}: no rate to {account.base_currency}; it would count as nothing")
    if request.adopt and request.reason is None:
        return invalid("taking the broker's word needs a reason")
    if request.cash is not None and abs(units(request.cash)) > MOST_CASH:
        return invalid(f"the account's cash would be beyond {text(MOST_CASH)}")
    most = max(abs(account.start_of_day_equity) // BPS, _LEAST_TOLERANCE)
    if units(request.tolerance) > most:
        return invalid(
            f"a tolerance is for rounding: at most {text(most)} here, 0.0001 of the equity of the day's start. Where "
            "the broker's cash is right and ours is not, an admin adopts it"
        )
    if request.adopt and any(_immense(state, account, each) for each in request.positions):
        return invalid(TOO_MUCH)
    breaks, adjusted = _compare(state, account, command)
    cash = request.cash if request.adopt and request.cash is not None else amount(account.cash)
    body = AccountReconciled(
        account_id=account.account_id,
        breaks=breaks,
        adopted=bool(request.adopt and breaks),
        cash=cash,
        cash_compared=request.cash is not None,
        broker_cash=request.cash,
        broker_positions=request.positions,
        tolerance=request.tolerance,
        positions=adjusted if request.adopt else [],
        reason=request.reason,
        by=command.by,
        ts_event=moment(now),
    )
    return (Event(EventKind.ACCOUNT_RECONCILED, account.account_id, body),)


def _has_rate(state: FirmState, account: Account, held: BrokerPosition) -> bool:
    terms = state.instruments.get(held.symbol)
    return terms is not None and rate_of(state, account, terms.currency) != 0


def _immense(state: FirmState, account: Account, held: BrokerPosition) -> bool:
    position = Position(state.instruments[held.symbol])
    position.average_price = units(held.average_price) if held.average_price else 0
    price(state, account, position)
    return immense(units(held.quantity), position.exposure)


def _compare(
    state: FirmState, account: Account, command: Reconcile
) -> tuple[list[ReconciliationBreak], list[BrokerPosition]]:
    request = command.request
    theirs = {each.symbol: each for each in request.positions}
    breaks: list[ReconciliationBreak] = []
    adjusted: list[BrokerPosition] = []
    for symbol in sorted(theirs.keys() | account.positions.keys()):
        ours = account.positions.get(symbol)
        engine = amount(ours.quantity) if ours else amount(0)
        named = theirs.get(symbol)
        broker = named.quantity if named else amount(0)
        if engine == broker:
            continue
        breaks.append(ReconciliationBreak(kind=BreakKind.POSITION, symbol=symbol, engine=engine, broker=broker))
        average = _average(state, account, symbol, named)
        adjusted.append(BrokerPosition(symbol=symbol, quantity=broker, average_price=average))
    ours_cash = amount(account.cash)
    if request.cash is not None and abs(request.cash - ours_cash) > request.tolerance:
        breaks.append(ReconciliationBreak(kind=BreakKind.CASH, symbol=None, engine=ours_cash, broker=request.cash))
    return breaks, adjusted


def _average(state: FirmState, account: Account, symbol: str, named: BrokerPosition | None) -> Decimal | None:
    """Return what an adopted position is taken over at: the broker's word, the engine's, or the mark."""
    if named is None or named.quantity == 0:
        return None
    if named.average_price is not None:
        return named.average_price
    ours = account.positions.get(symbol)
    if ours is not None and ours.average_price:
        return amount(ours.average_price)
    mark = state.mark(account, symbol)
    return amount(mark.price) if mark else None
