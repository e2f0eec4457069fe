"""What the engine knows; private to its one writer, and a fold of the journal."""

from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal

from services.risk.core.positions import Holding, value_of
from shared.money import ZERO
from shared.schemas.decisions import Decision
from shared.schemas.instruments import Instrument, Mark
from shared.schemas.kill_switches import KillSwitchView
from shared.schemas.limits import Limits, LimitsView
from shared.schemas.orders import FillResult, Order, OrderStatus, Side

OPEN = frozenset({OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED})


@dataclass(slots=True)
class OrderRecord:
    """A decided order: what was asked, what was answered, where it stands."""

    order: Order
    request_hash: str
    decision: Decision
    status: OrderStatus
    leaves: Decimal


@dataclass(slots=True)
class Account:
    """An account and all that was ever decided for it."""

    account_id: str
    base_currency: str
    initial_cash: Decimal
    simulation_id: str | None
    session_date: date
    opened_with: str
    limits: LimitsView
    cash: Decimal
    start_of_day_equity: Decimal
    high_water_mark: Decimal
    realised_pnl: Decimal = ZERO
    fees: Decimal = ZERO
    # Newest time a command of a simulated account carried: its clock.
    clock: datetime | None = None
    holdings: dict[str, Holding] = field(default_factory=dict)
    orders: dict[str, OrderRecord] = field(default_factory=dict)
    open_orders: dict[str, OrderRecord] = field(default_factory=dict)
    fills: dict[str, tuple[str, FillResult]] = field(default_factory=dict)
    # Whether the session before this one was closed by a roll.
    rolled: bool = False
    state_seq: int = 0

    def holding(self, symbol: str) -> Holding:
        """Return the holding in a symbol, an empty one where there is none yet."""
        return self.holdings.setdefault(symbol, Holding())


@dataclass(slots=True)
class FirmState:
    """All accounts, instruments, marks and kill switches."""

    accounts: dict[str, Account] = field(default_factory=dict)
    instruments: dict[str, Instrument] = field(default_factory=dict)
    marks: dict[tuple[str | None, str], Mark] = field(default_factory=dict)
    kill_switches: dict[str, KillSwitchView] = field(default_factory=dict)
    by_simulation: dict[str | None, list[Account]] = field(default_factory=dict)
    last_seq: int = 0

    def mark(self, account: Account, symbol: str) -> Mark | None:
        """Return the mark an account sees: that of its simulation, or the live one."""
        return self.marks.get((account.simulation_id, symbol))

    def price(self, account: Account, symbol: str) -> Decimal:
        """Return the price to value a holding at: its mark, or its cost where there is none."""
        mark = self.mark(account, symbol)
        return mark.price if mark else account.holdings[symbol].average_price

    def equity(self, account: Account) -> Decimal:
        """Return cash and what all holdings are worth at their marks."""
        total = account.cash
        for symbol, holding in account.holdings.items():
            if holding.quantity:
                total += value_of(holding, self.price(account, symbol), self.instruments[symbol])
        return total

    def active_switches(self, account_id: str, strategy_id: str | None, symbol: str | None) -> list[KillSwitchView]:
        """Return the switches in force that stop what is named."""
        targets = {"FIRM": None, "ACCOUNT": account_id, "STRATEGY": strategy_id, "SYMBOL": symbol}
        return [
            switch
            for switch in self.kill_switches.values()
            if switch.released_at is None
            and switch.target == targets[switch.scope]
            and (switch.scope == "FIRM" or switch.target is not None)
        ]


def default_limits(account_id: str, limits: Limits, by: str, at: datetime) -> LimitsView:
    """Return the first limit profile of an account."""
    return LimitsView(account_id=account_id, version=1, limits=limits, reason="account opened", set_by=by, ts_event=at)


def signed(side: Side, quantity: Decimal) -> Decimal:
    """Return a quantity with the sign of its side."""
    return quantity if side is Side.BUY else -quantity
