"""What the engine is asked to do."""

from dataclasses import dataclass, field
from typing import Final

from services.risk.core.bodies import OrderTerms, Quote
from shared.schemas.accounts import AccountCreate, CashMovement, DayRoll, HighWaterMarkUpdate, Reconciliation
from shared.schemas.instruments import Instrument, ScenarioSet
from shared.schemas.kill_switches import KillAcknowledgement, KillReason, KillReductions, KillSwitchCreate
from shared.schemas.limits import LimitsRollback, LimitsUpdate
from shared.schemas.orders import Fill, OrderClose, OrderReplace, OrderStatus, ReplaceAcknowledgement

# Who commands what nobody asked for.
THE_ENGINE: Final = "engine"


@dataclass(frozen=True, slots=True)
class OpenAccount:
    """Open an account."""

    request: AccountCreate
    by: str


@dataclass(frozen=True, slots=True)
class SetInstruments:
    """Add or replace instruments; who `may_only_describe` adds new ones, and says what volumes are."""

    instruments: tuple[Instrument, ...]
    by: str
    may_only_describe: bool = False


@dataclass(frozen=True, slots=True)
class SetScenarios:
    """Measure VaR and ES on other returns."""

    scenarios: ScenarioSet
    by: str


@dataclass(frozen=True, slots=True)
class SetLimits:
    """Give an account a new limit profile."""

    account_id: str
    update: LimitsUpdate
    by: str


@dataclass(frozen=True, slots=True)
class RollBackLimits:
    """Put an earlier limit profile of an account in force again."""

    account_id: str
    request: LimitsRollback
    by: str


@dataclass(slots=True)
class MarkNotes:
    """Which marks of a command are not valued at, and why: whoever sent them is told, the journal need not be."""

    ignored: list[tuple[str, str]] = field(default_factory=list)
    doubted: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class SetMarks:
    """Take marks of one simulation, or live ones; `notes` is written when it is decided on."""

    simulation_id: str | None
    marks: tuple[Quote, ...]
    notes: MarkNotes = field(default_factory=MarkNotes, compare=False)


@dataclass(slots=True)
class PlaceOrder:
    """Decide on an order."""

    account_id: str
    order: OrderTerms
    by: str
    correlation_id: str | None = None


@dataclass(frozen=True, slots=True)
class PlaceOrders:
    """Decide on orders in their sequence; with `all_or_none` one denial denies all that are new."""

    account_id: str
    orders: tuple[OrderTerms, ...]
    all_or_none: bool
    by: str
    correlation_id: str | None = None


@dataclass(frozen=True, slots=True)
class ReplaceOrder:
    """Decide on a change of an open order."""

    account_id: str
    client_order_id: str
    request: OrderReplace
    by: str


@dataclass(frozen=True, slots=True)
class AcknowledgeReplace:
    """Take the venue's word on a replacement."""

    account_id: str
    client_order_id: str
    request: ReplaceAcknowledgement
    by: str


@dataclass(frozen=True, slots=True)
class CloseOrder:
    """End an order that will not fill further."""

    account_id: str
    client_order_id: str
    status: OrderStatus
    request: OrderClose
    by: str


@dataclass(frozen=True, slots=True)
class ApplyFill:
    """Book an execution."""

    account_id: str
    fill: Fill
    by: str


@dataclass(frozen=True, slots=True)
class RollDay:
    """Close an account's trading day."""

    account_id: str
    request: DayRoll
    by: str


@dataclass(frozen=True, slots=True)
class MoveCash:
    """Pay in or out."""

    account_id: str
    request: CashMovement
    by: str


@dataclass(frozen=True, slots=True)
class SetHighWaterMark:
    """Correct an account's high-water mark."""

    account_id: str
    request: HighWaterMarkUpdate
    by: str


@dataclass(frozen=True, slots=True)
class Reconcile:
    """Compare an account with its broker, and take the broker's word where asked to."""

    account_id: str
    request: Reconciliation
    by: str


@dataclass(frozen=True, slots=True)
class ResetBreaker:
    """Open a breaker halfway, or enable a strategy the throttle disabled."""

    account_id: str
    name: str
    reason: str
    by: str


@dataclass(frozen=True, slots=True)
class ActivateKillSwitch:
    """Stop a scope."""

    kill_switch_id: str
    request: KillSwitchCreate
    kind: KillReason
    by: str
    reductions: KillReductions | None = None


@dataclass(frozen=True, slots=True)
class AcknowledgeKill:
    """Note that execution has sent the cancels of a switch."""

    kill_switch_id: str
    request: KillAcknowledgement
    by: str


@dataclass(frozen=True, slots=True)
class ReleaseKillSwitch:
    """Let a scope trade again; with `four_eyes` the first admin's word is a request only."""

    kill_switch_id: str
    reason: str
    by: str
    four_eyes: bool = False


@dataclass(frozen=True, slots=True)
class PromiseHeartbeat:
    """Stop a strategy when it has not been heard of for so long; 0 ends that."""

    strategy_id: str
    timeout_seconds: int
    by: str


@dataclass(frozen=True, slots=True)
class StartEngine:
    """Note that this process leads; where `halted`, live accounts must be reconciled first."""

    build: str
    configuration_hash: str
    halted: bool


@dataclass(frozen=True, slots=True)
class PassTime:
    """Let time pass: cool-downs end, and strategies not heard of are stopped."""

    silent: tuple[str, ...] = ()


Command = (
    OpenAccount
    | SetInstruments
    | SetScenarios
    | SetLimits
    | RollBackLimits
    | SetMarks
    | PlaceOrder
    | PlaceOrders
    | ReplaceOrder
    | AcknowledgeReplace
    | CloseOrder
    | ApplyFill
    | RollDay
    | MoveCash
    | SetHighWaterMark
    | Reconcile
    | ResetBreaker
    | ActivateKillSwitch
    | AcknowledgeKill
    | ReleaseKillSwitch
    | PromiseHeartbeat
    | StartEngine
    | PassTime
)
