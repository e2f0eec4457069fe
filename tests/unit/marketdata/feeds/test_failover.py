from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.marketdata.core.feeds.failover import Active, Candidate, FailoverPolicy, choose, close_gap
from shared.schemas.feeds import CircuitState, FeedSwitch, SourceHealth, SwitchReason

pytestmark = pytest.mark.unit

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=1)
POLICY = FailoverPolicy(rest_seconds=60, healthy_seconds=60)
H, G, D = SourceHealth.HEALTHY, SourceHealth.DEGRADED, SourceHealth.DOWN


def source(
    name: str,
    state: SourceHealth = H,
    circuit: CircuitState = CircuitState.CLOSED,
    since: datetime = LONG_AGO,
    cause: str = "",
) -> Candidate:
    return Candidate(name, state, since, circuit, cause, NOW - timedelta(seconds=5))


def on(name: str) -> Active:
    return Active(name, LONG_AGO)


def test_the_first_of_the_list_starts() -> None:
    active, switch = choose(Active(), [source("a"), source("b")], NOW, POLICY)
    assert active.name == "a"
    assert switch is not None
    assert (switch.from_source, switch.to_source, switch.reason) == (None, "a", SwitchReason.START)


def test_while_it_is_well_nothing_changes() -> None:
    assert choose(on("a"), [source("a"), source("b")], NOW, POLICY) == (on("a"), None)
    assert choose(on("a"), [source("a", G), source("b")], NOW, POLICY) == (on("a"), None)


@pytest.mark.parametrize(
    ("cause", "reason"),
    [
        ("critical_rows", SwitchReason.QUALITY),
        ("stale_age", SwitchReason.STALE),
        ("failure_rate", SwitchReason.ERRORS),
        ("circuit", SwitchReason.ERRORS),
    ],
)
def test_it_is_left_when_down_by_errors_as_by_quality(cause: str, reason: SwitchReason) -> None:
    active, switch = choose(on("a"), [source("a", D, cause=cause), source("b", D), source("c")], NOW, POLICY)
    assert active.name == "c"
    assert switch is not None
    assert (switch.from_source, switch.to_source, switch.reason, switch.at) == ("a", "c", reason, NOW)
    assert switch.gap_start == NOW - timedelta(seconds=5)


def test_an_open_circuit_is_left_at_once() -> None:
    assert choose(on("a"), [source("a", circuit=CircuitState.OPEN), source("b")], NOW, POLICY)[0].name == "b"


def test_a_healthy_one_goes_before_a_degraded_one_of_better_priority() -> None:
    assert choose(on("a"), [source("a", D), source("b", G), source("c")], NOW, POLICY)[0].name == "c"
    assert choose(on("a"), [source("a", D), source("b", G), source("c", D)], NOW, POLICY)[0].name == "b"


def test_without_another_that_can_be_used_it_is_kept() -> None:
    others = [source("b", D), source("c", circuit=CircuitState.OPEN)]
    assert choose(on("a"), [source("a", D), *others], NOW, POLICY) == (on("a"), None)


def test_back_to_the_better_one_only_once_it_has_been_well_for_the_dwell() -> None:
    active, _ = choose(on("a"), [source("a", D), source("b")], NOW, POLICY)
    well = NOW + timedelta(seconds=30)
    early = well + timedelta(seconds=59)
    assert choose(active, [source("a", since=well), source("b")], early, POLICY)[1] is None
    back, switch = choose(active, [source("a", since=well), source("b")], well + timedelta(seconds=60), POLICY)
    assert back.name == "a"
    assert switch is not None
    assert switch.reason is SwitchReason.FAIL_BACK
    assert "HEALTHY for 60 s" in switch.detail


def test_never_back_to_a_degraded_one_or_one_that_is_being_probed() -> None:
    later = NOW + timedelta(days=2)
    for better in (source("a", G), source("a", circuit=CircuitState.HALF_OPEN)):
        assert choose(on("b"), [better, source("b")], later, POLICY)[1] is None


def test_the_gap_ends_with_the_first_event_of_the_new_one() -> None:
    _, switch = choose(on("a"), [source("a", D), source("b")], NOW, POLICY)
    assert switch is not None
    assert close_gap(switch, NOW).gap_end == NOW
    assert close_gap(switch, NOW - timedelta(hours=1)).gap_end == switch.gap_start


_STATES = st.lists(
    st.tuples(
        st.floats(0.5, 40),
        st.lists(st.tuples(st.sampled_from([H, G, D]), st.sampled_from(CircuitState)), min_size=3, max_size=3),
    ),
    min_size=1,
    max_size=80,
)


def drive(
    story: list[tuple[float, list[tuple[SourceHealth, CircuitState]]]],
) -> list[tuple[FeedSwitch, list[Candidate]]]:
    """Return the switches of sources that go through any states whatever, without any dwell of their own."""
    active, now, since = Active(), NOW, [NOW] * 3
    before: list[SourceHealth] = [H, H, H]
    found = []
    for pause, states in story:
        now += timedelta(seconds=pause)
        since = [old if was is state else now for old, was, (state, _) in zip(since, before, states, strict=True)]
        before = [state for state, _ in states]
        candidates = [
            source(name, state, circuit, start)
            for name, (state, circuit), start in zip("abc", states, since, strict=True)
        ]
        active, switch = choose(active, candidates, now, POLICY)
        if switch is not None:
            assert active.name == switch.to_source
            assert switch.from_source != switch.to_source
            found.append((switch, candidates))
    return found


@settings(max_examples=300)
@given(_STATES)
def test_a_source_that_was_left_is_not_taken_again_before_it_has_rested(
    story: list[tuple[float, list[tuple[SourceHealth, CircuitState]]]],
) -> None:
    left: dict[str, datetime] = {}
    for switch, _ in drive(story):
        if switch.to_source in left:
            assert switch.at - left[switch.to_source] >= timedelta(seconds=60)
        if switch.from_source is not None:
            left[switch.from_source] = switch.at


@settings(max_examples=300)
@given(_STATES)
def test_an_open_circuit_is_never_taken_while_another_is_not_open(
    story: list[tuple[float, list[tuple[SourceHealth, CircuitState]]]],
) -> None:
    for switch, candidates in drive(story):
        taken = next(each for each in candidates if each.name == switch.to_source)
        others = [each for each in candidates if each.circuit is not CircuitState.OPEN]
        assert taken.circuit is not CircuitState.OPEN or not others
        if switch.reason is SwitchReason.FAIL_BACK:
            assert taken.state is H
            assert switch.at - taken.since >= timedelta(seconds=60)
        elif switch.from_source is not None:
            assert taken.state is not D


@given(_STATES)
def test_the_same_story_gives_the_same_switches(
    story: list[tuple[float, list[tuple[SourceHealth, CircuitState]]]],
) -> None:
    assert [switch for switch, _ in drive(story)] == [switch for switch, _ in drive(story)]
