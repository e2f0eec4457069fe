"""A circuit breaker: a source that fails is left alone for a while, then tried by one call at a time."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.schemas.feeds import CircuitState


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """When it opens and for how long.

    It opens after `failures` in a row, or once `rate` of the last `window` calls failed; for `cool_down` seconds
    times `growth` for each time in a row, at most `longest`. It closes after `probes` good ones in a row. A probe
    that was never heard of again is given up after `probe_seconds`.
    """

    failures: int = 5
    rate: float = 0.5
    window: int = 20
    cool_down: float = 5.0
    growth: float = 2.0
    longest: float = 300.0
    probes: int = 2
    probe_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave for one call; what it came to is told to the breaker with it."""

    generation: int


@dataclass(frozen=True, slots=True)
class Breaker:
    """The state of a circuit; `generation` counts its changes, `opened` how often in a row it did not recover."""

    state: CircuitState = CircuitState.CLOSED
    generation: int = 0
    failures: int = 0
    recent: tuple[bool, ...] = ()
    opened: int = 0
    retry_at: datetime | None = None
    successes: int = 0
    probe_until: datetime | None = None


CLOSED = Breaker()


def ask(breaker: Breaker, now: datetime, policy: BreakerPolicy) -> tuple[Breaker, Permit | None]:
    """Return leave for a call, None where the circuit lets none through now."""
    if breaker.state is CircuitState.OPEN and breaker.retry_at is not None and now >= breaker.retry_at:
        breaker = replace(
            breaker, state=CircuitState.HALF_OPEN, generation=breaker.generation + 1, successes=0, probe_until=None
        )
    if breaker.state is CircuitState.OPEN:
        return breaker, None
    if breaker.state is CircuitState.HALF_OPEN:
        if breaker.probe_until is not None and now < breaker.probe_until:
            return breaker, None
        # Of a probe that was given up nothing counts any more.
        breaker = replace(
            breaker,
            generation=breaker.generation + (breaker.probe_until is not None),
            probe_until=now + timedelta(seconds=policy.probe_seconds),
        )
    return breaker, Permit(breaker.generation)


def succeeded(breaker: Breaker, permit: Permit, policy: BreakerPolicy) -> Breaker:
    """Return the circuit after a good call; one from before its last change says nothing of it now."""
    if permit.generation != breaker.generation:
        return breaker
    if breaker.state is CircuitState.HALF_OPEN:
        if breaker.successes + 1 >= policy.probes:
            return Breaker(generation=breaker.generation + 1)
        return replace(breaker, successes=breaker.successes + 1, probe_until=None)
    return replace(breaker, failures=0, recent=_with(breaker, True, policy))


def failed(breaker: Breaker, permit: Permit, now: datetime, policy: BreakerPolicy, jitter: float) -> Breaker:
    """Return the circuit after a failed call; `jitter` in 0 to 1 takes up to half off the time it stays open.

    The jitter is drawn by the caller, so that many processes do not try a source again in the same moment.
    """
    if permit.generation != breaker.generation:
        return breaker
    if breaker.state is CircuitState.HALF_OPEN:
        return _open(breaker, now, policy, jitter)
    breaker = replace(breaker, failures=breaker.failures + 1, recent=_with(breaker, False, policy))
    full = len(breaker.recent) == policy.window
    if breaker.failures >= policy.failures or (full and breaker.recent.count(False) >= policy.rate * policy.window):
        return _open(breaker, now, policy, jitter)
    return breaker


def given_up(breaker: Breaker, permit: Permit) -> Breaker:
    """Return the circuit after a call that was cancelled: it says nothing, and another may probe."""
    if permit.generation != breaker.generation or breaker.state is not CircuitState.HALF_OPEN:
        return breaker
    return replace(breaker, generation=breaker.generation + 1, probe_until=None)


def _open(breaker: Breaker, now: datetime, policy: BreakerPolicy, jitter: float) -> Breaker:
    # Bounded before the power: a source that is away for months must not overflow it.
    times = min(breaker.opened, 64)
    seconds = min(policy.longest, policy.cool_down * policy.growth**times) * (1 - jitter / 2)
    return Breaker(
        state=CircuitState.OPEN,
        generation=breaker.generation + 1,
        opened=breaker.opened + 1,
        retry_at=now + timedelta(seconds=seconds),
    )


def _with(breaker: Breaker, ok: bool, policy: BreakerPolicy) -> tuple[bool, ...]:
    return (*breaker.recent, ok)[-policy.window :]
