"""The simulated venue: what fills, at which price and fee, and what the account is then worth."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal

from shared.money import ZERO
from shared.schemas.instruments import AssetClass, Instrument
from shared.schemas.marketdata import Bar, MarketState
from shared.schemas.orders import Fill, Order, Side

# Commission and exchange charges in basis points of notional: round figures of the size a small desk pays.
# Slippage is not in them; orders are small against what trades in a bar.
FEE_BPS = {
    AssetClass.EQUITY: Decimal(1),
    AssetClass.INDEX: Decimal(2),
    AssetClass.FUTURE: Decimal(2),
    AssetClass.OPTION: Decimal(5),
    AssetClass.CRYPTO: Decimal(10),
    AssetClass.FX: Decimal("0.5"),
}
_TEN_THOUSAND = Decimal(10_000)
_CENT = Decimal("0.01")
_SMALLEST_COIN = Decimal("0.00000001")
_COINS = frozenset({"USDT", "USDC", "FDUSD", "BTC", "ETH"})


def fee(instrument: Instrument, price: Decimal, quantity: Decimal) -> Decimal:
    """Return the fee of a fill: basis points of notional, half up to a cent, or to 1e-8 of a coin."""
    exact = price * quantity * instrument.multiplier * FEE_BPS[instrument.asset_class] / _TEN_THOUSAND
    return exact.quantize(_SMALLEST_COIN if instrument.currency in _COINS else _CENT, ROUND_HALF_UP)


def fill_price(record: Bar | MarketState, ordered_at: datetime) -> tuple[Decimal, datetime] | None:
    """Return the price and the moment at which a market order fills on a record, or None where it cannot.

    A bar fills at its open if it began when or after the order was made; a state at its spot if it is later.
    """
    if isinstance(record, Bar):
        price, moment, in_time = record.open, record.ts, record.ts >= ordered_at
    elif record.spot_price is None or record.timestamp is None:
        return None
    else:
        price, moment, in_time = record.spot_price, record.timestamp, record.timestamp > ordered_at
    return (price, moment) if in_time and price > 0 else None


def signed(side: Side, quantity: Decimal) -> Decimal:
    """Return a quantity above zero for BUY, below zero for SELL."""
    return quantity if side is Side.BUY else -quantity


@dataclass(slots=True)
class Book:
    """An account as the desk's own execution knows it, from its fills alone.

    `positions` are those of each strategy in each symbol; `marks` the last price that passed the quality gate.
    """

    cash: Decimal
    instruments: dict[str, Instrument] = field(default_factory=dict)
    positions: dict[tuple[str, str], Decimal] = field(default_factory=dict)
    marks: dict[str, Decimal] = field(default_factory=dict)
    pending: dict[str, Order] = field(default_factory=dict)

    @property
    def equity(self) -> Decimal:
        """Return cash and positions at their marks, exactly."""
        total = self.cash
        for (_, symbol), quantity in self.positions.items():
            if quantity:
                total += quantity * self.marks[symbol] * self.instruments[symbol].multiplier
        return total

    def position(self, strategy_id: str, symbol: str) -> Decimal:
        """Return what a strategy holds in a symbol once its open orders have filled."""
        held = self.positions.get((strategy_id, symbol), ZERO)
        return held + sum(
            (signed(order.side, order.quantity) for order in self.pending_in(symbol, strategy_id)), start=ZERO
        )

    def pending_in(self, symbol: str, strategy_id: str | None = None) -> list[Order]:
        """Return the open orders in a symbol, oldest first."""
        return [
            order
            for order in self.pending.values()
            if order.symbol == symbol and strategy_id in {None, order.strategy_id}
        ]

    def applied(self, order: Order, fill: Fill) -> None:
        """Take a fill of a whole order into cash and position."""
        instrument = self.instruments[order.symbol]
        quantity = signed(order.side, fill.quantity)
        self.cash -= quantity * fill.price * instrument.multiplier + fill.fee
        key = (order.strategy_id, order.symbol)
        self.positions[key] = self.positions.get(key, ZERO) + quantity
        # A fill before the first mark would have no price to be valued at.
        self.marks.setdefault(order.symbol, fill.price)
        del self.pending[order.client_order_id]

    def closed(self, orders: Iterable[Order]) -> None:
        """Forget orders that will not fill."""
        for order in orders:
            self.pending.pop(order.client_order_id, None)


def whole_fill(order: Order, instrument: Instrument, price: Decimal, moment: datetime) -> Fill:
    """Return the fill of a whole order; its id is that of the order, so that sending it twice is one fill."""
    return Fill(
        trade_id=f"{order.client_order_id}.1",
        client_order_id=order.client_order_id,
        price=price,
        quantity=order.quantity,
        fee=fee(instrument, price, order.quantity),
        ts_event=moment,
    )
