from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.marketdata.core.feeds.bucket import full
from services.marketdata.core.feeds.calls import Call, CallRecord
from services.marketdata.core.feeds.rows import RowWindow
from services.marketdata.core.thresholds import Bands, Thresholds
from shared.schemas.base import Severity

pytestmark = pytest.mark.unit

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def record(*latencies: float, failed: int = 0) -> CallRecord:
    made = CallRecord()
    for latency in latencies:
        made.add(Call(NOW, True, latency))
    for _ in range(failed):
        made.add(Call(NOW, False, 1.0))
    return made


def test_nothing_is_said_of_fewer_than_twenty_calls() -> None:
    made = record(*[9_000.0] * 10, failed=9)
    assert (made.failure_rate, made.response_p95_ms, made.issues()) == (None, None, [])


@pytest.mark.parametrize(
    ("ok", "failed", "expected"),
    [
        (91, 9, None),
        (90, 10, Severity.WARNING),
        (71, 29, Severity.WARNING),
        (70, 30, Severity.CRITICAL),
        (0, 20, Severity.CRITICAL),
    ],
)
def test_the_failure_rate_has_the_bands_of_the_catalogue(ok: int, failed: int, expected: Severity | None) -> None:
    issues = record(*[5.0] * ok, failed=failed).issues()
    assert [(each.code, each.severity) for each in issues] == ([("failure_rate", expected)] if expected else [])


@pytest.mark.parametrize(
    ("slow", "expected"),
    [(1_999.0, None), (2_000.0, Severity.WARNING), (4_999.0, Severity.WARNING), (5_000.0, Severity.CRITICAL)],
)
def test_the_response_time_is_the_95th_of_100(slow: float, expected: Severity | None) -> None:
    issues = record(*[10.0] * 94, *[slow] * 6).issues()
    assert [(each.code, each.severity) for each in issues] == ([("response_time", expected)] if expected else [])
    assert record(*[10.0] * 95, *[slow] * 5).issues() == []


def test_calls_that_failed_at_once_do_not_make_a_source_look_fast() -> None:
    assert record(*[3_000.0] * 20, failed=500).response_p95_ms == 3_000


def test_bands_that_were_changed_are_used() -> None:
    changed = Thresholds({"response_time": Bands(5, None)})
    assert [each.threshold for each in record(*[6.0] * 20).issues(changed)] == [5]


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 700)), max_size=8))
def test_it_is_of_the_last_thousand_calls(runs: list[tuple[bool, int]]) -> None:
    made, outcomes = CallRecord(), [ok for ok, times in runs for _ in range(times)]
    for ok in outcomes:
        made.add(Call(NOW, ok, 1.0))
    last = outcomes[-1_000:]
    assert len(made) == len(last)
    assert made.failure_rate == (last.count(False) / len(last) if len(last) >= 20 else None)


def test_neither_a_burst_nor_a_long_time_without_a_look_makes_the_window_grow() -> None:
    window = RowWindow(seconds=60, slots=6)
    for number in range(10_000):
        window.add(NOW + timedelta(milliseconds=number * 6), 1, 0, number < 5_000)
    shares = window.shares(NOW + timedelta(seconds=59))
    assert (shares.rows, shares.critical) == (10_000, 0.5)
    for number in range(100, 10_000):
        window.add(NOW + timedelta(seconds=number), 1, 0, 0)
    assert len(window._slots) <= 7


def test_rows_leave_the_window_slot_by_slot() -> None:
    window = RowWindow(seconds=60, slots=6)
    for number in range(10_000):
        window.add(NOW + timedelta(milliseconds=number * 6), 1, 0, number < 5_000)
    # The first half was counted in slots that began within the first 30 seconds.
    assert window.shares(NOW + timedelta(seconds=100)).critical == 0
    assert window.shares(NOW + timedelta(seconds=200)).rows == 0


class TestBucket:
    def test_a_burst_passes_and_then_the_rate_holds(self) -> None:
        bucket, waits = full(rate=10, burst=3, now=NOW), []
        for _ in range(6):
            bucket, wait = bucket.take(NOW)
            waits.append(round(wait, 6))
        assert waits == [0, 0, 0, 0.1, 0.2, 0.3]

    def test_tokens_come_back_with_time_but_never_more_than_the_burst(self) -> None:
        bucket = full(rate=10, burst=2, now=NOW)
        for _ in range(2):
            bucket, _ = bucket.take(NOW)
        later = NOW + timedelta(hours=1)
        waits = []
        for _ in range(3):
            bucket, wait = bucket.take(later)
            waits.append(round(wait, 6))
        assert waits == [0, 0, 0.1]

    def test_a_source_that_asks_for_a_pause_gets_it(self) -> None:
        bucket = full(rate=10, burst=2, now=NOW).shut(NOW, 7).shut(NOW, 3)
        assert bucket.take(NOW)[1] == 7
        assert bucket.take(NOW + timedelta(seconds=7))[1] == 0

    @given(st.lists(st.floats(0, 3), max_size=60), st.floats(0.5, 50), st.integers(1, 10))
    def test_never_more_calls_than_burst_and_rate_allow(self, pauses: list[float], rate: float, burst: int) -> None:
        bucket, now, times = full(rate, burst, NOW), NOW, []
        for pause in pauses:
            now += timedelta(seconds=pause)
            bucket, wait = bucket.take(now)
            times.append((now + timedelta(seconds=wait) - NOW).total_seconds())
        for first, start in enumerate(times):
            for last in range(first, len(times)):
                # Microseconds are what a datetime can hold.
                assert last - first + 1 <= burst + (times[last] - start) * rate + 1e-3 * rate

    def test_a_rate_of_nothing_is_refused(self) -> None:
        with pytest.raises(ValueError, match="rate above 0"):
            full(0, 1, NOW)
