"""What follows from a change: breakers trip, open halfway and close, levels change, accounts are stopped."""

from collections.abc import Iterator
from typing import Final

from services.risk.core.breakers import KILLS, Breaker, Step, limit_of, next_step, threshold_of, tidy
from services.risk.core.commands import THE_ENGINE, ActivateKillSwitch, ResetBreaker
from services.risk.core.kill_switches import activate
from services.risk.core.levels import measures, standing, watched
from services.risk.core.outcome import Event, Outcome, Refused, conflict, not_found
from services.risk.core.state import Account, FirmState
from services.risk.core.units import moment
from shared.schemas.breakers import BreakerName, BreakerState
from shared.schemas.events import BreakerChanged, LevelChanged, StrategyEnabled
from shared.schemas.journal import EventKind
from shared.schemas.kill_switches import KillReason, KillReductions, KillScope, KillSwitchCreate

_STRATEGY: Final = "repeated_execution:"
_STATES: Final = {
    Step.TRIP: BreakerState.OPEN,
    Step.HALF_OPEN: BreakerState.HALF_OPEN,
    Step.CLOSE: BreakerState.CLOSED,
}
_WHY: Final = {
    Step.TRIP: "reached its threshold",
    Step.CLEAR: "the condition is gone; the cool-down begins",
    Step.UNCLEAR: "the condition is near again; the cool-down is over",
    Step.HALF_OPEN: "the cool-down has passed; only reductions pass until it has passed once more",
    Step.CLOSE: "the condition has stayed away",
}


def watch(state: FirmState, account: Account, now: int) -> Iterator[Event]:
    """Yield what an account's measures, as they are now, change about its breakers, its level and its life.

    Each event must be folded before the next is asked for: of two switches pulled at once the first ends the orders.
    """
    found = measures(state, account)
    time = now if account.simulation_id is None or account.clock is None else account.clock
    for name, value in watched(found).items():
        yield from _breaker(state, account, name, value, time)
    level, why = standing(account, found)
    if level is not account.level:
        body = LevelChanged(account_id=account.account_id, level=level, reason=why, ts_event=moment(time))
        yield Event(EventKind.LEVEL_CHANGED, account.account_id, body)


def _breaker(state: FirmState, account: Account, name: BreakerName, value: float, now: int) -> Iterator[Event]:
    limits = account.profile.limits
    threshold, limit = threshold_of(name, limits), limit_of(name, limits)
    if threshold is None or limit is None:
        return
    breaker = account.breakers[name.value]
    step = next_step(breaker, value, threshold, now, limits.breaker_cool_down_seconds * 1_000_000)
    if step is not None:
        yield _changed(account, name, breaker, step, value, threshold, now)
    kind = KILLS.get(name)
    if kind is not None and limits.kill_margin is not None and value >= tidy(limit * limits.kill_margin):
        yield from _stop(state, account, kind, f"{name.value} at {value:.4g}, limit {limit:g}", now)


def _changed(
    account: Account, name: BreakerName, breaker: Breaker, step: Step, value: float, threshold: float, now: int
) -> Event:
    counting = step in {Step.CLEAR, Step.HALF_OPEN}
    body = BreakerChanged(
        account_id=account.account_id,
        breaker=name,
        state=_STATES.get(step, breaker.state),
        value=value,
        threshold=threshold,
        clear_since=moment(now) if counting else None,
        reason=_WHY[step],
        by=THE_ENGINE,
        ts_event=moment(now),
    )
    return Event(EventKind.BREAKER_CHANGED, account.account_id, body)


def _stop(state: FirmState, account: Account, kind: KillReason, why: str, now: int) -> list[Event]:
    """Stop an account; while a switch of this kind is in force, none is added."""
    held = state.stopped.get((KillScope.ACCOUNT, account.account_id), {})
    if any(switch.kind is kind for switch in held.values()):
        return []
    request = KillSwitchCreate(scope=KillScope.ACCOUNT, target=account.account_id, reason=why)
    # Named by what pulled it and when: folding the journal again gives the same.
    command = ActivateKillSwitch(
        f"auto-{kind.value.lower().replace('_', '-')}-{state.last_seq}", request, kind, THE_ENGINE, KillReductions.PLAN
    )
    outcome = activate(state, command, now)
    return [] if isinstance(outcome, Refused) else list(outcome)


def reset_breaker(state: FirmState, command: ResetBreaker, now: int) -> Outcome:
    """Open a breaker halfway, refused while its condition holds; or enable a strategy the throttle disabled."""
    account = state.accounts.get(command.account_id)
    if account is None:
        return not_found(f"account {command.account_id} does not exist")
    if command.name.startswith(_STRATEGY):
        return _enable(account, command, now)
    if command.name not in account.breakers:
        return not_found(f"there is no breaker {command.name}; there are {', '.join(account.breakers)}")
    name, breaker = BreakerName(command.name), account.breakers[command.name]
    if breaker.state is BreakerState.CLOSED:
        return conflict(f"breaker {name} is closed")
    if breaker.state is BreakerState.HALF_OPEN:
        return ()
    value = watched(measures(state, account)).get(name)
    threshold = threshold_of(name, account.profile.limits)
    if value is not None and threshold is not None and value >= threshold:
        return conflict(f"{name} is at {value:.6g}, its threshold {threshold:g}: the condition holds")
    body = BreakerChanged(
        account_id=account.account_id,
        breaker=name,
        state=BreakerState.HALF_OPEN,
        value=value,
        threshold=threshold,
        clear_since=moment(now),
        reason=command.reason,
        by=command.by,
        ts_event=moment(now),
    )
    return (Event(EventKind.BREAKER_CHANGED, account.account_id, body),)


def _enable(account: Account, command: ResetBreaker, now: int) -> Outcome:
    strategy_id = command.name.removeprefix(_STRATEGY)
    strategy = account.strategies.get(strategy_id)
    if strategy is None or not strategy.disabled:
        return conflict(f"strategy {strategy_id} is not disabled in {account.account_id}")
    body = StrategyEnabled(
        account_id=account.account_id,
        strategy_id=strategy_id,
        reason=command.reason,
        by=command.by,
        ts_event=moment(now),
    )
    return (Event(EventKind.STRATEGY_ENABLED, account.account_id, body),)
