"""The state as callers see it."""

from services.risk.core.checks.context import share
from services.risk.core.levels import standing
from services.risk.core.positions import unrealised_pnl
from services.risk.core.state import Account, FirmState, OrderRecord
from shared.money import ZERO, round_amount
from shared.schemas.accounts import AccountStatus, PositionView
from shared.schemas.orders import OrderView


def account_status(state: FirmState, account: Account) -> AccountStatus:
    """Return an account as it stands."""
    equity = state.equity(account)
    positions = [_position(state, account, symbol) for symbol in sorted(account.holdings)]
    gross = sum((abs(position.notional) for position in positions), ZERO)
    net = sum((position.notional for position in positions), ZERO)
    found = standing(state, account)
    used = {each.name: each.value for each in found.utilisations}
    return AccountStatus(
        account_id=account.account_id,
        base_currency=account.base_currency,
        simulation_id=account.simulation_id,
        session_date=account.session_date,
        risk_level=found.level,
        risk_level_reason=found.reason,
        equity=equity,
        cash=account.cash,
        start_of_day_equity=account.start_of_day_equity,
        high_water_mark=account.high_water_mark,
        realised_pnl=account.realised_pnl,
        unrealised_pnl=sum((position.unrealised_pnl for position in positions), ZERO),
        fees=account.fees,
        daily_loss=used["daily_loss"],
        drawdown=used["drawdown"],
        gross_exposure=share(gross, equity),
        net_exposure=share(abs(net), equity) * (-1 if net < 0 else 1),
        leverage=used["leverage"],
        open_orders=len(account.open_orders),
        utilisations=found.utilisations,
        positions=positions,
        kill_switches=[switch.kill_switch_id for switch in state.active_switches(account.account_id, None, None)],
        state_seq=account.state_seq,
        ts_event=account.clock,
    )


def order_view(account: Account, record: OrderRecord) -> OrderView:
    """Return an order as it stands."""
    order = record.order
    return OrderView(
        account_id=account.account_id,
        client_order_id=order.client_order_id,
        strategy_id=order.strategy_id,
        symbol=order.symbol,
        side=order.side,
        quantity=order.quantity,
        leaves_quantity=record.leaves,
        status=record.status,
    )


def _position(state: FirmState, account: Account, symbol: str) -> PositionView:
    holding, instrument, mark = account.holdings[symbol], state.instruments[symbol], state.mark(account, symbol)
    price = state.price(account, symbol)
    return PositionView(
        symbol=symbol,
        quantity=holding.quantity,
        average_price=holding.average_price,
        mark_price=mark.price if mark else None,
        notional=round_amount(holding.quantity * price * instrument.multiplier),
        unrealised_pnl=unrealised_pnl(holding, price, instrument),
        open_buy_quantity=holding.open_buy,
        open_sell_quantity=holding.open_sell,
    )
