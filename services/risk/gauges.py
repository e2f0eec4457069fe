"""The gauges of live accounts, read off the state every second."""

from services.risk.core.levels import measures
from services.risk.core.state import Account, FirmState
from services.risk.core.units import SCALE
from services.risk.metrics import (
    BREAKERS,
    DRAWDOWN,
    KILL_SWITCHES,
    LEVEL,
    LEVERAGE,
    NEWEST_MARK,
    PNL,
    POSITIONS,
    RECONCILIATION_BREAKS,
    UNACKNOWLEDGED,
    VAR,
)
from shared.schemas.breakers import BreakerState
from shared.schemas.decisions import RiskLevel
from shared.schemas.kill_switches import KillScope

_STATES = {BreakerState.CLOSED: 0, BreakerState.HALF_OPEN: 1, BreakerState.OPEN: 2}
_MICROS = 1_000_000
_LEVELS = {level: number for number, level in enumerate(RiskLevel)}


def show_kill_switches(state: FirmState) -> None:
    """Set the gauge of switches in force, after a rebuild too: a restart must not look like a release."""
    for scope in KillScope:
        active = sum(1 for each in state.kill_switches.values() if each.released_at is None and each.scope is scope)
        KILL_SWITCHES.labels(scope).set(active)


def show_accounts(state: FirmState, overdue_acknowledgements: int) -> None:
    """Set the gauges of every live account; a simulation is nobody's money."""
    UNACKNOWLEDGED.set(overdue_acknowledgements)
    for account in state.by_simulation.get(None, []):
        name, found = account.account_id, measures(state, account)
        PNL.labels(name).set((account.equity - account.start_of_day_equity) / SCALE)
        POSITIONS.labels(name).set(sum(1 for each in account.positions.values() if each.quantity))
        DRAWDOWN.labels(name).set(found["drawdown"])
        LEVERAGE.labels(name).set(found["leverage"])
        VAR.labels(name).set(found.get("value_at_risk", float("nan")))
        NEWEST_MARK.labels(name).set(_newest_mark(account))
        RECONCILIATION_BREAKS.labels(name).set(account.breaks)
        killed = next(state.active_switches(name, None, None), None) is not None
        LEVEL.labels(name).set(_LEVELS[RiskLevel.BLACK if killed else account.level])
        for breaker_name, breaker in account.breakers.items():
            BREAKERS.labels(name, breaker_name).set(_STATES[breaker.state])


def _newest_mark(account: Account) -> float:
    """Return the time of the newest mark of what is held: 0 where none ever came, NaN where nothing is held."""
    held = [each for each in account.positions.values() if each.quantity]
    if not held:
        return float("nan")
    return max((each.mark.ts for each in held if each.mark is not None), default=0) / _MICROS
