"""The state after what happened to orders."""

from dataclasses import replace
from typing import Final

from services.risk.core.bodies import Closed, Decided, Filled, OrderTerms
from services.risk.core.doubt import count_gain, gain_of
from services.risk.core.positions import Position, fill
from services.risk.core.scenarios import move
from services.risk.core.state import (
    OPEN,
    Account,
    Booked,
    FirmState,
    OrderRecord,
    Parent,
    Replaced,
    Replacement,
    Strategy,
)
from services.risk.core.units import SCALE, micros, units
from services.risk.core.valuation import position_in, price, settle, settle_reserved
from shared.schemas.decisions import Verdict
from shared.schemas.denials import DenialCode
from shared.schemas.events import OrderReplaced, ReplaceAcknowledged
from shared.schemas.orders import OrderStatus

_NANOSECONDS: Final = 1_000
_OPEN: Final = OrderStatus.OPEN


def decided(state: FirmState, body: Decided, seq: int) -> None:
    """Keep a decision; an approved order holds its exposure from here on."""
    account, order, verdict = state.accounts[body.account_id], body.order, body.verdict
    if verdict.approved:
        record = OrderRecord(order, body, seq, _OPEN, order.quantity)
        account.open_orders[order.client_order_id] = record
        position = account.positions.get(order.symbol) or position_in(state, account, order.symbol)
        if order.limit:
            position.rest(order.buy, order.limit)
        if order.parent_order_id is not None:
            account.parents.setdefault(order.parent_order_id, Parent(order.symbol, order.buy, order.parent_quantity))
        _hold(state, account, position, record, order.quantity)
        _sent(account, order, verdict.ts)
    else:
        record = OrderRecord(order, body, seq, OrderStatus.DENIED, 0)
        _disable_throttled(account, order.strategy_id, [each.code for each in verdict.broken])
    account.orders[order.client_order_id] = record
    move_clock(account, verdict.ts)


def closed(state: FirmState, body: Closed, seq: int) -> None:
    """End an order and free what it held."""
    account = state.accounts[body.account_id]
    end(state, account, account.orders[body.client_order_id], body.status)
    move_clock(account, body.ts)


def filled(state: FirmState, body: Filled, seq: int) -> None:
    """Book an execution."""
    account = state.accounts[body.account_id]
    # A journal of before orders were forgotten may have a fill of one that is forgotten now.
    record = account.orders.get(body.client_order_id)
    position = account.positions.get(body.symbol) or position_in(state, account, body.symbol)
    signed = body.quantity if body.buy else -body.quantity
    worth = body.multiplier * body.fx_rate
    count_gain(account, gain_of(state, account, body.symbol, signed, body.price, body.fee, worth))
    change = fill(position, signed, body.price, body.fee, body.fx_rate)
    position.quantity, position.average_price, position.cost = change.quantity, change.average_price, change.cost
    account.cash += change.cash
    account.realised_pnl += change.realised_pnl
    account.fees += body.fee
    account.turnover += body.price * body.quantity * worth // SCALE
    if record is not None:
        _fill_order(state, account, position, record, body)
    if (account.simulation_id, body.symbol) not in state.marks:
        price(state, account, position)
    settle(account, position)
    account.fills[body.trade_id] = Booked(
        body.client_order_id,
        body.price,
        body.quantity,
        body.fee,
        body.order_status,
        body.leaves if body.order_status in OPEN else 0,
        body.overfilled,
        body.doubted,
        body.position_quantity,
        body.realised_pnl,
        body.session_date,
        seq,
    )
    move_clock(account, body.ts)
    if body.doubted:
        account.doubted_fill = body.trade_id
        account.note_halts()
    raise_high_water_mark(account)


def _fill_order(state: FirmState, account: Account, position: Position, record: OrderRecord, body: Filled) -> None:
    if record.status in OPEN:
        if record.replacement is not None and body.quantity > record.leaves:
            _put_in_force(position, record)
        record.leaves = body.leaves
        _hold(state, account, position, record, _to_hold(record))
        if body.order_status not in OPEN:
            _drop(account, position, record)
    parent = account.parents.get(record.order.parent_order_id or "")
    if parent is not None:
        parent.taken += body.quantity
    if body.order_status in OPEN or body.order_status is OrderStatus.FILLED:
        record.leaves = body.leaves
    else:
        record.leaves -= body.quantity
    record.status = body.order_status


def replaced(state: FirmState, body: OrderReplaced, seq: int) -> None:
    """Keep a decision on a replacement; an approved one holds the larger of old and new."""
    account = state.accounts[body.account_id]
    record = account.orders[body.client_order_id]
    limit, quantity = units(body.limit_price) if body.limit_price else 0, units(body.quantity)
    asked = Replaced(quantity, limit, body.decision, seq)
    record.replaced = {**(record.replaced or {}), body.replace_id: asked}
    if body.decision.decision is Verdict.APPROVED:
        record.replacement = Replacement(body.replace_id, quantity, limit)
        position = account.positions[record.order.symbol]
        if limit:
            position.rest(record.order.buy, limit)
        _hold(state, account, position, record, _to_hold(record))
        # What stood is sent no more, and what is left of the change may not be sent again.
        account.recent.pop(_sent_as(record.order), None)
        filled = record.order.quantity - record.leaves
        _sent(account, replace(record.order, quantity=quantity - filled, limit=limit), micros(body.ts_event))
    else:
        _disable_throttled(account, record.order.strategy_id, [each.code for each in body.decision.reasons])
    move_clock(account, micros(body.ts_event))


def replace_acknowledged(state: FirmState, body: ReplaceAcknowledged, seq: int) -> None:
    """Put a replacement in force, or drop it."""
    account = state.accounts[body.account_id]
    record = account.orders[body.client_order_id]
    position = account.positions[record.order.symbol]
    asked = (record.replaced or {})[body.replace_id]
    record.replaced = {**(record.replaced or {}), body.replace_id: replace(asked, accepted=body.accepted)}
    if body.accepted:
        _put_in_force(position, record)
    elif record.replacement is not None:
        if record.replacement.limit:
            position.unrest(record.order.buy, record.replacement.limit)
        record.replacement = None
    _hold(state, account, position, record, record.leaves)
    if record.leaves == 0:
        record.status = OrderStatus.FILLED
        _drop(account, position, record)
    move_clock(account, micros(body.ts_event))


def end(state: FirmState, account: Account, record: OrderRecord, status: OrderStatus) -> None:
    """End an open order and free what it held."""
    position = account.positions[record.order.symbol]
    _hold(state, account, position, record, 0)
    record.status = status
    _drop(account, position, record)


def move_clock(account: Account, moment: int) -> None:
    """Move a simulated account's time on."""
    if account.simulation_id is not None and (account.clock is None or moment > account.clock):
        account.clock = moment


def raise_high_water_mark(account: Account) -> None:
    """Keep the highest equity there was, unless it may be made up."""
    if account.equity > account.high_water_mark and account.doubted_fill is None:
        account.high_water_mark = account.equity
        account.caps = None


def _hold(state: FirmState, account: Account, position: Position, record: OrderRecord, quantity: int) -> None:
    change, before = quantity - record.held, position.reserved
    if not change:
        return
    record.held = quantity
    if record.order.buy:
        position.open_buy += change
    else:
        position.open_sell += change
    if record.order.parent_order_id is not None:
        account.parents[record.order.parent_order_id].taken += change
    settle_reserved(account, position)
    if state.scenarios is not None:
        move(state.scenarios, account.tail, position, before)


def _to_hold(record: OrderRecord) -> int:
    if record.replacement is None:
        return record.leaves
    return max(record.leaves, record.replacement.quantity - (record.order.quantity - record.leaves))


def _put_in_force(position: Position, record: OrderRecord) -> None:
    new, old = record.replacement, record.order
    if new is None:
        return
    # What was filled meanwhile may be more than its quantity: nothing is left then, and not less than nothing.
    record.leaves = max(record.leaves + new.quantity - old.quantity, 0)
    record.order = replace(old, quantity=new.quantity, limit=new.limit)
    record.replacement = None
    if old.limit:
        position.unrest(old.buy, old.limit)


def _drop(account: Account, position: Position, record: OrderRecord) -> None:
    account.open_orders.pop(record.order.client_order_id, None)
    if record.order.limit:
        position.unrest(record.order.buy, record.order.limit)
    if record.replacement is not None:
        if record.replacement.limit:
            position.unrest(record.order.buy, record.replacement.limit)
        record.replacement = None


def _disable_throttled(account: Account, strategy_id: str, broken: list[DenialCode]) -> None:
    """Disable a strategy that has reached the throttle for repeated executions, until it is enabled by hand."""
    strategy = account.strategies.setdefault(strategy_id, Strategy())
    if DenialCode.REPEATED_EXECUTION in broken:
        strategy.disabled = True


def _sent_as(order: OrderTerms) -> tuple[str, str, bool, int, int]:
    """Return what makes an order the same as another but for its id."""
    return order.strategy_id, order.symbol, order.buy, order.quantity, order.limit


def _sent(account: Account, order: OrderTerms, now: int) -> None:
    """Count a message that goes out."""
    profile, nanoseconds = account.profile, now * _NANOSECONDS
    strategy = account.strategies.get(order.strategy_id)
    if strategy is None:
        strategy = account.strategies[order.strategy_id] = Strategy()
    account.due = max(account.due, nanoseconds) + profile.message_gap
    strategy.due = max(strategy.due, nanoseconds) + profile.message_gap
    if now - strategy.window >= profile.execution_window:
        strategy.window, strategy.executions = now, 0
    strategy.executions += 1
    window = profile.duplicate_window
    if window:
        recent = account.recent
        key = _sent_as(order)
        recent.pop(key, None)
        recent[key] = now
        while now - recent[oldest := next(iter(recent))] >= window:
            del recent[oldest]
