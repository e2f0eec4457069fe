"""One way forward: the state after an event. Folding the journal gives the state."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

from services.risk.core.outcome import Event
from services.risk.core.positions import fill
from services.risk.core.state import OPEN, Account, FirmState, OrderRecord, default_limits, signed
from shared.money import ZERO
from shared.schemas.decisions import Decision, Verdict
from shared.schemas.events import (
    AccountOpened,
    DayRolled,
    FillApplied,
    InstrumentSet,
    KillSwitchActivated,
    KillSwitchReleased,
    LimitsSet,
    MarksSet,
    OrderClosed,
    OrderDecided,
)
from shared.schemas.kill_switches import KillSwitchView
from shared.schemas.limits import LimitsView
from shared.schemas.orders import FillResult, OrderStatus, Side


def evolve(state: FirmState, event: Event, seq: int) -> None:
    """Bring the state forward by one event, the journal's row `seq`."""
    _STEPS[type(event.body)](state, event.body, seq)
    state.last_seq = seq
    if event.account_id is not None:
        state.accounts[event.account_id].state_seq = seq


def _account_opened(state: FirmState, body: AccountOpened, seq: int) -> None:
    account = Account(
        account_id=body.account_id,
        base_currency=body.base_currency,
        initial_cash=body.initial_cash,
        simulation_id=body.simulation_id,
        session_date=body.session_date,
        opened_with=body.request_hash,
        limits=default_limits(body.account_id, body.limits, body.by, body.ts_event),
        cash=body.initial_cash,
        start_of_day_equity=body.initial_cash,
        high_water_mark=body.initial_cash,
    )
    state.accounts[body.account_id] = account
    state.by_simulation.setdefault(body.simulation_id, []).append(account)


def _instrument_set(state: FirmState, body: InstrumentSet, seq: int) -> None:
    state.instruments[body.instrument.symbol] = body.instrument


def _limits_set(state: FirmState, body: LimitsSet, seq: int) -> None:
    state.accounts[body.account_id].limits = LimitsView(
        account_id=body.account_id,
        version=body.version,
        limits=body.limits,
        reason=body.reason,
        set_by=body.by,
        ts_event=body.ts_event,
    )


def _marks_set(state: FirmState, body: MarksSet, seq: int) -> None:
    accounts = state.by_simulation.get(body.simulation_id, [])
    for mark in body.marks:
        state.marks[body.simulation_id, mark.symbol] = mark
        for account in accounts:
            if mark.symbol in account.holdings:
                _raise_high_water_mark(state, account)


def _order_decided(state: FirmState, body: OrderDecided, seq: int) -> None:
    account, order = state.accounts[body.account_id], body.order
    approved = body.decision.decision is Verdict.APPROVED
    record = OrderRecord(
        order=order,
        request_hash=body.request_hash,
        decision=Decision(**dict(body.decision), seq=seq),
        status=OrderStatus.OPEN if approved else OrderStatus.DENIED,
        leaves=order.quantity if approved else ZERO,
    )
    account.orders[order.client_order_id] = record
    if approved:
        account.open_orders[order.client_order_id] = record
        _reserve(account, record, record.leaves)
    _move_clock(account, body.ts_event)


def _order_closed(state: FirmState, body: OrderClosed, seq: int) -> None:
    account = state.accounts[body.account_id]
    _end(account, account.orders[body.client_order_id], body.status)
    _move_clock(account, body.ts_event)


def _fill_applied(state: FirmState, body: FillApplied, seq: int) -> None:
    account, record = state.accounts[body.account_id], state.accounts[body.account_id].orders[body.client_order_id]
    holding, instrument = account.holding(body.symbol), state.instruments[body.symbol]
    change = fill(holding, signed(body.side, body.quantity), body.price, body.fee, instrument)
    holding.quantity, holding.average_price = change.quantity, change.average_price
    account.cash += change.cash
    account.realised_pnl += change.realised_pnl
    account.fees += body.fee
    if record.status in OPEN:
        _reserve(account, record, -body.quantity)
    record.leaves = body.leaves_quantity
    record.status = body.order_status
    if record.status not in OPEN:
        account.open_orders.pop(body.client_order_id, None)
    result = FillResult(
        trade_id=body.trade_id,
        client_order_id=body.client_order_id,
        duplicate=False,
        order_status=body.order_status,
        leaves_quantity=body.leaves_quantity,
        position_quantity=body.position_quantity,
        realised_pnl=body.realised_pnl,
        seq=seq,
    )
    account.fills[body.trade_id] = (body.request_hash, result)
    _move_clock(account, body.ts_event)
    _raise_high_water_mark(state, account)


def _day_rolled(state: FirmState, body: DayRolled, seq: int) -> None:
    account = state.accounts[body.account_id]
    account.session_date = body.next_session_date
    account.start_of_day_equity = body.end_equity
    account.rolled = True
    _move_clock(account, body.ts_event)


def _kill_switch_activated(state: FirmState, body: KillSwitchActivated, seq: int) -> None:
    for cancelled in body.cancelled:
        account = state.accounts[cancelled.account_id]
        _end(account, account.orders[cancelled.client_order_id], OrderStatus.CANCELLED)
    state.kill_switches[body.kill_switch_id] = KillSwitchView(
        kill_switch_id=body.kill_switch_id,
        scope=body.scope,
        target=body.target,
        kind=body.kind,
        reason=body.reason,
        activated_by=body.by,
        activated_at=body.ts_event,
        cancelled_orders=len(body.cancelled),
        seq=seq,
    )


def _kill_switch_released(state: FirmState, body: KillSwitchReleased, seq: int) -> None:
    switch = state.kill_switches[body.kill_switch_id]
    state.kill_switches[body.kill_switch_id] = switch.model_copy(
        update={"released_by": body.by, "released_at": body.ts_event, "release_reason": body.reason}
    )


def _reserve(account: Account, record: OrderRecord, quantity: Decimal) -> None:
    holding = account.holding(record.order.symbol)
    if record.order.side is Side.BUY:
        holding.open_buy += quantity
    else:
        holding.open_sell += quantity


def _end(account: Account, record: OrderRecord, status: OrderStatus) -> None:
    _reserve(account, record, -record.leaves)
    record.status = status
    account.open_orders.pop(record.order.client_order_id, None)


def _move_clock(account: Account, moment: datetime) -> None:
    if account.simulation_id is not None and (account.clock is None or moment > account.clock):
        account.clock = moment


def _raise_high_water_mark(state: FirmState, account: Account) -> None:
    account.high_water_mark = max(account.high_water_mark, state.equity(account))


_STEPS: dict[type, Callable[[FirmState, Any, int], None]] = {
    AccountOpened: _account_opened,
    InstrumentSet: _instrument_set,
    LimitsSet: _limits_set,
    MarksSet: _marks_set,
    OrderDecided: _order_decided,
    OrderClosed: _order_closed,
    FillApplied: _fill_applied,
    DayRolled: _day_rolled,
    KillSwitchActivated: _kill_switch_activated,
    KillSwitchReleased: _kill_switch_released,
}
