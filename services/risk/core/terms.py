"""Instruments and limit profiles as the checks use them: fixed point, defaults filled in."""

from dataclasses import dataclass, field
from typing import Final

from services.risk.core.units import SCALE, of_float, units
from shared.schemas.instruments import AssetClass, Instrument
from shared.schemas.limits import Limits

_MARGIN_WHERE_MARGINED: Final = 0.2
# Initial margin of a long or short position in stock: 50 % (US Regulation T, 12 CFR 220.12).
_MARGIN_ELSEWHERE: Final = 0.5
_JUMPS: Final = {
    AssetClass.INDEX: 0.1,
    AssetClass.FX: 0.1,
    AssetClass.EQUITY: 0.2,
    AssetClass.FUTURE: 0.2,
    AssetClass.CRYPTO: 0.3,
}
# A limit that is off: larger than anything measured (at most some 10^81), so that checks need no second path.
OFF: Final = 10**100


@dataclass(slots=True)
class Terms:
    """An instrument, compiled."""

    instrument: Instrument
    symbol: str = field(init=False)
    currency: str = field(init=False)
    sector: str | None = field(init=False)
    asset_class: str = field(init=False)
    underlying: str | None = field(init=False)
    multiplier: int = field(init=False)
    lot: int = field(init=False)
    tick: int = field(init=False)
    margined: bool = field(init=False)
    margin: int = field(init=False)
    daily_volume: int = field(init=False)
    max_jump: int = field(init=False)
    # Microseconds between a doubted price and the one that may confirm it.
    jump_confirm: int = field(init=False)
    restricted: bool = field(init=False)
    tradable: bool = field(init=False)

    def __post_init__(self) -> None:
        each = self.instrument
        self.symbol, self.currency = each.symbol, each.currency
        self.sector, self.asset_class, self.underlying = each.sector, each.asset_class.value, each.underlying
        self.multiplier, self.lot, self.tick = units(each.multiplier), units(each.lot_size), units(each.tick_size)
        self.margined = each.margined
        self.margin = of_float(each.initial_margin or (_MARGIN_WHERE_MARGINED if each.margined else _MARGIN_ELSEWHERE))
        self.daily_volume = units(each.average_daily_volume) if each.average_daily_volume else 0
        jump = each.max_jump or _JUMPS.get(each.asset_class)
        self.max_jump = of_float(jump) if jump else OFF
        self.jump_confirm = round(each.jump_confirm_seconds * 1_000_000)
        self.restricted, self.tradable = each.restricted, each.tradable

    @property
    def unit_of_account(self) -> tuple[str, int, bool, str | None]:
        """Return what may not change while the instrument is held: its worth would change without a price."""
        return self.currency, self.multiplier, self.margined, self.underlying


@dataclass(slots=True)
class Profile:
    """A limit profile, compiled; fractions in units of 10^-10, times in micro- or nanoseconds."""

    limits: Limits
    confidence: float = field(init=False)
    var_required: bool = field(init=False)
    position: int = field(init=False)
    sector: int = field(init=False)
    asset_class: int = field(init=False)
    gross: int = field(init=False)
    net: int = field(init=False)
    leverage: int = field(init=False)
    intraday: int = field(init=False)
    turnover: int = field(init=False)
    daily_loss: int = field(init=False)
    drawdown: int = field(init=False)
    value_at_risk: float = field(init=False)
    expected_shortfall: float = field(init=False)
    order_quantity: int = field(init=False)
    order_value: int = field(init=False)
    order_volume: int = field(init=False)
    fill_doubt: int = field(init=False)
    open_orders: int = field(init=False)
    collar_bps: int = field(init=False)
    mark_age: int = field(init=False)
    # Nanoseconds between two messages at the highest lasting rate, and how far a burst may run ahead of it.
    message_gap: int = field(init=False)
    message_slack: int = field(init=False)
    executions: int = field(init=False)
    execution_window: int = field(init=False)
    duplicate_window: int = field(init=False)

    def __post_init__(self) -> None:
        each = self.limits
        self.confidence = each.var_confidence
        self.var_required = each.var_required
        self.position = of_float(each.max_position_fraction)
        self.sector = of_float(each.max_sector_fraction)
        self.asset_class = of_float(each.max_asset_class_fraction)
        self.gross = of_float(each.max_gross_exposure)
        self.net = _or_off(each.max_net_exposure)
        self.leverage = of_float(each.max_leverage)
        self.intraday = _or_off(each.max_intraday_position_fraction)
        self.turnover = _or_off(each.max_turnover)
        self.daily_loss = of_float(each.max_daily_loss_fraction)
        self.drawdown = of_float(each.max_drawdown_fraction)
        self.value_at_risk = each.max_var_fraction or 0.0
        self.expected_shortfall = each.max_expected_shortfall_fraction or 0.0
        self.order_quantity = units(each.max_order_quantity) if each.max_order_quantity else OFF
        self.order_value = units(each.max_order_value) if each.max_order_value else OFF
        self.order_volume = _or_off(each.max_order_volume_fraction)
        self.fill_doubt = _or_off(each.fill_doubt_fraction)
        self.open_orders = each.max_open_orders
        self.collar_bps = each.price_collar_bps
        self.mark_age = each.max_mark_age_seconds * 1_000_000
        self.message_gap = max(1_000_000_000 // each.max_messages_per_second, 1)
        self.message_slack = (each.max_message_burst - 1) * self.message_gap
        self.executions = each.max_repeated_executions
        self.execution_window = each.repeated_execution_window_seconds * 1_000_000
        self.duplicate_window = each.duplicate_window_ms * 1_000


def _or_off(fraction: float | None) -> int:
    return OFF if fraction is None else of_float(fraction)


def worth(quantity: int, unit: int) -> int:
    """Return the worth of a quantity at a unit's worth of scale 10^-20, in money, away from zero.

    Rounded up, so that what is a hair beyond a limit is not found to be at it.
    """
    value = quantity * unit
    return -(-value // (SCALE * SCALE)) if value >= 0 else value // (SCALE * SCALE)
