"""How far a source can be relied on: a score, and a state that does not flap."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import MappingProxyType

from services.marketdata.core.feeds.calls import CallRecord
from services.marketdata.core.feeds.rows import Shares
from services.marketdata.core.thresholds import DEFAULTS, Bands, Thresholds
from shared.schemas.feeds import CircuitState, SourceHealth

# From the worst to the best.
_ORDER = (SourceHealth.DOWN, SourceHealth.DEGRADED, SourceHealth.HEALTHY)
# What a measure at its warning band leaves of the score, and at its critical band.
_AT_WARNING, _AT_CRITICAL = 0.6, 0.2
_CRITICAL_ROWS = Bands(0.02, 0.20)
_WARNING_ROWS = Bands(0.50, None)


@dataclass(frozen=True, slots=True)
class HealthPolicy:
    """Edges of the score and dwell times.

    A source is DEGRADED at a score of `degraded` or less, and DOWN at `down`; it is out of them again above these
    plus `hysteresis`. It must point to a worse state for `worse_seconds`, to a better one for `better_seconds`.
    Shares of rows with findings count from `least_rows` on.
    """

    degraded: float = _AT_WARNING
    down: float = _AT_CRITICAL
    hysteresis: float = 0.1
    worse_seconds: float = 3.0
    better_seconds: float = 30.0
    critical_rows: Bands = _CRITICAL_ROWS
    warning_rows: Bands = _WARNING_ROWS
    least_rows: int = 5


@dataclass(frozen=True, slots=True)
class Measures:
    """What is known of a source at one moment; `age` is for how many seconds it
    has been late, closed markets left out."""

    failure_rate: float | None
    response_p95_ms: float | None
    shares: Shares
    age: float | None
    circuit: CircuitState


@dataclass(frozen=True, slots=True)
class Health:
    """A source's state, since when, its score and what makes it up; and the state it is turning to, since when."""

    state: SourceHealth
    since: datetime
    score: float = 1.0
    components: Mapping[str, float] = field(default_factory=dict)
    turning_since: datetime | None = None
    turning_to: SourceHealth | None = None

    @property
    def cause(self) -> str:
        """Return the name of the worst component."""
        return min(self.components, key=lambda name: self.components[name], default="")


def measures(calls: CallRecord, shares: Shares, circuit: CircuitState, age: float | None) -> Measures:
    """Return the measures of a source."""
    return Measures(calls.failure_rate, calls.response_p95_ms, shares, age, circuit)


def components(
    found: Measures, thresholds: Thresholds = DEFAULTS, policy: HealthPolicy | None = None
) -> dict[str, float]:
    """Return how much of the score each measure leaves, by name, each in 0 to 1."""
    policy = policy or HealthPolicy()
    circuits = {CircuitState.CLOSED: 1.0, CircuitState.HALF_OPEN: _AT_CRITICAL, CircuitState.OPEN: 0.0}
    parts = {"circuit": circuits[found.circuit]}
    if found.failure_rate is not None:
        parts["failure_rate"] = _left(found.failure_rate, thresholds["failure_rate"])
    if found.response_p95_ms is not None:
        # A slow source is still a source: it degrades, and is not left for it.
        slow = _left(found.response_p95_ms, thresholds["response_time"])
        parts["response_time"] = max(slow, policy.down + policy.hysteresis)
    if found.age is not None:
        parts["stale_age"] = _left(found.age, thresholds["stale_age"])
    if found.shares.rows >= policy.least_rows:
        parts["critical_rows"] = _left(found.shares.critical, policy.critical_rows)
        parts["warning_rows"] = _left(found.shares.warning, policy.warning_rows)
    return parts


def start(now: datetime) -> Health:
    """Return the health of a source nothing is known of yet: good until it shows otherwise."""
    return Health(SourceHealth.HEALTHY, now)


def evolve(health: Health, parts: Mapping[str, float], now: datetime, policy: HealthPolicy | None = None) -> Health:
    """Return the health after a look at what makes up the score, which is the least of the parts.

    One fault is not made good by what else is well. The state changes once the score has pointed the same way for
    the whole dwell, and then to the nearest state it pointed to: a short dip is not remembered as a fall.
    """
    policy = policy or HealthPolicy()
    score = min(parts.values(), default=1.0)
    health = replace(health, score=score, components=MappingProxyType(dict(parts)))
    target = _points_to(health.state, score, policy)
    if target is health.state:
        return replace(health, turning_since=None, turning_to=None)
    worse = _ORDER.index(target) < _ORDER.index(health.state)
    before = health.turning_to
    if before is None or (_ORDER.index(before) < _ORDER.index(health.state)) is not worse:
        health = replace(health, turning_since=now, turning_to=target)
    else:
        nearest = max if worse else min
        health = replace(health, turning_to=nearest(before, target, key=_ORDER.index))
    dwell = timedelta(seconds=policy.worse_seconds if worse else policy.better_seconds)
    if health.turning_since is not None and health.turning_to is not None and now - health.turning_since >= dwell:
        return replace(health, state=health.turning_to, since=now, turning_since=None, turning_to=None)
    return health


def _points_to(state: SourceHealth, score: float, policy: HealthPolicy) -> SourceHealth:
    # Out of a state only with a margin, into it at its edge.
    down = policy.down + (policy.hysteresis if state is SourceHealth.DOWN else 0)
    degraded = policy.degraded + (policy.hysteresis if state is not SourceHealth.HEALTHY else 0)
    if score <= down:
        return SourceHealth.DOWN
    return SourceHealth.DEGRADED if score <= degraded else SourceHealth.HEALTHY


def _left(value: float, bands: Bands) -> float:
    """Return a falling line: 1 at nothing, 0.6 at the warning band, 0.2 at the critical one, 0 at twice that."""
    points = [(0.0, 1.0)]
    if bands.warning is not None:
        points.append((bands.warning, _AT_WARNING))
    if bands.critical is not None:
        points += [(bands.critical, _AT_CRITICAL), (bands.critical * 2, 0.0)]
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        if value < x1:
            return y0 + (y1 - y0) * (value - x0) / (x1 - x0) if x1 > x0 else y1
    return points[-1][1]
