"""Decide on accounts, instruments, limits, days and marks."""

from datetime import datetime, timedelta
from decimal import Decimal

from services.risk.core.commands import OpenAccount, RollDay, SetInstruments, SetLimits, SetMarks
from services.risk.core.orders import time_of
from services.risk.core.outcome import Event, Outcome, conflict, fingerprint, invalid, not_found
from services.risk.core.state import FirmState
from shared.schemas.events import AccountOpened, DayRolled, InstrumentSet, LimitsSet, MarksSet
from shared.schemas.instruments import Instrument, Mark
from shared.schemas.journal import EventKind

# A live mark further ahead than clocks differ would count as fresh for as long as it is ahead.
_CLOCK_SKEW = timedelta(seconds=5)
_MOST_CASH = Decimal(10) ** 15
# What one position may be worth. A mark that makes it more is no price, and would stay in the high-water mark.
_MOST_VALUE = Decimal(10) ** 16


def open_account(state: FirmState, command: OpenAccount, now: datetime) -> Outcome:
    """Open an account; the same request again gives no event, another under its id is refused."""
    request = command.request
    known = state.accounts.get(request.account_id)
    if known is not None:
        if known.opened_with == fingerprint(request):
            return ()
        return conflict(f"account {request.account_id} was opened with other values")
    if request.initial_cash > _MOST_CASH:
        return invalid(f"an account starts with at most {_MOST_CASH:f}")
    moment = now if request.simulation_id is None else (request.ts_event or now)
    body = AccountOpened(
        account_id=request.account_id,
        base_currency=request.base_currency,
        initial_cash=request.initial_cash,
        simulation_id=request.simulation_id,
        session_date=request.session_date or moment.date(),
        limits=request.limits,
        limits_version=1,
        request_hash=fingerprint(request),
        by=command.by,
        ts_event=moment,
    )
    return (Event(EventKind.ACCOUNT_OPENED, request.account_id, body),)


def set_instruments(state: FirmState, command: SetInstruments, now: datetime) -> Outcome:
    """Add or replace instruments; those that stay as they are give no event."""
    for instrument in command.instruments:
        known = state.instruments.get(instrument.symbol)
        if known is not None and _unit(known) != _unit(instrument) and _in_use(state, instrument.symbol):
            return conflict(f"{instrument.symbol} is held: its currency, multiplier and margining cannot change")
    return tuple(
        Event(EventKind.INSTRUMENT_SET, None, InstrumentSet(instrument=instrument, by=command.by, ts_event=now))
        for instrument in command.instruments
        if state.instruments.get(instrument.symbol) != instrument
    )


def set_limits(state: FirmState, command: SetLimits, now: datetime) -> Outcome:
    """Put a new limit profile in force."""
    account = state.accounts.get(command.account_id)
    if account is None:
        return not_found(f"account {command.account_id} does not exist")
    body = LimitsSet(
        account_id=account.account_id,
        version=account.limits.version + 1,
        limits=command.update.limits,
        reason=command.update.reason,
        by=command.by,
        ts_event=now,
    )
    return (Event(EventKind.LIMITS_SET, account.account_id, body),)


def set_marks(state: FirmState, command: SetMarks, now: datetime) -> Outcome:
    """Take the marks that are news, in their order; live ones only as the newest of each symbol."""
    taken: list[Mark] = []
    newest: dict[str, Mark] = {}
    for mark in command.marks:
        held = newest.get(mark.symbol) or state.marks.get((command.simulation_id, mark.symbol))
        ahead = command.simulation_id is None and mark.ts_event > now + _CLOCK_SKEW
        known = held is not None and (mark.ts_event < held.ts_event or mark == held)
        if mark.symbol not in state.instruments or ahead or known or _absurd(state, command.simulation_id, mark):
            continue
        newest[mark.symbol] = mark
        taken.append(mark)
    if command.simulation_id is None:
        taken = list({mark.symbol: mark for mark in taken}.values())
    if not taken:
        return ()
    body = MarksSet(simulation_id=command.simulation_id, marks=taken, ts_event=now)
    return (Event(EventKind.MARKS_SET, None, body),)


def roll_day(state: FirmState, command: RollDay, now: datetime) -> Outcome:
    """Close a trading day; the same roll again gives no event, one backwards is refused."""
    account = state.accounts.get(command.account_id)
    if account is None:
        return not_found(f"account {command.account_id} does not exist")
    following = command.request.next_session_date
    if following == account.session_date and account.rolled:
        return ()
    if following <= account.session_date:
        return conflict(f"the account is in the session of {account.session_date}")
    moment = time_of(account, command.request.ts_event, now)
    if moment is None:
        return invalid("the day roll of a simulated account needs ts_event")
    body = DayRolled(
        account_id=account.account_id,
        simulation_id=account.simulation_id,
        session_date=account.session_date,
        next_session_date=following,
        start_of_day_equity=account.start_of_day_equity,
        end_equity=state.equity(account),
        realised_pnl_total=account.realised_pnl,
        fees_total=account.fees,
        by=command.by,
        ts_event=moment,
    )
    return (Event(EventKind.DAY_ROLLED, account.account_id, body),)


def _absurd(state: FirmState, simulation_id: str | None, mark: Mark) -> bool:
    multiplier = state.instruments[mark.symbol].multiplier
    return any(
        holding.worst_quantity() * mark.price * multiplier > _MOST_VALUE
        for account in state.by_simulation.get(simulation_id, ())
        if (holding := account.holdings.get(mark.symbol)) is not None
    )


def _unit(instrument: Instrument) -> tuple[str, Decimal, bool]:
    return instrument.currency, instrument.multiplier, instrument.margined


def _in_use(state: FirmState, symbol: str) -> bool:
    return any(
        holding.quantity or holding.open_buy or holding.open_sell
        for account in state.accounts.values()
        if (holding := account.holdings.get(symbol)) is not None
    )
