"""Decide on accounts: their opening, limits, cash and days."""

from datetime import date, timedelta
from typing import Final

from services.risk.core.commands import MoveCash, OpenAccount, RollBackLimits, RollDay, SetHighWaterMark, SetLimits
from services.risk.core.fills import MOST_CASH
from services.risk.core.outcome import Event, Outcome, Refused, conflict, fingerprint, invalid, not_found
from services.risk.core.state import Account, FirmState
from services.risk.core.times import time_told
from services.risk.core.units import LIVE_SINCE, SCALE, amount, moment, text, units
from shared.schemas.events import AccountOpened, CashMoved, DayRolled, HighWaterMarkSet, LimitsSet
from shared.schemas.journal import EventKind
from shared.schemas.limits import Limits

_FIRST_LIVE: Final = moment(LIVE_SINCE).date()
# Daily prices of the oldest indices go back so far, and a date before that is a slip.
_FIRST_SIMULATED: Final = date(1900, 1, 1)
# No market stays closed for longer.
_FURTHEST_SESSION: Final = timedelta(days=10)
_MOST_INITIAL_CASH: Final = 10**15 * SCALE


def open_account(state: FirmState, command: OpenAccount, now: int) -> Outcome:
    """Open an account; the same request again gives no event, another under its id is refused."""
    request = command.request
    known = state.accounts.get(request.account_id)
    if known is not None:
        if known.opened_with == fingerprint(request):
            return ()
        return conflict(f"account {request.account_id} was opened with other values")
    if units(request.initial_cash) > _MOST_INITIAL_CASH:
        return invalid(f"an account starts with at most {text(_MOST_INITIAL_CASH)}")
    time = moment(now) if request.simulation_id is None else (request.ts_event or moment(now))
    session = request.session_date or time.date()
    refused = _no_session(session, request.simulation_id is not None, now)
    if refused is not None:
        return refused
    body = AccountOpened(
        account_id=request.account_id,
        base_currency=request.base_currency,
        initial_cash=request.initial_cash,
        simulation_id=request.simulation_id,
        session_date=session,
        limits=request.limits,
        limits_version=1,
        request_hash=fingerprint(request),
        by=command.by,
        ts_event=time,
    )
    return (Event(EventKind.ACCOUNT_OPENED, request.account_id, body),)


def set_limits(state: FirmState, command: SetLimits, now: int) -> Outcome:
    """Put a new limit profile in force."""
    account = state.accounts.get(command.account_id)
    if account is None:
        return not_found(f"account {command.account_id} does not exist")
    return (_limits(account, command.update.limits, command.update.reason, command.by, now),)


def roll_back_limits(state: FirmState, command: RollBackLimits, now: int) -> Outcome:
    """Put an earlier limit profile in force, as a new version."""
    account = state.accounts.get(command.account_id)
    if account is None:
        return not_found(f"account {command.account_id} does not exist")
    wanted = command.request.version
    earlier = next((each for each in account.history if each.version == wanted), None)
    if earlier is None:
        return not_found(f"the limits of {command.account_id} have no version {wanted}")
    reason = f"back to version {wanted}: {command.request.reason}"[:500]
    return (_limits(account, earlier.limits, reason, command.by, now),)


def _limits(account: Account, limits: Limits, reason: str, by: str, now: int) -> Event:
    body = LimitsSet(
        account_id=account.account_id,
        version=account.limits.version + 1,
        limits=limits,
        reason=reason,
        by=by,
        ts_event=moment(now),
    )
    return Event(EventKind.LIMITS_SET, account.account_id, body)


def move_cash(state: FirmState, command: MoveCash, now: int) -> Outcome:
    """Pay in or out; the same movement again gives no event, another under its id is refused."""
    account = state.accounts.get(command.account_id)
    if account is None:
        return not_found(f"account {command.account_id} does not exist")
    request = command.request
    paid = units(request.amount)
    known = account.movements.get(request.movement_id)
    if known is not None:
        return () if known == paid else conflict(f"movement_id {request.movement_id} was used for another movement")
    if paid == 0:
        return invalid("a movement of nothing")
    if abs(account.cash + paid) > MOST_CASH:
        return invalid(f"the account's cash would be beyond {text(MOST_CASH)}")
    if paid < 0 and account.equity + paid <= 0:
        return conflict(f"the account is worth {text(account.equity)}; it cannot pay out {text(-paid)}")
    time = time_told(account, request.ts_event, now)
    if time is None:
        return invalid("a movement of a simulated account needs ts_event")
    body = CashMoved(
        account_id=account.account_id,
        movement_id=request.movement_id,
        amount=request.amount,
        reason=request.reason,
        by=command.by,
        ts_event=moment(time),
    )
    return (Event(EventKind.CASH_MOVED, account.account_id, body),)


def set_high_water_mark(state: FirmState, command: SetHighWaterMark, now: int) -> Outcome:
    """Correct a high-water mark, such as one a wrong price raised; the one it is already gives no event."""
    account = state.accounts.get(command.account_id)
    if account is None:
        return not_found(f"account {command.account_id} does not exist")
    wanted = units(command.request.high_water_mark)
    if wanted == account.high_water_mark:
        return ()
    if wanted < account.equity:
        return conflict(f"the account is worth {text(account.equity)}; its high-water mark cannot be below that")
    if wanted > MOST_CASH:
        return invalid(f"a high-water mark is at most {text(MOST_CASH)}")
    body = HighWaterMarkSet(
        account_id=account.account_id,
        before=amount(account.high_water_mark),
        high_water_mark=command.request.high_water_mark,
        reason=command.request.reason,
        by=command.by,
        ts_event=moment(now),
    )
    return (Event(EventKind.HIGH_WATER_MARK_SET, account.account_id, body),)


def _no_session(session: date, simulated: bool, now: int) -> Refused | None:
    """Return why an account cannot be in a session.

    None lies before there was a market to trade. A roll cannot be undone, so no slip may take a live account years on.
    """
    kind, earliest = ("simulated", _FIRST_SIMULATED) if simulated else ("live", _FIRST_LIVE)
    if session < earliest:
        return invalid(f"the session of {session} lies before {earliest}; the account is {kind}")
    if simulated or session <= moment(now).date() + _FURTHEST_SESSION:
        return None
    return invalid(f"the session of {session} is more than {_FURTHEST_SESSION.days} days ahead; the account is live")


def roll_day(state: FirmState, command: RollDay, now: int) -> Outcome:
    """Close a trading day; the same roll again gives no event, one backwards is refused."""
    account = state.accounts.get(command.account_id)
    if account is None:
        return not_found(f"account {command.account_id} does not exist")
    following = command.request.next_session_date
    if following == account.session_date and account.rolled:
        return ()
    if following <= account.session_date:
        return conflict(f"the account is in the session of {account.session_date}")
    refused = _no_session(following, account.simulation_id is not None, now)
    if refused is not None:
        return refused
    time = time_told(account, command.request.ts_event, now)
    if time is None:
        return invalid("the day roll of a simulated account needs ts_event")
    body = DayRolled(
        account_id=account.account_id,
        simulation_id=account.simulation_id,
        session_date=account.session_date,
        next_session_date=following,
        start_of_day_equity=amount(account.start_of_day_equity),
        end_equity=amount(account.equity),
        realised_pnl_total=amount(account.realised_pnl),
        fees_total=amount(account.fees),
        by=command.by,
        ts_event=moment(time),
    )
    return (Event(EventKind.DAY_ROLLED, account.account_id, body),)
