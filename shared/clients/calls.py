"""Each request to risk as a value, for clients that wait and clients that do not."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Generic, TypeVar
from urllib.parse import quote
from uuid import uuid4

from pydantic import BaseModel, TypeAdapter

from shared.schemas.accounts import (
    AccountCreate,
    AccountStatus,
    DayRoll,
    HighWaterMarkResult,
    HighWaterMarkUpdate,
    LiquidationPlan,
)
from shared.schemas.breakers import BreakerReset, BreakerResetResult
from shared.schemas.decisions import Decision, DecisionContent
from shared.schemas.kill_switches import (
    EmergencyStop,
    KillScope,
    KillSwitchAnswer,
    KillSwitchCreate,
    KillSwitchRelease,
)
from shared.schemas.limits import Limits, LimitsUpdate, LimitsView
from shared.schemas.orders import Fill, FillResult, Order, OrderClose, OrderType, OrderView, Side

T = TypeVar("T")
Number = Decimal | int | str


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A request, and what its answer is read as; `repeatable` where sending it twice does what sending it once does."""

    method: str
    path: str
    answer: type[T]
    body: BaseModel | None = None
    repeatable: bool = True

    def content(self) -> str | None:
        """Return the body as JSON."""
        return None if self.body is None else self.body.model_dump_json(exclude_none=True)

    def read(self, content: bytes) -> T:
        """Return the answer. Raises ValidationError where it is none."""
        return TypeAdapter(self.answer).validate_json(content)


def _path(*parts: str) -> str:
    # An id is one part of a path, whatever somebody has put into it.
    return "".join([f"/{quote(part, safe=':')}" for part in parts])


def order(
    symbol: str,
    side: Side | str,
    quantity: Number,
    strategy_id: str,
    *,
    client_order_id: str | None = None,
    limit_price: Number | None = None,
    **fields: Any,
) -> Order:
    """Return an order: a market order unless it has a limit price, under a new id unless it is given one."""
    values: Mapping[str, Any] = {
        "client_order_id": client_order_id or f"o-{uuid4().hex}",
        "strategy_id": strategy_id,
        "symbol": symbol,
        "side": side,
        "order_type": OrderType.MARKET if limit_price is None else OrderType.LIMIT,
        "quantity": quantity,
        "limit_price": limit_price,
        **fields,
    }
    return Order.model_validate(values)


def check(account_id: str, asked: Order) -> Call[DecisionContent]:
    """Ask what would be decided on an order."""
    return Call("POST", _path("accounts", account_id, "orders", "check"), DecisionContent, asked)


def place(account_id: str, asked: Order) -> Call[Decision]:
    """Ask whether an order may go out."""
    return Call("POST", _path("accounts", account_id, "orders"), Decision, asked)


def cancel(account_id: str, client_order_id: str, reason: str) -> Call[OrderView]:
    """Report that an order was cancelled."""
    path = _path("accounts", account_id, "orders", client_order_id, "cancel")
    return Call("POST", path, OrderView, OrderClose(reason=reason))


def fill(account_id: str, report: Fill) -> Call[FillResult]:
    """Report an execution."""
    return Call("POST", _path("accounts", account_id, "fills"), FillResult, report)


def open_account(request: AccountCreate) -> Call[AccountStatus]:
    """Open an account."""
    return Call("POST", "/accounts", AccountStatus, request)


def status(account_id: str) -> Call[AccountStatus]:
    """Ask how an account stands."""
    return Call("GET", _path("accounts", account_id, "status"), AccountStatus)


def liquidation_plan(account_id: str) -> Call[LiquidationPlan]:
    """Ask what would close an account's positions."""
    return Call("GET", _path("accounts", account_id, "liquidation-plan"), LiquidationPlan)


def set_limits(account_id: str, limits: Limits, reason: str) -> Call[LimitsView]:
    """Put new limits in force."""
    update = LimitsUpdate(limits=limits, reason=reason)
    return Call("PUT", _path("accounts", account_id, "limits"), LimitsView, update, repeatable=False)


def set_high_water_mark(account_id: str, high_water_mark: Number, reason: str) -> Call[HighWaterMarkResult]:
    """Correct a high-water mark."""
    update = HighWaterMarkUpdate.model_validate({"high_water_mark": high_water_mark, "reason": reason})
    return Call("PUT", _path("accounts", account_id, "high-water-mark"), HighWaterMarkResult, update)


def roll_day(account_id: str, next_session_date: date) -> Call[AccountStatus]:
    """Close an account's trading day."""
    roll = DayRoll(next_session_date=next_session_date)
    return Call("POST", _path("accounts", account_id, "day-roll"), AccountStatus, roll)


def activate_kill_switch(
    scope: KillScope | str, reason: str, target: str | None, allow_reducing: bool
) -> Call[KillSwitchAnswer]:
    """Stop the firm, an account, a strategy or a symbol; sent again it is the same switch."""
    request = KillSwitchCreate(
        scope=KillScope(scope),
        target=target,
        reason=reason,
        allow_reducing=allow_reducing,
        kill_switch_id=new_switch_name(),
    )
    return Call("POST", "/kill-switches", KillSwitchAnswer, request)


def emergency_stop(reason: str) -> Call[KillSwitchAnswer]:
    """Stop the whole firm."""
    return Call(
        "POST", "/emergency-stop", KillSwitchAnswer, EmergencyStop(reason=reason, kill_switch_id=new_switch_name())
    )


def deactivate_kill_switch(kill_switch_id: str, reason: str) -> Call[KillSwitchAnswer]:
    """Release a kill switch; it is in force while `released_at` in the answer is None."""
    path = _path("kill-switches", kill_switch_id, "release")
    return Call("POST", path, KillSwitchAnswer, KillSwitchRelease(reason=reason), repeatable=False)


def reset_circuit_breaker(account_id: str, name: str, reason: str) -> Call[BreakerResetResult]:
    """Open a breaker halfway."""
    path = _path("accounts", account_id, "circuit-breakers", name, "reset")
    return Call("POST", path, BreakerResetResult, BreakerReset(reason=reason), repeatable=False)


def new_switch_name() -> str:
    """Return a name for a kill switch, under which it may be sent again."""
    return f"ks-{uuid4().hex[:16]}"
