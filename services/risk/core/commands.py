"""What the engine is asked to do."""

from dataclasses import dataclass

from shared.schemas.accounts import AccountCreate, DayRoll
from shared.schemas.instruments import Instrument, Mark
from shared.schemas.kill_switches import KillReason, KillSwitchCreate
from shared.schemas.limits import LimitsUpdate
from shared.schemas.orders import Fill, Order, OrderClose, OrderStatus


@dataclass(frozen=True, slots=True)
class OpenAccount:
    """Open an account."""

    request: AccountCreate
    by: str


@dataclass(frozen=True, slots=True)
class SetInstruments:
    """Add or replace instruments."""

    instruments: tuple[Instrument, ...]
    by: str


@dataclass(frozen=True, slots=True)
class SetLimits:
    """Give an account a new limit profile."""

    account_id: str
    update: LimitsUpdate
    by: str


@dataclass(frozen=True, slots=True)
class SetMarks:
    """Take marks of one simulation, or live ones."""

    simulation_id: str | None
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class PlaceOrder:
    """Decide on an order."""

    account_id: str
    order: Order
    by: str
    correlation_id: str | None = None


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
class ActivateKillSwitch:
    """Stop a scope."""

    kill_switch_id: str
    request: KillSwitchCreate
    kind: KillReason
    by: str


@dataclass(frozen=True, slots=True)
class ReleaseKillSwitch:
    """Let a scope trade again."""

    kill_switch_id: str
    reason: str
    by: str


Command = (
    OpenAccount
    | SetInstruments
    | SetLimits
    | SetMarks
    | PlaceOrder
    | CloseOrder
    | ApplyFill
    | RollDay
    | ActivateKillSwitch
    | ReleaseKillSwitch
)
