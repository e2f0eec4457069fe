from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.marketdata.core.feeds.breaker import (
    CLOSED,
    Breaker,
    BreakerPolicy,
    Permit,
    ask,
    failed,
    given_up,
    succeeded,
)
from shared.schemas.feeds import CircuitState

pytestmark = pytest.mark.unit

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
POLICY = BreakerPolicy(failures=3, cool_down=10, longest=60, probes=2, window=10, rate=0.5)


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def fail(breaker: Breaker, seconds: float = 0, jitter: float = 0) -> Breaker:
    breaker, permit = ask(breaker, at(seconds), POLICY)
    assert permit is not None
    return failed(breaker, permit, at(seconds), POLICY, jitter)


def pass_(breaker: Breaker, seconds: float = 0) -> Breaker:
    breaker, permit = ask(breaker, at(seconds), POLICY)
    assert permit is not None
    return succeeded(breaker, permit, POLICY)


def opened() -> Breaker:
    return fail(fail(fail(CLOSED)))


def test_it_opens_after_so_many_failures_in_a_row() -> None:
    two = fail(fail(CLOSED))
    assert two.state is CircuitState.CLOSED
    assert fail(pass_(two)).state is CircuitState.CLOSED
    assert fail(two).state is CircuitState.OPEN


def test_it_opens_at_the_rate_too_though_never_three_in_a_row() -> None:
    breaker = CLOSED
    for _ in range(4):
        breaker = pass_(fail(breaker))
    assert breaker.state is CircuitState.CLOSED
    assert fail(pass_(breaker)).state is CircuitState.OPEN


def test_an_open_circuit_lets_nothing_through_before_its_time() -> None:
    breaker = opened()
    assert breaker.retry_at == at(10)
    assert ask(breaker, at(9.999), POLICY) == (breaker, None)
    assert ask(breaker, at(10), POLICY)[1] is not None


def test_one_probe_at_a_time() -> None:
    breaker, probe = ask(opened(), at(10), POLICY)
    assert breaker.state is CircuitState.HALF_OPEN
    assert ask(breaker, at(10.1), POLICY)[1] is None
    assert probe is not None
    breaker = succeeded(breaker, probe, POLICY)
    assert breaker.state is CircuitState.HALF_OPEN
    assert pass_(breaker, 11) == Breaker(generation=breaker.generation + 1)


def test_a_failed_probe_doubles_the_pause_up_to_the_longest() -> None:
    breaker, pauses, now = opened(), [], 10.0
    for _ in range(4):
        breaker = fail(breaker, now)
        assert breaker.retry_at is not None
        pauses.append((breaker.retry_at - at(now)).total_seconds())
        now += pauses[-1]
    assert pauses == [20, 40, 60, 60]
    closed = pass_(pass_(breaker, now), now)
    assert fail(fail(fail(closed, now), now), now).retry_at == at(now + 10)


def test_jitter_takes_up_to_half_off() -> None:
    assert fail(fail(fail(CLOSED)), jitter=1).retry_at == at(5)
    assert fail(fail(fail(CLOSED)), jitter=0.5).retry_at == at(7.5)


def test_a_call_from_before_the_last_change_says_nothing() -> None:
    breaker, late = ask(CLOSED, NOW, POLICY)
    assert late is not None
    breaker = opened()
    assert succeeded(breaker, late, POLICY) is breaker
    assert failed(breaker, late, at(9), POLICY, 0) is breaker
    half, probe = ask(breaker, at(10), POLICY)
    assert succeeded(half, late, POLICY) is half
    assert probe is not None


def test_a_probe_that_is_never_heard_of_again_is_given_up() -> None:
    breaker, lost = ask(opened(), at(10), POLICY)
    assert lost is not None
    assert ask(breaker, at(69.9), POLICY)[1] is None
    breaker, second = ask(breaker, at(70), POLICY)
    assert second is not None
    assert succeeded(breaker, lost, POLICY) is breaker
    assert succeeded(breaker, second, POLICY).successes == 1


def test_a_cancelled_probe_makes_room_for_another_at_once() -> None:
    breaker, probe = ask(opened(), at(10), POLICY)
    assert probe is not None
    breaker = given_up(breaker, probe)
    assert ask(breaker, at(10), POLICY)[1] is not None
    assert given_up(CLOSED, Permit(0)) is CLOSED


def test_years_of_failing_do_not_overflow_the_pause() -> None:
    breaker = Breaker(state=CircuitState.OPEN, opened=100_000, retry_at=NOW)
    assert fail(breaker).retry_at == at(60)


_EVENTS = st.lists(
    st.tuples(st.sampled_from(["ask", "ok", "fail", "cancel"]), st.floats(0, 30), st.floats(0, 1)), max_size=80
)


@given(_EVENTS)
def test_whatever_happens_no_call_passes_an_open_circuit_and_one_at_most_a_half_open_one(
    events: list[tuple[str, float, float]],
) -> None:
    breaker, now = CLOSED, NOW
    permits: list[tuple[Permit, datetime]] = []
    for what, pause, jitter in events:
        now += timedelta(seconds=pause)
        if what == "ask":
            open_until = breaker.retry_at if breaker.state is CircuitState.OPEN else None
            breaker, permit = ask(breaker, now, POLICY)
            if permit is not None:
                assert open_until is None or now >= open_until
                permits.append((permit, now))
            live = [each for each, since in permits if each.generation == breaker.generation]
            assert breaker.state is not CircuitState.HALF_OPEN or len(live) <= 1
        elif permits:
            permit, _ = permits.pop(0)
            if what == "ok":
                breaker = succeeded(breaker, permit, POLICY)
            elif what == "fail":
                breaker = failed(breaker, permit, now, POLICY, jitter)
            else:
                breaker = given_up(breaker, permit)
        assert len(breaker.recent) <= POLICY.window
        if breaker.state is CircuitState.OPEN:
            assert breaker.retry_at is not None
            assert breaker.retry_at - now <= timedelta(seconds=POLICY.longest)
