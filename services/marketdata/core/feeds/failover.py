"""Which source is the active one: the best that can be relied on, by priority, without going to and fro."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import MappingProxyType

from shared.schemas.feeds import CircuitState, FeedSwitch, SourceHealth, SwitchReason

_USABLE = (SourceHealth.HEALTHY, SourceHealth.DEGRADED)
# What a source is left for, by the component of its score that is worst.
_REASONS = {
    "critical_rows": SwitchReason.QUALITY,
    "warning_rows": SwitchReason.QUALITY,
    "stale_age": SwitchReason.STALE,
}


@dataclass(frozen=True, slots=True)
class FailoverPolicy:
    """How long a source that was left rests, and how long a better one must be HEALTHY to take over again."""

    rest_seconds: float = 60.0
    healthy_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A source as failover sees it; `cause` is the worst component of its score, `since` when its state began."""

    name: str
    state: SourceHealth
    since: datetime
    circuit: CircuitState
    cause: str = ""
    last_good: datetime | None = None


@dataclass(frozen=True, slots=True)
class Active:
    """The active source since when, and when each other one was last left."""

    name: str | None = None
    since: datetime | None = None
    left: Mapping[str, datetime] = field(default_factory=dict)


def choose(
    active: Active, candidates: Sequence[Candidate], now: datetime, policy: FailoverPolicy | None = None
) -> tuple[Active, FeedSwitch | None]:
    """Return the active source of candidates in the order of their priority, and the switch where it changed.

    The active one is left when it is DOWN or its circuit is open, and there is another that is not; it is kept
    when there is none, as a source that may come back beats none. A better one by priority takes over again once
    it has been HEALTHY for the dwell. A source that was left is not taken again before it has rested, whatever it
    looks like: no pair of sources can be gone to and fro between faster than that.
    """
    policy = policy or FailoverPolicy()
    names = {each.name: each for each in candidates}
    current = names.get(active.name or "")
    rested = [each for each in candidates if each is not current and _rested(active, each, now, policy)]
    if current is None:
        best = _best(rested) or _reachable(rested)
        return _take(active, None, best, now, SwitchReason.START, "the first source") if best else (active, None)
    if current.state is SourceHealth.DOWN or current.circuit is CircuitState.OPEN:
        best = _best(rested)
        if best is None:
            return active, None
        reason = _REASONS.get(current.cause, SwitchReason.ERRORS)
        detail = f"{current.name} is {current.state} by {current.cause or 'its circuit'}"
        return _take(active, current, best, now, reason, detail)
    better = _better(candidates, rested, current, now, policy)
    if better is None:
        return active, None
    detail = f"{better.name} has been HEALTHY for {(now - better.since).total_seconds():.0f} s"
    return _take(active, current, better, now, SwitchReason.FAIL_BACK, detail)


def _better(
    candidates: Sequence[Candidate],
    rested: Sequence[Candidate],
    current: Candidate,
    now: datetime,
    policy: FailoverPolicy,
) -> Candidate | None:
    before = candidates[: candidates.index(current)]
    dwell = timedelta(seconds=policy.healthy_seconds)
    return next((each for each in rested if each in before and _well(each) and now - each.since >= dwell), None)


def _well(each: Candidate) -> bool:
    return each.state is SourceHealth.HEALTHY and each.circuit is CircuitState.CLOSED


def _best(candidates: Sequence[Candidate]) -> Candidate | None:
    """Return the first that is HEALTHY, else the first that is DEGRADED; none with an open circuit."""
    usable = [each for each in candidates if each.circuit is not CircuitState.OPEN]
    return next((each for state in _USABLE for each in usable if each.state is state), None)


def _reachable(candidates: Sequence[Candidate]) -> Candidate | None:
    return next((each for each in candidates if each.circuit is not CircuitState.OPEN), next(iter(candidates), None))


def _rested(active: Active, each: Candidate, now: datetime, policy: FailoverPolicy) -> bool:
    left = active.left.get(each.name)
    return left is None or now - left >= timedelta(seconds=policy.rest_seconds)


def _take(
    active: Active, old: Candidate | None, new: Candidate, now: datetime, reason: SwitchReason, detail: str
) -> tuple[Active, FeedSwitch]:
    left = {**active.left, old.name: now} if old is not None else dict(active.left)
    switch = FeedSwitch(
        from_source=old.name if old else None,
        to_source=new.name,
        reason=reason,
        detail=detail,
        at=now,
        gap_start=old.last_good if old else None,
    )
    return replace(active, name=new.name, since=now, left=MappingProxyType(left)), switch


def close_gap(switch: FeedSwitch, first_ts_event: datetime) -> FeedSwitch:
    """Return the switch with the end of its gap: the new source's first event after it.

    Where the new source goes on from before the old one ended, nothing is missing: the gap is then empty.
    """
    start = switch.gap_start
    end = first_ts_event if start is None else max(first_ts_event, start)
    return switch.model_copy(update={"gap_end": end})
