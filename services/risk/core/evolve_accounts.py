"""The state after what happened to accounts, to the market and to the engine."""

from datetime import UTC, datetime, time, timedelta
from typing import Final

import numpy as np

from services.risk.core.bodies import Marked
from services.risk.core.doubt import forget_gain
from services.risk.core.evolve_orders import move_clock, raise_high_water_mark
from services.risk.core.market import believe, doubt
from services.risk.core.positions import adopted_cost
from services.risk.core.scenarios import Scenarios
from services.risk.core.state import OPEN, Account, FirmState, first_limits
from services.risk.core.terms import Profile, Terms
from services.risk.core.units import micros, units
from services.risk.core.valuation import change_terms, name_row, position_in, price, rate_of, settle
from services.risk.core.var.incremental import ReturnMatrix
from shared.schemas.breakers import BreakerState
from shared.schemas.events import (
    AccountOpened,
    AccountReconciled,
    BreakerChanged,
    CashMoved,
    DayRolled,
    EngineStarted,
    HighWaterMarkSet,
    InstrumentSet,
    LevelChanged,
    LimitsSet,
    ScenariosSet,
    StrategyEnabled,
)
from shared.schemas.limits import Limits, LimitsView

# How long before midnight in UTC of its date a session begins at the earliest. At 21:00 UTC of the day before New
# Zealand's stocks open in its summer, and the week of currencies in New York's; Chicago's futures open an hour later,
# and New York's stocks have closed. Evening sessions in Asia that count for the next day begin earlier, but in the
# midst of America's and Europe's day, whose loss must count until it is over.
_EARLY: Final = timedelta(hours=3) // timedelta(microseconds=1)


def account_opened(state: FirmState, body: AccountOpened, seq: int) -> None:
    """Open an account."""
    cash = units(body.initial_cash)
    limits = first_limits(body.account_id, body.limits, body.by, body.ts_event)
    account = Account(
        account_id=body.account_id,
        base_currency=body.base_currency,
        initial_cash=cash,
        simulation_id=body.simulation_id,
        session_date=body.session_date,
        opened_with=body.request_hash,
        limits=limits,
        profile=Profile(body.limits),
        history=[limits],
        cash=cash,
        paid_in=cash,
        start_of_day_equity=cash,
        high_water_mark=cash,
        equity=cash,
        day_begun=micros(body.ts_event),
    )
    _begin_session(account)
    state.accounts[body.account_id] = account
    state.by_simulation.setdefault(body.simulation_id, []).append(account)


def instrument_set(state: FirmState, body: InstrumentSet, seq: int) -> None:
    """Add or replace an instrument."""
    terms = Terms(body.instrument)
    known = state.instruments.get(terms.symbol)
    state.instruments[terms.symbol] = terms
    if known is not None:
        change_terms(state, terms)


def scenarios_set(state: FirmState, body: ScenariosSet, seq: int) -> None:
    """Measure VaR and ES on other returns."""
    returns = body.scenarios.returns
    matrix = ReturnMatrix(list(returns), np.array(list(returns.values()), dtype=np.float64).T)
    state.scenarios = Scenarios(body.scenarios, matrix, frozenset(returns), seq)
    for account in state.accounts.values():
        account.tail.stale = True
        for position in account.positions.values():
            name_row(state, position)


def limits_set(state: FirmState, body: LimitsSet, seq: int) -> None:
    """Put a limit profile in force."""
    account = state.accounts[body.account_id]
    before = account.limits.limits
    account.limits = LimitsView(
        account_id=body.account_id,
        version=body.version,
        limits=body.limits,
        changed=[name for name in Limits.model_fields if getattr(before, name) != getattr(body.limits, name)],
        reason=body.reason,
        set_by=body.by,
        ts_event=body.ts_event,
    )
    account.profile = Profile(body.limits)
    account.history.append(account.limits)
    account.caps = None


def marked(state: FirmState, body: Marked, seq: int) -> None:
    """Take marks, and value what they value.

    Equity is at its high only once all prices of a moment are in: between them a hedge would look like a profit. Live
    marks that come together are of one moment, a simulation's may be of many.
    """
    simulation, at, valued = body.simulation_id, 0, dict[str, Account]()
    for quote in body.marks:
        if simulation is not None and quote.ts != at:
            _raise_high_water_marks(valued)
            at = quote.ts
        key = (simulation, quote.symbol)
        state.marks[key] = believe(quote, state.marks.get(key), state.instruments[quote.symbol])
        for account, position in state.valued_by.get(key, {}).values():
            price(state, account, position)
            settle(account, position)
            valued[account.account_id] = account
    _raise_high_water_marks(valued)
    for quote in body.doubted:
        key = (simulation, quote.symbol)
        state.marks[key] = mark = doubt(quote, state.marks.get(key))
        for _, position in state.valued_by.get(key, {}).values():
            if position.terms.symbol == quote.symbol:
                position.mark = mark


def _raise_high_water_marks(accounts: dict[str, Account]) -> None:
    for account in accounts.values():
        raise_high_water_mark(account)
    accounts.clear()


def cash_moved(state: FirmState, body: CashMoved, seq: int) -> None:
    """Pay in or out; neither is a profit or a loss."""
    account, paid = state.accounts[body.account_id], units(body.amount)
    account.movements[body.movement_id] = paid
    account.cash += paid
    account.paid_in += paid
    account.equity += paid
    account.start_of_day_equity += paid
    account.high_water_mark += paid
    account.caps = None
    move_clock(account, micros(body.ts_event))


def high_water_mark_set(state: FirmState, body: HighWaterMarkSet, seq: int) -> None:
    """Take an admin's word on the highest equity there was."""
    account = state.accounts[body.account_id]
    account.high_water_mark = units(body.high_water_mark)
    account.caps = None


def _begin_session(account: Account) -> None:
    if account.simulation_id is None:
        midnight = datetime.combine(account.session_date, time(), UTC)
        account.session_begins = micros(midnight) - _EARLY


def day_rolled(state: FirmState, body: DayRolled, seq: int) -> None:
    """Begin a day; what a live account closed before the day that ended is forgotten.

    Days rolled in a row, as the account was behind or by mistake, are one day of losses and of turnover: nothing begins
    anew with a session that had begun before the day did, nor before the session of the last that did begins.

    An order's id is unique within a day (FIX, tag 11 ClOrdID); a simulation is run again and again over its days.
    """
    account = state.accounts[body.account_id]
    ended = account.session_date
    account.session_date = body.next_session_date
    _begin_session(account)
    account.rolled = True
    now, begins = micros(body.ts_event), account.session_begins
    if account.simulation_id is not None or begins > account.day_begun <= now:
        account.day_begun = max(now, begins)
        account.start_of_day_equity = units(body.end_equity)
        account.turnover = 0
        forget_gain(account)
        for position in account.positions.values():
            position.day_start = position.quantity
    account.caps = None
    move_clock(account, now)
    if account.simulation_id is not None:
        return
    for order_id in [
        order_id
        for order_id, record in account.orders.items()
        if record.status not in OPEN and record.decided.session_date < ended
    ]:
        del account.orders[order_id]
    for trade_id in [trade_id for trade_id, each in account.fills.items() if each.session_date < ended]:
        del account.fills[trade_id]


def account_reconciled(state: FirmState, body: AccountReconciled, seq: int) -> None:
    """Note what was compared; where the broker's word was taken, put it in place of ours."""
    account = state.accounts[body.account_id]
    account.breaks = 0 if body.adopted else len(body.breaks)
    if body.adopted:
        before = account.equity
        for adopted in body.positions:
            position = position_in(state, account, adopted.symbol)
            quantity, average = units(adopted.quantity), units(adopted.average_price) if adopted.average_price else 0
            cost = adopted_cost(position, quantity, average, rate_of(state, account, position.terms.currency))
            account.paid_in += cost - position.cost
            position.quantity, position.average_price, position.cost = quantity, average, cost
            price(state, account, position)
            settle(account, position)
        cash = units(body.cash)
        account.paid_in += cash - account.cash
        account.cash = cash
        account.equity = account.cash + account.value
        # What was never earned here is neither profit nor loss; but a profit that was made up goes as it came.
        if account.doubted_fill is None:
            account.start_of_day_equity += account.equity - before
            account.high_water_mark += account.equity - before
        account.caps = None
    agrees = body.adopted or not body.breaks
    if body.cash_compared:
        account.reconciled = agrees
        if agrees:
            account.doubted_fill = None
            forget_gain(account)
            raise_high_water_mark(account)
    elif not agrees:
        account.reconciled = False
    account.note_halts()


def breaker_changed(state: FirmState, body: BreakerChanged, seq: int) -> None:
    """Put a breaker into its new state."""
    account = state.accounts[body.account_id]
    breaker = account.breakers[body.breaker.value]
    if body.state is BreakerState.OPEN and breaker.state is not BreakerState.OPEN:
        breaker.tripped_at = micros(body.ts_event)
    breaker.state = body.state
    breaker.clear_since = micros(body.clear_since) if body.clear_since else None
    if body.state is BreakerState.CLOSED:
        breaker.tripped_at = breaker.clear_since = None
    account.note_halts()


def level_changed(state: FirmState, body: LevelChanged, seq: int) -> None:
    """Give an account its level."""
    account = state.accounts[body.account_id]
    account.level, account.level_reason = body.level, body.reason
    account.note_halts()


def strategy_enabled(state: FirmState, body: StrategyEnabled, seq: int) -> None:
    """Let a strategy send again, counting from nothing."""
    strategy = state.accounts[body.account_id].strategies[body.strategy_id]
    strategy.disabled, strategy.executions = False, 0


def engine_started(state: FirmState, body: EngineStarted, seq: int) -> None:
    """Note who leads; after a halted start no live account is reconciled."""
    state.leader = (body.build, body.configuration_hash)
    if body.halted:
        for account in state.by_simulation.get(None, []):
            account.reconciled = False
            account.note_halts()
