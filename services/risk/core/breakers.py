"""Circuit breakers: states, thresholds, and when one trips, opens halfway and closes."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from shared.schemas.breakers import BreakerName, BreakerState
from shared.schemas.kill_switches import KillReason
from shared.schemas.limits import Limits

# A condition counts as gone once its measure is this far below the threshold: values about it must not flap.
HYSTERESIS: Final = 0.9
WARNING: Final = 0.8

KILLS: Final[dict[BreakerName, KillReason]] = {
    BreakerName.VAR: KillReason.VAR_BREACH,
    BreakerName.DRAWDOWN: KillReason.DRAWDOWN,
    BreakerName.DAILY_LOSS: KillReason.LOSS_LIMIT,
    BreakerName.LEVERAGE: KillReason.LEVERAGE_BREACH,
}


@dataclass(slots=True)
class Breaker:
    """A circuit breaker of an account; times in microseconds."""

    state: BreakerState = BreakerState.CLOSED
    tripped_at: int | None = None
    # Since when the condition has been gone.
    clear_since: int | None = None


class Step(StrEnum):
    """What becomes of a breaker."""

    TRIP = "trip"
    CLEAR = "clear"
    UNCLEAR = "unclear"
    HALF_OPEN = "half_open"
    CLOSE = "close"


def breakers() -> dict[str, Breaker]:
    """Return all breakers, closed."""
    return {name.value: Breaker() for name in BreakerName}


def limit_of(name: BreakerName, limits: Limits) -> float | None:
    """Return the limit a breaker watches, None where it is off."""
    match name:
        case BreakerName.VAR:
            return limits.max_var_fraction
        case BreakerName.DRAWDOWN:
            return limits.max_drawdown_fraction
        case BreakerName.DAILY_LOSS:
            return limits.max_daily_loss_fraction
        case BreakerName.LEVERAGE:
            return limits.max_leverage
        case BreakerName.CONCENTRATION:
            return limits.max_position_fraction


def threshold_of(name: BreakerName, limits: Limits) -> float | None:
    """Return where a breaker trips: equal trips; None where it is off.

    Losses trip at their limit. What orders may take up to its limit trips only beyond it, or the last order
    within the limit would trip it.
    """
    limit = limit_of(name, limits)
    if limit is None or name in {BreakerName.DRAWDOWN, BreakerName.DAILY_LOSS}:
        return limit
    return tidy(limit * limits.breaker_margin)


def tidy(value: float) -> float:
    """Return a figure without the last digits of binary fractions: 0.05 * 1.5 is 0.075, and equal trips."""
    return float(f"{value:.12g}")


def next_step(breaker: Breaker, value: float, threshold: float, now: int, cool_down: int) -> Step | None:
    """Return what becomes of a breaker whose measure has this value, None where it stays as it is."""
    if value >= threshold:
        return None if breaker.state is BreakerState.OPEN and breaker.clear_since is None else Step.TRIP
    if breaker.state is BreakerState.CLOSED:
        return None
    if value >= tidy(threshold * HYSTERESIS):
        return None if breaker.clear_since is None else Step.UNCLEAR
    if breaker.clear_since is None:
        return Step.CLEAR
    if now - breaker.clear_since < cool_down:
        return None
    return Step.HALF_OPEN if breaker.state is BreakerState.OPEN else Step.CLOSE
