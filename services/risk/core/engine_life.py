"""Decide on what happens to the engine itself: it starts, and time passes."""

from services.risk.core.commands import THE_ENGINE, ActivateKillSwitch, PassTime, StartEngine
from services.risk.core.kill_switches import activate
from services.risk.core.outcome import Event, Outcome, Refused
from services.risk.core.state import FirmState
from services.risk.core.units import moment
from shared.schemas.events import EngineStarted
from shared.schemas.journal import EventKind
from shared.schemas.kill_switches import KillReason, KillScope, KillSwitchCreate


def start(state: FirmState, command: StartEngine, now: int) -> Outcome:
    """Note that a process leads."""
    body = EngineStarted(
        build=command.build,
        configuration_hash=command.configuration_hash,
        halted=command.halted,
        ts_event=moment(now),
    )
    return (Event(EventKind.ENGINE_STARTED, None, body),)


def pass_time(state: FirmState, command: PassTime, now: int) -> Outcome:
    """Stop the strategies that were not heard of in time; what else time does, `watch` sees."""
    events: list[Event] = []
    for strategy_id in command.silent:
        timeout = state.heartbeats.get(strategy_id)
        if timeout is None or state.stopped.get((KillScope.STRATEGY, strategy_id)):
            continue
        request = KillSwitchCreate(
            scope=KillScope.STRATEGY, target=strategy_id, reason=f"no heartbeat for {timeout} s", allow_reducing=True
        )
        command_ = ActivateKillSwitch(
            f"auto-heartbeat-{state.last_seq}-{len(events)}", request, KillReason.SYSTEM_ERROR, THE_ENGINE
        )
        outcome = activate(state, command_, now)
        if not isinstance(outcome, Refused):
            events += outcome
    return tuple(events)
