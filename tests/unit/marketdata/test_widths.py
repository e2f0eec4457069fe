"""Roll-ups are worked out in portions: all of the time, at buckets, and never much in one statement."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.marketdata.core.widths import WIDTHS, Span, Width, aligned, portions

_START = datetime(2024, 1, 1, tzinfo=UTC)
_MOMENTS = st.integers(0, 80 * 1440).map(lambda minute: _START + timedelta(days=30, minutes=minute))


def spans_between(moments: list[tuple[datetime, datetime]]) -> list[Span]:
    return [Span("", f"S{n}", "test", min(pair), max(pair) + timedelta(1)) for n, pair in enumerate(moments)]


@pytest.mark.parametrize("width", WIDTHS, ids=lambda width: width.name)
@settings(deadline=None, max_examples=40)
@given(
    moments=st.lists(st.tuples(_MOMENTS, _MOMENTS), max_size=3),
    most=st.timedeltas(timedelta(hours=12), timedelta(days=40)),
)
def test_portions_are_the_spans_cut_between_buckets(
    width: Width, moments: list[tuple[datetime, datetime]], most: timedelta
) -> None:
    spans = aligned(width, spans_between(moments))
    groups = list(portions(width, spans, most))
    pieces = [piece for group in groups for piece in group]
    assert aligned(width, pieces) == spans
    assert sum((piece.end - piece.start for piece in pieces), timedelta(0)) == sum(
        (span.end - span.start for span in spans), timedelta(0)
    )
    # Of a zone's days one may have 25 hours.
    longest = width.step + timedelta(hours=1)
    for group in groups:
        assert group
        assert all(width.start(edge) == edge for piece in group for edge in (piece.start, piece.end))
        assert sum((piece.end - piece.start for piece in group), timedelta(0)) <= max(most, longest)


def test_a_year_of_a_series_is_twelve_portions_and_many_short_spans_are_few() -> None:
    year = [Span("", "A", "test", _START, _START + timedelta(days=366))]
    assert len(list(portions(WIDTHS[0], year, timedelta(days=31)))) == 12
    days = [Span("", f"S{n}", "test", _START, _START + timedelta(days=1)) for n in range(62)]
    assert [len(group) for group in portions(WIDTHS[0], days, timedelta(days=31))] == [31, 31]


def test_the_last_moment_there_is_ends_a_portion() -> None:
    last = datetime.max.replace(tzinfo=UTC)
    span = aligned(WIDTHS[0], [Span("", "A", "test", last - timedelta(days=400), last)])
    assert (
        aligned(WIDTHS[0], [piece for group in portions(WIDTHS[0], span, timedelta(days=31)) for piece in group])
        == span
    )
