"""A state to test decisions on: one firm, one account, a few instruments."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from services.risk.core.answers import decision
from services.risk.core.bodies import Quote
from services.risk.core.commands import (
    ActivateKillSwitch,
    ApplyFill,
    Command,
    OpenAccount,
    PlaceOrder,
    SetInstruments,
    SetMarks,
)
from services.risk.core.outcome import Event, Refused
from services.risk.core.state import Account, FirmState
from services.risk.core.step import step
from services.risk.core.translate import order_terms
from services.risk.core.units import amount, micros, units
from services.risk.core.views import account_status, fill_result
from shared.schemas.accounts import AccountCreate, PositionView
from shared.schemas.decisions import Decision
from shared.schemas.instruments import AssetClass, Instrument
from shared.schemas.kill_switches import KillReason, KillScope, KillSwitchCreate
from shared.schemas.limits import Limits
from shared.schemas.orders import Fill, FillResult, Order, Side

START = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
STOCK = Instrument(symbol="STOCK", currency="USD", asset_class=AssetClass.EQUITY, tick_size=Decimal("0.01"))
FUTURE = Instrument(
    symbol="FUT",
    currency="USD",
    asset_class=AssetClass.FUTURE,
    tick_size=Decimal("0.25"),
    multiplier=Decimal(50),
    margined=True,
)
EURO = Instrument(symbol="EURO", currency="EUR", asset_class=AssetClass.EQUITY, tick_size=Decimal("0.01"))
COIN = Instrument(
    symbol="COIN",
    currency="USD",
    asset_class=AssetClass.CRYPTO,
    tick_size=Decimal("0.01"),
    lot_size=Decimal("0.001"),
)
# An option on the stock, a stock of any fraction, and a rate: a desk does not know them yet.
CALL = Instrument(
    symbol="CALL",
    currency="USD",
    asset_class=AssetClass.OPTION,
    tick_size=Decimal("0.01"),
    multiplier=Decimal(100),
    underlying="STOCK",
)
DUST = STOCK.model_copy(update={"symbol": "DUST", "lot_size": Decimal("0.0000000001")})
EURUSD = Instrument(symbol="EUR/USD", currency="USD", asset_class=AssetClass.FX, tick_size=Decimal("0.0001"))


class Desk:
    """Send commands to the pure core as the engine does, and keep the journal of what came of them."""

    def __init__(self, limits: Limits | None = None, cash: str = "100000") -> None:
        self.state = FirmState()
        self.now = START
        self.journal: list[Event] = []
        self.count = 0
        self.send(SetInstruments((STOCK, FUTURE, EURO, COIN), "ada"))
        self.send(
            OpenAccount(
                AccountCreate(
                    account_id="main",
                    base_currency="USD",
                    initial_cash=Decimal(cash),
                    limits=limits or narrow(),
                    session_date=date(2026, 3, 2),
                ),
                "ada",
            )
        )
        self.mark(STOCK=100, FUT=4000, EURO=10, COIN=50000)

    @property
    def account(self) -> Account:
        return self.state.accounts["main"]

    def send(self, command: Command) -> tuple[Event, ...] | Refused:
        outcome = step(self.state, command, micros(self.now))
        if isinstance(outcome, Refused):
            return outcome
        self.journal += outcome
        return tuple(outcome)

    def mark(self, **prices: Any) -> None:
        now = micros(self.now)
        quotes = (Quote(symbol, units(Decimal(str(price))), now) for symbol, price in prices.items())
        self.send(SetMarks(None, tuple(quotes)))
        jumped = [symbol for (_, symbol), mark in self.state.marks.items() if mark.suspect and symbol in prices]
        if jumped:
            # What jumps is believed once a later price confirms it.
            self.later(1)
            now = micros(self.now)
            again = (Quote(symbol, units(Decimal(str(prices[symbol]))), now) for symbol in jumped)
            self.send(SetMarks(None, tuple(again)))

    def order(self, side: str = "BUY", quantity: Any = 1, symbol: str = "STOCK", **fields: Any) -> Decision:
        self.count += 1
        values: dict[str, Any] = {"client_order_id": f"o-{self.count}", "strategy_id": "trend", **fields}
        order = Order.model_validate({"symbol": symbol, "side": side, "quantity": str(quantity), **values})
        outcome = self.send(PlaceOrder("main", order_terms(order), "ada"))
        assert not isinstance(outcome, Refused), outcome.detail
        return self.decided(order.client_order_id)

    def decided(self, client_order_id: str) -> Decision:
        """Return what is answered now, by either way: they say the same."""
        found = decision(self.state, self.account, self.account.orders[client_order_id])
        assert Decision.model_validate_json(found.text()) == found.model()
        return found.model()

    def fill(self, decision: Decision, quantity: Any, price: Any, fee: Any = 0) -> FillResult:
        self.count += 1
        report = Fill(
            trade_id=f"t-{self.count}",
            client_order_id=decision.client_order_id,
            price=Decimal(str(price)),
            quantity=Decimal(str(quantity)),
            fee=Decimal(str(fee)),
            ts_event=self.now,
        )
        outcome = self.send(ApplyFill("main", report, "ada"))
        assert not isinstance(outcome, Refused), outcome.detail
        return fill_result(report.trade_id, self.account.fills[report.trade_id], duplicate=False)

    def trade(self, side: str, quantity: Any, price: Any, symbol: str = "STOCK", fee: Any = 0) -> None:
        decision = self.order(side, quantity, symbol)
        assert decision.decision == "APPROVED", decision.reasons
        self.fill(decision, quantity, price, fee)

    def kill(self, scope: KillScope, target: str | None = None) -> None:
        request = KillSwitchCreate(scope=scope, target=target, reason="testing")
        self.send(ActivateKillSwitch(f"ks-{len(self.journal)}", request, KillReason.MANUAL, "ada"))

    def later(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def held(self, symbol: str = "STOCK") -> PositionView:
        return next(each for each in account_status(self.state, self.account).positions if each.symbol == symbol)

    def equity(self) -> Decimal:
        return amount(self.account.equity)


def narrow(**limits: Any) -> Limits:
    """The limits by default, but that a market order is valued at the mark itself."""
    return Limits(**{"price_collar_bps": 0, **limits})


def codes(decision: Decision) -> list[str]:
    return [reason.code.value for reason in decision.reasons]


def wide(**limits: Any) -> Limits:
    """Limits that stand in nobody's way but those named."""
    return Limits(
        **{
            "max_position_fraction": 10,
            "max_sector_fraction": 1000,
            "max_asset_class_fraction": 1000,
            "max_gross_exposure": 1000,
            "max_order_volume_fraction": None,
            "kill_margin": None,
            "price_collar_bps": 0,
            "max_leverage": 100,
            "max_daily_loss_fraction": 1,
            "max_drawdown_fraction": 1,
            "fill_doubt_fraction": None,
            **limits,
        }
    )


def opposite(side: Side) -> Side:
    return Side.SELL if side is Side.BUY else Side.BUY
