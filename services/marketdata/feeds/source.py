"""What this process knows of one source: its calls, rows, circuit and health."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from services.marketdata.core.feeds import breaker as circuit
from services.marketdata.core.feeds import health as healths
from services.marketdata.core.feeds.breaker import Breaker, BreakerPolicy, Permit
from services.marketdata.core.feeds.calls import Call, CallRecord
from services.marketdata.core.feeds.failover import Candidate
from services.marketdata.core.feeds.health import Health, HealthPolicy
from services.marketdata.core.feeds.rows import Observed, RowWindow
from services.marketdata.core.monitor.arrival import Arrived
from services.marketdata.core.thresholds import DEFAULTS, Thresholds
from services.marketdata.feeds import metrics
from services.marketdata.feeds.errors import CircuitOpen
from shared.schemas.feeds import CircuitState, FeedHealth, SourceHealth


class Source:
    """The state of one source; whoever drives or watches it tells what happened, and when.

    Of one that is not `expected` nothing is, until live rows come of it: files taken in are late for nobody.
    """

    def __init__(
        self,
        name: str,
        now: datetime,
        breaker: BreakerPolicy | None = None,
        health: HealthPolicy | None = None,
        *,
        expected: bool = True,
    ) -> None:
        self.name = name
        self._expected = expected
        self.calls = CallRecord()
        self.rows = RowWindow()
        self.breaker = circuit.CLOSED
        self.health: Health = healths.start(now)
        self.last_ts_event: datetime | None = None
        self.last_good: datetime | None = None
        self.last_error: str | None = None
        self._started = now
        # How long after its newest event the next one can be known: of bars, the shortest interval seen.
        self._cadence: timedelta | None = None
        self.breaker_policy = breaker or BreakerPolicy()
        self.health_policy = health or HealthPolicy()

    def permit(self, now: datetime) -> Permit:
        """Return leave for a call. Raises CircuitOpen."""
        self.breaker, permit = circuit.ask(self.breaker, now, self.breaker_policy)
        if permit is None:
            raise CircuitOpen(self.name, self.breaker.retry_at)
        return permit

    def present(self) -> Permit:
        """Return what tells the circuit, as it is now, of something that was not asked leave for."""
        return Permit(self.breaker.generation)

    def succeeded(self, permit: Permit, now: datetime, seconds: float) -> None:
        """Take in a call that gave an answer."""
        self.breaker = circuit.succeeded(self.breaker, permit, self.breaker_policy)
        self.last_error = None
        self.record(Call(now, True, seconds * 1000))

    def failed(self, permit: Permit, now: datetime, seconds: float, why: str, jitter: float) -> None:
        """Take in a call that failed; `jitter` in 0 to 1 is for the time a circuit that opens stays so."""
        self.breaker = circuit.failed(self.breaker, permit, now, self.breaker_policy, jitter)
        self.last_error = why
        self.record(Call(now, False, seconds * 1000))

    def given_up(self, permit: Permit) -> None:
        """Take in a call that was cancelled."""
        self.breaker = circuit.given_up(self.breaker, permit)

    def restore(self, breaker: Breaker, now: datetime) -> None:
        """Go on with the circuit as an earlier process left it; not longer than it would be open by the policy."""
        latest = now + timedelta(seconds=self.breaker_policy.longest)
        self.breaker = replace(breaker, retry_at=min(breaker.retry_at or now, latest))

    def record(self, call: Call) -> None:
        """Take in a call, whoever made it."""
        self.calls.add(call)
        metrics.CALLS.labels(self.name, "ok" if call.ok else "failed").inc()
        if call.ok:
            metrics.CALL_SECONDS.labels(self.name).observe(call.latency_ms / 1000)

    def observe(self, seen: Observed, now: datetime) -> None:
        """Take in what became of a batch."""
        self.rows.add(now, seen.rows, seen.warning, seen.critical)
        metrics.ROWS.labels(self.name).inc(seen.rows)
        self._cadence = seen.cadence if self._cadence is None else min(self._cadence, seen.cadence)
        # What comes from the future is as new as the moment it came.
        self.last_ts_event = _latest(self.last_ts_event, seen.newest and min(seen.newest, now))
        self.last_good = _latest(self.last_good, seen.newest_good)
        if seen.newest is not None and Arrived(seen.newest, now, seen.cadence.total_seconds()).is_live:
            self._expected = True

    def look(
        self, now: datetime, waited: Callable[[datetime, datetime], float], thresholds: Thresholds = DEFAULTS
    ) -> None:
        """Bring the health up to date; `waited` says for how many seconds between two moments events were due."""
        shares = self.rows.shares(now)
        state = self.breaker.state
        # One that never gave anything is as late as one that stopped.
        last = self.last_ts_event or self._started
        late = waited(last, now) - (self._cadence or timedelta(0)).total_seconds()
        age = max(0.0, late) if self._expected else 0.0
        found = healths.measures(self.calls, shares, state, age)
        parts = healths.components(found, thresholds, self.health_policy)
        self.health = healths.evolve(self.health, parts, now, self.health_policy)
        for each in SourceHealth:
            metrics.STATE.labels(self.name, each.value).set(self.health.state is each)
        for circuit_state in CircuitState:
            metrics.CIRCUIT.labels(self.name, circuit_state.value).set(state is circuit_state)
        metrics.SCORE.labels(self.name).set(self.health.score)
        if self.last_ts_event is not None and self._expected:
            metrics.AGE.labels(self.name).set((now - self.last_ts_event).total_seconds())

    def candidate(self) -> Candidate:
        """Return the source as failover sees it."""
        health = self.health
        return Candidate(self.name, health.state, health.since, self.breaker.state, health.cause, self.last_good)

    def view(self, priority: int, active: bool, now: datetime, thresholds: Thresholds = DEFAULTS) -> FeedHealth:
        """Return how the source is doing, for people and other services."""
        shares = self.rows.shares(now)
        return FeedHealth(
            source=self.name,
            priority=priority,
            active=active,
            health=self.health.state,
            since=self.health.since,
            score=self.health.score,
            components=dict(self.health.components),
            circuit=self.breaker.state,
            retry_at=self.breaker.retry_at,
            calls=len(self.calls),
            failure_rate=self.calls.failure_rate,
            response_p95_ms=self.calls.response_p95_ms,
            rows=shares.rows,
            warning_share=shares.warning,
            critical_share=shares.critical,
            last_ts_event=self.last_ts_event,
            last_error=self.last_error,
            issues=self.calls.issues(thresholds),
        )


def _latest(first: datetime | None, second: datetime | None) -> datetime | None:
    return max((moment for moment in (first, second) if moment is not None), default=None)
