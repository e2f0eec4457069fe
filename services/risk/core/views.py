"""The state as callers see it."""

from collections.abc import Sequence
from datetime import datetime

from services.risk.core.breakers import WARNING, threshold_of, tidy
from services.risk.core.levels import level_now, measures, reserved, share, utilisations, watched
from services.risk.core.positions import Position, unrealised_pnl
from services.risk.core.state import OPEN, Account, Booked, FirmState, OrderRecord
from services.risk.core.units import SCALE2, amount, moment
from shared.schemas.accounts import AccountStatus, PositionView, TailRisk
from shared.schemas.breakers import BreakerName, BreakerView
from shared.schemas.decisions import RiskLevel
from shared.schemas.kill_switches import KillSwitchView
from shared.schemas.orders import FillResult, OrderView, Side


def account_status(state: FirmState, account: Account) -> AccountStatus:
    """Return an account as it stands."""
    found = measures(state, account)
    positions = [_position(state, account, symbol) for symbol in sorted(account.positions)]
    switches = list(state.active_switches(account.account_id, None, None))
    level, why = shown_level(*level_now(account, found), switches)
    net = net_notional(account)
    return AccountStatus(
        account_id=account.account_id,
        base_currency=account.base_currency,
        simulation_id=account.simulation_id,
        session_date=account.session_date,
        risk_level=level,
        risk_level_reason=why,
        reconciled=account.reconciled,
        doubted_fill=account.doubted_fill,
        fills_gain=amount(account.fills_gain),
        equity=amount(account.equity),
        cash=amount(account.cash),
        start_of_day_equity=amount(account.start_of_day_equity),
        high_water_mark=amount(account.high_water_mark),
        paid_in=amount(account.paid_in),
        realised_pnl=amount(account.realised_pnl),
        unrealised_pnl=amount(sum(unrealised_pnl(each) for each in account.positions.values())),
        fees=amount(account.fees),
        daily_loss=found["daily_loss"],
        drawdown=found["drawdown"],
        gross_exposure=found["gross_exposure"],
        net_exposure=signed_share(net, account.equity),
        leverage=found["leverage"],
        tail_risk=_tail(state, account, found),
        open_orders=len(account.open_orders),
        utilisations=utilisations(account, reserved(state, account)),
        breakers=[_breaker(account, name, watched(found).get(name)) for name in BreakerName],
        disabled_strategies=sorted(name for name, each in account.strategies.items() if each.disabled),
        positions=positions,
        kill_switches=[switch.kill_switch_id for switch in switches],
        policy_version=account.limits.version,
        state_seq=account.state_seq,
        ts_event=None if account.clock is None else moment(account.clock),
    )


def shown_level(level: RiskLevel, reason: str, switches: Sequence[KillSwitchView]) -> tuple[RiskLevel, str]:
    """Return the level an account is shown at and why: BLACK while a kill switch stops all of it."""
    if switches:
        return RiskLevel.BLACK, f"{switches[0].scope} is stopped: {switches[0].reason}"
    return level, reason


def net_notional(account: Account) -> int:
    """Return the sum of signed notionals of the positions as they are."""
    return sum(each.net for each in account.positions.values())


def signed_share(value: int, of: int) -> float:
    """Return a value of either sign as a fraction of another."""
    return share(abs(value), of) * (-1 if value < 0 else 1)


def market_value(position: Position) -> int:
    """Return the quantity at its mark in the account's currency, of a margined position its notional."""
    return position.quantity * position.unit // SCALE2


def fill_result(trade_id: str, booked: Booked, *, duplicate: bool) -> FillResult:
    """Return what an execution did."""
    return FillResult(
        trade_id=trade_id,
        client_order_id=booked.client_order_id,
        duplicate=duplicate,
        order_status=booked.order_status,
        leaves_quantity=amount(booked.leaves),
        overfilled_quantity=amount(booked.overfilled),
        doubted=booked.doubted,
        position_quantity=amount(booked.position_quantity),
        realised_pnl=amount(booked.realised_pnl),
        seq=booked.seq,
    )


def order_view(account: Account, record: OrderRecord) -> OrderView:
    """Return an order as it stands."""
    order = record.order
    return OrderView(
        account_id=account.account_id,
        client_order_id=order.client_order_id,
        strategy_id=order.strategy_id,
        symbol=order.symbol,
        side=Side.BUY if order.buy else Side.SELL,
        quantity=amount(order.quantity),
        limit_price=amount(order.limit) if order.limit else None,
        leaves_quantity=amount(record.leaves if record.status in OPEN else 0),
        status=record.status,
        pending_replace_id=record.replacement.replace_id if record.replacement else None,
    )


def _tail(state: FirmState, account: Account, found: dict[str, float]) -> list[TailRisk]:
    if "value_at_risk" not in found or state.scenarios is None:
        return []
    return [
        TailRisk(
            method="historical",
            value_at_risk=found["value_at_risk"],
            expected_shortfall=found["expected_shortfall"],
            confidence=account.profile.confidence,
            horizon_days=state.scenarios.source.horizon_days,
            observations=state.scenarios.matrix.scenarios,
            ddof=None,
        )
    ]


def _breaker(account: Account, name: BreakerName, value: float | None) -> BreakerView:
    breaker, threshold = account.breakers[name.value], threshold_of(name, account.profile.limits)
    return BreakerView(
        name=name,
        state=breaker.state,
        value=value,
        threshold=threshold,
        warning=value is not None and threshold is not None and value >= tidy(threshold * WARNING),
        tripped_at=_time(breaker.tripped_at),
        clear_since=_time(breaker.clear_since),
    )


def _position(state: FirmState, account: Account, symbol: str) -> PositionView:
    position: Position = account.positions[symbol]
    mark = state.mark(account, symbol)
    return PositionView(
        symbol=symbol,
        quantity=amount(position.quantity),
        average_price=amount(position.average_price),
        mark_price=amount(mark.price) if mark else None,
        notional=amount(market_value(position)),
        exposure=amount(position.net),
        unrealised_pnl=amount(unrealised_pnl(position)),
        open_buy_quantity=amount(position.open_buy),
        open_sell_quantity=amount(position.open_sell),
    )


def _time(value: int | None) -> datetime | None:
    return None if value is None else moment(value)
