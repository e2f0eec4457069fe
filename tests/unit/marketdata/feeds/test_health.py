import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.marketdata.core.feeds.health import (
    Health,
    HealthPolicy,
    Measures,
    components,
    evolve,
    start,
)
from services.marketdata.core.feeds.rows import Shares
from services.marketdata.core.thresholds import Bands, Thresholds
from shared.schemas.feeds import CircuitState, SourceHealth

pytestmark = pytest.mark.unit

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
POLICY = HealthPolicy(worse_seconds=3, better_seconds=30)


def measured(
    failure_rate: float | None = None,
    p95: float | None = None,
    shares: Shares | None = None,
    age: float | None = None,
    circuit: CircuitState = CircuitState.CLOSED,
) -> Measures:
    return Measures(failure_rate, p95, shares or Shares(), age, circuit)


def run(scores: list[tuple[float, float]], health: Health | None = None) -> list[SourceHealth]:
    """Return the states after scores that are each held for so many seconds, looked at every second."""
    health, now, states = health or start(NOW), NOW, []
    for score, seconds in scores:
        for _ in range(int(seconds)):
            now += timedelta(seconds=1)
            health = evolve(health, {"it": score}, now, POLICY)
            states.append(health.state)
    return states


@pytest.mark.parametrize(
    ("found", "name", "expected"),
    [
        (measured(failure_rate=0.0), "failure_rate", 1.0),
        (measured(failure_rate=0.10), "failure_rate", 0.6),
        (measured(failure_rate=0.30), "failure_rate", 0.2),
        (measured(failure_rate=0.90), "failure_rate", 0.0),
        (measured(p95=2_000), "response_time", 0.6),
        # A slow source is degraded, not left.
        (measured(p95=60_000), "response_time", 0.3),
        (measured(age=300), "stale_age", 0.6),
        (measured(age=600), "stale_age", 0.2),
        (measured(shares=Shares(100, 0.0, 0.2)), "critical_rows", 0.2),
        (measured(shares=Shares(100, 0.9, 0.0)), "warning_rows", 0.6),
        (measured(circuit=CircuitState.OPEN), "circuit", 0.0),
        (measured(circuit=CircuitState.HALF_OPEN), "circuit", 0.2),
    ],
)
def test_what_each_measure_leaves_of_the_score(found: Measures, name: str, expected: float) -> None:
    assert components(found)[name] == pytest.approx(expected)


def test_what_is_not_known_is_no_part_of_the_score() -> None:
    assert components(measured()) == {"circuit": 1.0}
    assert "critical_rows" not in components(measured(shares=Shares(4, 1.0, 1.0)))
    assert "critical_rows" in components(measured(shares=Shares(5, 1.0, 1.0)))


def test_changed_bands_move_the_score() -> None:
    changed = Thresholds({"stale_age": Bands(5, 10)})
    assert components(measured(age=10), changed)["stale_age"] == pytest.approx(0.2)


def test_one_fault_is_not_made_good_by_what_is_well() -> None:
    health = evolve(start(NOW), {"a": 1.0, "b": 1.0, "c": 0.1}, NOW, POLICY)
    assert health.score == 0.1
    assert health.cause == "c"


def test_a_short_dip_changes_nothing() -> None:
    assert set(run([(0.0, 2), (1.0, 1)] * 50)) == {SourceHealth.HEALTHY}


def test_a_lasting_fault_takes_it_down_after_the_dwell() -> None:
    states = run([(0.0, 10)])
    assert states.index(SourceHealth.DOWN) == 3
    assert set(states[3:]) == {SourceHealth.DOWN}


def test_it_is_back_after_the_longer_dwell_only() -> None:
    states = run([(0.0, 5), (1.0, 40)])
    assert states[5 + 29] is SourceHealth.DOWN
    assert states[5 + 30] is SourceHealth.HEALTHY


def test_a_relapse_starts_the_dwell_again() -> None:
    assert set(run([(0.0, 5), *[(1.0, 25), (0.0, 1)] * 5])[5:]) == {SourceHealth.DOWN}


def test_at_the_edge_it_stays_where_it_is() -> None:
    assert set(run([(0.65, 100)])) == {SourceHealth.HEALTHY}
    degraded = Health(SourceHealth.DEGRADED, NOW)
    assert set(run([(0.65, 100)], degraded)) == {SourceHealth.DEGRADED}
    assert set(run([(0.25, 100)], Health(SourceHealth.DOWN, NOW))) == {SourceHealth.DOWN}


def test_it_goes_to_the_nearest_state_it_pointed_to_for_the_whole_dwell() -> None:
    # Half the time DOWN, half the time DEGRADED: the dwell is over, and DEGRADED is what held throughout.
    assert run([(0.0, 2), (0.5, 2)])[-1] is SourceHealth.DEGRADED
    up = run([(1.0, 15), (0.5, 16)], Health(SourceHealth.DOWN, NOW))
    assert up[-1] is SourceHealth.DEGRADED


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.25, 0.5, 0.65, 1.0]), st.integers(1, 70)), min_size=1, max_size=12))
def test_no_state_is_left_before_its_dwell(held: list[tuple[float, int]]) -> None:
    health, now = start(NOW), NOW
    changes: list[tuple[datetime, SourceHealth, SourceHealth]] = []
    for score in (score for score, seconds in held for _ in range(seconds)):
        now += timedelta(seconds=1)
        before = health.state
        health = evolve(health, {"it": score}, now, POLICY)
        assert health.score == score
        if health.state is not before:
            assert health.since == now
            changes.append((now, before, health.state))
    order = [SourceHealth.DOWN, SourceHealth.DEGRADED, SourceHealth.HEALTHY]
    for (earlier, _, _), (later, old, new) in itertools.pairwise(changes):
        better = order.index(new) > order.index(old)
        assert later - earlier > timedelta(seconds=30 if better else 3)


@given(st.lists(st.floats(0, 1), max_size=100))
def test_the_same_looks_give_the_same_health(scores: list[float]) -> None:
    assert run([(score, 1) for score in scores]) == run([(score, 1) for score in scores])
