"""What the engine knows; private to its one writer, and a fold of the journal."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final

from services.risk.core.bodies import Decided, OrderTerms
from services.risk.core.breakers import Breaker, breakers
from services.risk.core.positions import HeldMark, Position
from services.risk.core.scenarios import Scenarios, Tail
from services.risk.core.terms import Profile, Terms
from services.risk.core.units import SCALE
from shared.schemas.breakers import BreakerState
from shared.schemas.decisions import DecisionContent, RiskLevel
from shared.schemas.kill_switches import KillScope, KillSwitchView
from shared.schemas.limits import Limits, LimitsView
from shared.schemas.orders import OrderStatus

# Why an account that holds nothing and has lost nothing has its level.
UNUSED: Final = "no limit is in use"
# Before any time a command can carry: a simulation may be set long before 1970, where times are below zero.
_LONG_AGO: Final = -(10**20)
OPEN: Final = frozenset({OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED})


@dataclass(slots=True)
class Replacement:
    """A change of an open order that the venue has not confirmed."""

    replace_id: str
    quantity: int
    limit: int


@dataclass(slots=True)
class Replaced:
    """A change of an order that was asked for: what, what was answered in which row, what the venue said of it."""

    quantity: int
    limit: int
    content: DecisionContent
    seq: int
    accepted: bool | None = None


@dataclass(slots=True)
class OrderRecord:
    """A decided order: what was asked, what was answered, where it stands."""

    order: OrderTerms
    # What was asked and answered first: a replacement changes `order`.
    decided: Decided
    seq: int
    status: OrderStatus
    # What was not filled of it. Of an order that has ended no more is expected, and this much may still come late.
    leaves: int
    # What it holds in the position's open quantity: the larger of its leaves and those of a replacement.
    held: int = 0
    replacement: Replacement | None = None
    # Every replacement that was asked for.
    replaced: dict[str, Replaced] | None = None
    # The kill switch that ended it.
    taken_back_by: str | None = None


@dataclass(slots=True)
class Booked:
    """An execution that was booked: what was reported, and what whoever reports it again is told."""

    client_order_id: str
    price: int
    quantity: int
    fee: int
    order_status: OrderStatus
    leaves: int
    overfilled: int
    doubted: bool
    position_quantity: int
    realised_pnl: int
    session_date: date
    seq: int


@dataclass(slots=True)
class Strategy:
    """What is counted of one strategy in one account."""

    # When its next message would be due at its highest lasting rate, in nanoseconds.
    due: int = _LONG_AGO
    window: int = _LONG_AGO
    executions: int = 0
    disabled: bool = False


@dataclass(slots=True)
class Parent:
    """A parent order, and what its children took of it."""

    symbol: str
    buy: bool
    quantity: int
    taken: int = 0


class Caps:
    """How much each measure of an account may be: whole numbers, and rounded to divide by."""

    def __init__(self, exact: tuple[int, ...]) -> None:
        self.exact = exact
        # A whole number over one of these takes half the time of one over another whole number.
        self.rounded = tuple(map(float, exact))


@dataclass(slots=True)
class Account:
    """An account, its measures, and all that was decided for it in this session and the one before."""

    account_id: str
    base_currency: str
    initial_cash: int
    simulation_id: str | None
    session_date: date
    opened_with: str
    limits: LimitsView
    profile: Profile
    history: list[LimitsView]
    cash: int
    start_of_day_equity: int
    high_water_mark: int
    movements: dict[str, int] = field(default_factory=dict)
    # Initial cash, movements, and what the broker's word that was taken added: cash, and positions at their cost.
    paid_in: int = 0
    realised_pnl: int = 0
    fees: int = 0
    # Notional executed today, of scale 10^-30.
    turnover: int = 0
    # Newest time a command of a simulated account carried: its clock.
    clock: int | None = None
    level: RiskLevel = RiskLevel.GREEN
    level_reason: str = UNUSED
    breakers: dict[str, Breaker] = field(default_factory=breakers)
    # Names of the breakers that are not closed.
    halted: tuple[str, ...] = ()
    reconciled: bool = True
    # The trade that is not believed before the broker's cash agrees: too far from its mark, or one gain too many.
    doubted_fill: str | None = None
    # What fills gained beside the mark, less fees, since the broker's books agreed or a day began; never below zero.
    fills_gain: int = 0
    # When losses, turnover and that sum began: the account was opened, or a day rolled and its session began.
    day_begun: int = _LONG_AGO
    # What differed from the broker when they were last compared, and was not adopted.
    breaks: int = 0
    # Whether breakers, the level or a halted start stop more than nothing.
    hindered: bool = False
    # When trading in a live account's session can have begun at the earliest.
    session_begins: int = _LONG_AGO
    # Whether the session before this one was closed by a roll.
    rolled: bool = False
    state_seq: int = 0
    due: int = _LONG_AGO
    positions: dict[str, Position] = field(default_factory=dict)
    orders: dict[str, OrderRecord] = field(default_factory=dict)
    open_orders: dict[str, OrderRecord] = field(default_factory=dict)
    fills: dict[str, Booked] = field(default_factory=dict)
    strategies: dict[str, Strategy] = field(default_factory=dict)
    parents: dict[str, Parent] = field(default_factory=dict)
    recent: dict[tuple[str, str, bool, int, int], int] = field(default_factory=dict)
    # Sums over positions, kept up to date by `valuation`.
    value: int = 0
    equity: int = 0
    gross_now: int = 0
    gross: int = 0
    low: int = 0
    high: int = 0
    leverage_now: int = 0
    leverage: int = 0
    margin: int = 0
    open_value: int = 0
    sectors: dict[str, int] = field(default_factory=dict)
    asset_classes: dict[str, int] = field(default_factory=dict)
    tail: Tail = field(default_factory=Tail, compare=False)
    # Taken when they are asked for: None after every change of what they are made of.
    caps: Caps | None = field(default=None, compare=False)

    def capped(self) -> Caps:
        """Return how much each measure may be now, in the order of `checks.measures`.

        A cap is at least 1, the smallest amount there is, so that it can be divided by. Rounded down, which whole
        numbers compare with as they do with the exact product.
        """
        if self.caps is None:
            profile, equity = self.profile, max(self.equity, 0)
            start, high = max(self.start_of_day_equity, 0), max(self.high_water_mark, 0)
            self.caps = Caps(
                (
                    profile.position * equity // SCALE or 1,
                    profile.sector * equity // SCALE or 1,
                    profile.asset_class * equity // SCALE or 1,
                    profile.gross * equity // SCALE or 1,
                    profile.net * equity * SCALE or 1,
                    profile.leverage * equity // SCALE or 1,
                    profile.intraday * start * SCALE or 1,
                    profile.turnover * start * SCALE or 1,
                    equity * SCALE or 1,
                    profile.daily_loss * start // SCALE or 1,
                    profile.drawdown * high // SCALE or 1,
                )
            )
        return self.caps

    def note_halts(self) -> None:
        """Note whether anything stops orders of the account."""
        self.halted = tuple(name for name, each in self.breakers.items() if each.state is not BreakerState.CLOSED)
        self.hindered = (
            bool(self.halted) or not self.reconciled or self.doubted_fill is not None or self.level is RiskLevel.RED
        )


@dataclass(slots=True)
class FirmState:
    """All accounts, instruments, marks and kill switches."""

    accounts: dict[str, Account] = field(default_factory=dict)
    instruments: dict[str, Terms] = field(default_factory=dict)
    marks: dict[tuple[str | None, str], HeldMark] = field(default_factory=dict)
    # Which positions a mark values: those in its symbol, in its currency, and options on it.
    valued_by: dict[tuple[str | None, str], dict[tuple[str, str], tuple[Account, Position]]] = field(
        default_factory=dict
    )
    kill_switches: dict[str, KillSwitchView] = field(default_factory=dict)
    # Those in force, by what they stop.
    stopped: dict[tuple[KillScope, str | None], dict[str, KillSwitchView]] = field(default_factory=dict)
    kill_epoch: int = 0
    by_simulation: dict[str | None, list[Account]] = field(default_factory=dict)
    scenarios: Scenarios | None = None
    heartbeats: dict[str, int] = field(default_factory=dict)
    # Build and configuration hash of the process that led last.
    leader: tuple[str, str] | None = None
    last_seq: int = 0

    def mark(self, account: Account, symbol: str) -> HeldMark | None:
        """Return the mark an account sees: that of its simulation, or the live one."""
        return self.marks.get((account.simulation_id, symbol))

    def stopped_with(self, symbol: str | None) -> tuple[str, ...]:
        """Return the symbols whose stop stops one: its own, and its underlying's."""
        if symbol is None:
            return ()
        terms = self.instruments.get(symbol)
        return (symbol,) if terms is None or terms.underlying is None else (symbol, terms.underlying)

    def active_switches(self, account_id: str, strategy_id: str | None, symbol: str | None) -> Iterator[KillSwitchView]:
        """Yield the switches in force that stop what is named."""
        if not self.stopped:
            return
        scopes = (
            (KillScope.FIRM, None),
            (KillScope.ACCOUNT, account_id),
            (KillScope.STRATEGY, strategy_id),
            *((KillScope.SYMBOL, each) for each in self.stopped_with(symbol)),
        )
        for scope, target in scopes:
            if target is not None or scope is KillScope.FIRM:
                yield from self.stopped.get((scope, target), {}).values()


def first_limits(account_id: str, limits: Limits, by: str, at: datetime) -> LimitsView:
    """Return the first limit profile of an account."""
    return LimitsView(account_id=account_id, version=1, limits=limits, reason="account opened", set_by=by, ts_event=at)
