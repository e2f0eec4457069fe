import base64
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.pagination import BadCursor, decode_cursor, encode_cursor

pytestmark = pytest.mark.unit


@given(st.text(max_size=100), st.integers(min_value=-(2**63) + 1, max_value=2**63 - 1))
def test_a_cursor_comes_back_as_it_was(name: str, number: int) -> None:
    cursor = encode_cursor({"name": name, "number": number})
    assert decode_cursor(cursor, name=str, number=int) == {"name": name, "number": number}


@given(st.text(max_size=60))
def test_any_other_text_is_a_bad_cursor(text: str) -> None:
    with pytest.raises(BadCursor):
        decode_cursor(text, name=str)


@pytest.mark.parametrize(
    "values", [{"name": 1}, {"other": "x"}, {"name": "x", "more": 1}, {"name": None}, {"name": True}]
)
def test_wrong_parts_are_a_bad_cursor(values: dict[str, object]) -> None:
    with pytest.raises(BadCursor):
        decode_cursor(encode_cursor(values), name=str)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["[" * 700, "9" * 700, "é", "a" * 2000])
def test_hostile_texts_are_a_bad_cursor(text: str) -> None:
    with pytest.raises(BadCursor):
        decode_cursor(base64.urlsafe_b64encode(text.encode()).decode(), name=str)
    with pytest.raises(BadCursor):
        decode_cursor(encode_cursor({"n": 1}), n=str)


def test_half_a_surrogate_pair_is_a_bad_cursor() -> None:
    cursor = base64.urlsafe_b64encode(b'{"name":"\\ud800"}').decode()
    with pytest.raises(BadCursor):
        decode_cursor(cursor, name=str)


def test_an_integer_beyond_a_column_is_a_bad_cursor() -> None:
    with pytest.raises(BadCursor):
        decode_cursor(encode_cursor({"seq": 2**63}), seq=int)


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_cursor_gives_back_a_moment(moment: datetime) -> None:
    assert decode_cursor(encode_cursor({"ts": moment, "seq": 1}), ts=datetime, seq=int) == {"ts": moment, "seq": 1}


def test_a_moment_comes_back_in_utc() -> None:
    moment = datetime(2026, 3, 2, 5, 30, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    found = decode_cursor(encode_cursor({"ts": moment}), ts=datetime)["ts"]
    assert (found, found.tzinfo) == (datetime(2026, 3, 2, tzinfo=UTC), UTC)


@pytest.mark.parametrize("value", ["", "nope", "2026-02-30T00:00:00Z", "0001-01-01T00:00:00+05:00", 1, None])
def test_what_is_no_moment_is_refused(value: Any) -> None:
    with pytest.raises(BadCursor):
        decode_cursor(encode_cursor({"ts": value}), ts=datetime)
