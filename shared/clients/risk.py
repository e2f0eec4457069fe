"""Clients of risk: one that waits, one that does not. Both find the replica that leads, and send again what is safe."""

from collections.abc import Sequence
from datetime import date
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
import stamina

from shared.clients import calls
from shared.clients.calls import Call, Number
from shared.clients.errors import Refused, Unavailable
from shared.schemas.accounts import AccountCreate, AccountStatus, HighWaterMarkResult, LiquidationPlan
from shared.schemas.breakers import BreakerResetResult
from shared.schemas.decisions import Decision, DecisionContent
from shared.schemas.kill_switches import KillScope, KillSwitchAnswer
from shared.schemas.limits import Limits, LimitsView
from shared.schemas.orders import Fill, FillResult, Order, OrderView, Side
from shared.shards import RIGHT_SHARD_HEADER, SHARD_HEADER

PREFIX = "/api/v1/risk"
_AWAY = frozenset({502, 503, 504})
T = TypeVar("T")


class _Turn:
    """Whose turn it is among replicas: the one that answered last, until it does not."""

    def __init__(self, base_urls: str | Sequence[str]) -> None:
        self.urls = [base_urls] if isinstance(base_urls, str) else list(base_urls)
        if not self.urls:
            raise ValueError("a client needs the URL of a service")
        self._current = 0

    @property
    def url(self) -> str:
        return self.urls[self._current].rstrip("/") + PREFIX

    def pass_on(self) -> None:
        self._current = (self._current + 1) % len(self.urls)


def _options(token: str, timeout: float) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    return {"headers": headers, "timeout": httpx.Timeout(timeout, connect=min(timeout, 2)), "trust_env": False}


def _answer(call: Call[T], response: httpx.Response) -> T:
    if response.status_code in _AWAY:
        raise Unavailable(f"{call.method} {call.path}: {response.status_code} {_problem(response).get('detail', '')}")
    if not response.is_success:
        raise Refused(response.status_code, _problem(response))
    return call.read(response.content)


def _problem(response: httpx.Response) -> dict[str, Any]:
    try:
        found = response.json()
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"title": response.reason_phrase, "detail": response.text[:200]}


def _elsewhere(response: httpx.Response) -> dict[str, str] | None:
    """Return the headers that lead a request to the right shard, None where it came there, or nobody says which."""
    if response.status_code != httpx.codes.MISDIRECTED_REQUEST or RIGHT_SHARD_HEADER not in response.headers:
        return None
    return {SHARD_HEADER: response.headers[RIGHT_SHARD_HEADER]}


class RiskClient:
    """Ask risk, and wait for its answer.

    `base_urls` are those of the service, or of its replicas. A call that nobody answers is tried again for
    `retry_seconds` where repeating it is safe; then it raises Unavailable. A problem raises Refused.
    """

    def __init__(
        self, base_urls: str | Sequence[str], token: str, *, timeout: float = 2.0, retry_seconds: float = 5.0
    ) -> None:
        self._turn = _Turn(base_urls)
        self._retry_seconds = retry_seconds
        self._http = httpx.Client(**_options(token, timeout))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def call(self, call: Call[T]) -> T:
        """Send a request and return its answer."""
        if not call.repeatable:
            return self._once(call)
        for attempt in stamina.retry_context(
            on=Unavailable, timeout=self._retry_seconds, attempts=None, wait_initial=0.05, wait_max=0.5
        ):
            with attempt:
                return self._once(call)
        raise AssertionError("a retry ends with an answer or an error")

    def _once(self, call: Call[T]) -> T:
        try:
            url, content = self._turn.url + call.path, call.content()
            response = self._http.request(call.method, url, content=content)
            if (headers := _elsewhere(response)) is not None:
                response = self._http.request(call.method, url, content=content, headers=headers)
            return _answer(call, response)
        except httpx.TransportError as error:
            self._turn.pass_on()
            raise Unavailable(f"{call.method} {call.path}: {type(error).__name__}") from error
        except Unavailable:
            self._turn.pass_on()
            raise

    def check_order_risk(
        self, account_id: str, symbol: str, side: Side | str, quantity: Number, strategy_id: str, **fields: Any
    ) -> DecisionContent:
        """Return what would be decided on an order; nothing is reserved."""
        return self.call(calls.check(account_id, calls.order(symbol, side, quantity, strategy_id, **fields)))

    def place_order(
        self, account_id: str, symbol: str, side: Side | str, quantity: Number, strategy_id: str, **fields: Any
    ) -> Decision:
        """Return whether an order may go out; approved, it holds its exposure."""
        return self.call(calls.place(account_id, calls.order(symbol, side, quantity, strategy_id, **fields)))

    def place(self, account_id: str, order: Order) -> Decision:
        """Return whether an order made before may go out."""
        return self.call(calls.place(account_id, order))

    def cancel_order(self, account_id: str, client_order_id: str, reason: str) -> OrderView:
        """Report that an order was cancelled."""
        return self.call(calls.cancel(account_id, client_order_id, reason))

    def report_fill(self, account_id: str, fill: Fill) -> FillResult:
        """Report an execution."""
        return self.call(calls.fill(account_id, fill))

    def open_account(self, request: AccountCreate) -> AccountStatus:
        """Open an account."""
        return self.call(calls.open_account(request))

    def get_risk_status(self, account_id: str) -> AccountStatus:
        """Return how an account stands."""
        return self.call(calls.status(account_id))

    def get_liquidation_plan(self, account_id: str) -> LiquidationPlan:
        """Return what would close an account's positions."""
        return self.call(calls.liquidation_plan(account_id))

    def set_limits(self, account_id: str, limits: Limits, reason: str) -> LimitsView:
        """Put new limits in force in place of the whole profile; the answer names those that `changed`."""
        return self.call(calls.set_limits(account_id, limits, reason))

    def set_high_water_mark(self, account_id: str, high_water_mark: Number, reason: str) -> HighWaterMarkResult:
        """Correct a high-water mark, such as one a wrong price raised; admins only."""
        return self.call(calls.set_high_water_mark(account_id, high_water_mark, reason))

    def roll_day(self, account_id: str, next_session_date: date) -> AccountStatus:
        """Close an account's trading day."""
        return self.call(calls.roll_day(account_id, next_session_date))

    def activate_kill_switch(
        self, scope: KillScope | str, reason: str, target: str | None = None, *, allow_reducing: bool = False
    ) -> KillSwitchAnswer:
        """Stop the firm, an account, a strategy or a symbol; once it returns, nothing in it is approved."""
        return self.call(calls.activate_kill_switch(scope, reason, target, allow_reducing))

    def emergency_stop(self, reason: str) -> KillSwitchAnswer:
        """Stop the whole firm."""
        return self.call(calls.emergency_stop(reason))

    def deactivate_kill_switch(self, kill_switch_id: str, reason: str) -> KillSwitchAnswer:
        """Release a kill switch.

        With four eyes the first admin only asks for it: `released_at` is None in the answer, `release_requested_by`
        says who asked, and the switch is in force until another admin releases it too.
        """
        return self.call(calls.deactivate_kill_switch(kill_switch_id, reason))

    def reset_circuit_breaker(self, account_id: str, name: str, reason: str) -> BreakerResetResult:
        """Open a breaker halfway: reductions only at first."""
        return self.call(calls.reset_circuit_breaker(account_id, name, reason))


class AsyncRiskClient:
    """Ask risk without holding up anything else; otherwise as `RiskClient`."""

    def __init__(
        self, base_urls: str | Sequence[str], token: str, *, timeout: float = 2.0, retry_seconds: float = 5.0
    ) -> None:
        self._turn = _Turn(base_urls)
        self._retry_seconds = retry_seconds
        self._http = httpx.AsyncClient(**_options(token, timeout))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def call(self, call: Call[T]) -> T:
        """Send a request and return its answer."""
        if not call.repeatable:
            return await self._once(call)
        async for attempt in stamina.retry_context(
            on=Unavailable, timeout=self._retry_seconds, attempts=None, wait_initial=0.05, wait_max=0.5
        ):
            with attempt:
                return await self._once(call)
        raise AssertionError("a retry ends with an answer or an error")

    async def _once(self, call: Call[T]) -> T:
        try:
            url, content = self._turn.url + call.path, call.content()
            response = await self._http.request(call.method, url, content=content)
            if (headers := _elsewhere(response)) is not None:
                response = await self._http.request(call.method, url, content=content, headers=headers)
            return _answer(call, response)
        except httpx.TransportError as error:
            self._turn.pass_on()
            raise Unavailable(f"{call.method} {call.path}: {type(error).__name__}") from error
        except Unavailable:
            self._turn.pass_on()
            raise

    async def check_order_risk(
        self, account_id: str, symbol: str, side: Side | str, quantity: Number, strategy_id: str, **fields: Any
    ) -> DecisionContent:
        """Return what would be decided on an order; nothing is reserved."""
        return await self.call(calls.check(account_id, calls.order(symbol, side, quantity, strategy_id, **fields)))

    async def place_order(
        self, account_id: str, symbol: str, side: Side | str, quantity: Number, strategy_id: str, **fields: Any
    ) -> Decision:
        """Return whether an order may go out; approved, it holds its exposure."""
        return await self.call(calls.place(account_id, calls.order(symbol, side, quantity, strategy_id, **fields)))

    async def cancel_order(self, account_id: str, client_order_id: str, reason: str) -> OrderView:
        """Report that an order was cancelled."""
        return await self.call(calls.cancel(account_id, client_order_id, reason))

    async def report_fill(self, account_id: str, fill: Fill) -> FillResult:
        """Report an execution."""
        return await self.call(calls.fill(account_id, fill))

    async def get_risk_status(self, account_id: str) -> AccountStatus:
        """Return how an account stands."""
        return await self.call(calls.status(account_id))

    async def activate_kill_switch(
        self, scope: KillScope | str, reason: str, target: str | None = None, *, allow_reducing: bool = False
    ) -> KillSwitchAnswer:
        """Stop the firm, an account, a strategy or a symbol; once it returns, nothing in it is approved."""
        return await self.call(calls.activate_kill_switch(scope, reason, target, allow_reducing))

    async def emergency_stop(self, reason: str) -> KillSwitchAnswer:
        """Stop the whole firm."""
        return await self.call(calls.emergency_stop(reason))

    async def deactivate_kill_switch(self, kill_switch_id: str, reason: str) -> KillSwitchAnswer:
        """Release a kill switch.

        With four eyes the first admin only asks for it: `released_at` is None in the answer, `release_requested_by`
        says who asked, and the switch is in force until another admin releases it too.
        """
        return await self.call(calls.deactivate_kill_switch(kill_switch_id, reason))

    async def set_high_water_mark(self, account_id: str, high_water_mark: Number, reason: str) -> HighWaterMarkResult:
        """Correct a high-water mark, such as one a wrong price raised; admins only."""
        return await self.call(calls.set_high_water_mark(account_id, high_water_mark, reason))

    async def reset_circuit_breaker(self, account_id: str, name: str, reason: str) -> BreakerResetResult:
        """Open a breaker halfway: reductions only at first."""
        return await self.call(calls.reset_circuit_breaker(account_id, name, reason))
