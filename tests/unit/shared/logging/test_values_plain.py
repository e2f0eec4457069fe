"""Fields that are short and simple take a way of their own: it gives what the walk over any value gives."""

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.logging.values import MAX_ITEMS, MAX_KEY, _plain, clean, clean_fields

pytestmark = pytest.mark.unit

CARD = 4_111_111_111_111_111
NAMES = st.one_of(
    st.from_regex(r"\A[a-z_]{1,12}\Z"),
    st.sampled_from(["name", "key", "field", "loc", "header", "value", "input", "input_value", "values"]),
    st.sampled_from(["password", "apiKey", "token_count", "pin", "a.b", " spaced ", "", "é", "\ud800", "x" * 128]),
    st.text(max_size=140),
)
TEXTS = st.one_of(
    st.from_regex(r"\A[ -~]{0,40}\Z"),
    st.sampled_from(["password=hunter2", "Bearer abc.def", f"card {CARD}", "kl_1_secret", "redis://u:p@h/0", "pin"]),
    st.sampled_from(["\ud800", "é" * 10, "\x00", "x" * MAX_KEY, "x" * (MAX_KEY + 1), "x" * 9_000]),
    st.text(max_size=140),
)
PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    TEXTS,
    st.integers(),
    st.sampled_from([0, -1, 10**12 - 1, 10**12, CARD, -CARD, 2**63, -(2**63) - 1]),
    st.floats(),
    st.sampled_from([[], ()]),
    st.lists(TEXTS, max_size=3) | st.lists(TEXTS, max_size=3).map(tuple),
)
ANY = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3) | st.tuples(inner, inner),
    max_leaves=8,
)


@given(st.dictionaries(NAMES, PLAIN, max_size=5) | st.dictionaries(NAMES, ANY, max_size=5))
@example({"name": "password", "value": "hunter2"})
@example({"header": "authorization", "input": "hunter2"})
@example({"a.b": 1, "a_b": 2})
@example({"password": "hunter2"})
@example({"token_count": 3, "token": True})
@example({"text": "password=hunter2"})
@example({"number": CARD})
@example({"number": 10**12})
@example({"number": -(2**70)})
@example({"number": float("nan")})
@example({"text": "\ud800"})
@example({"items": [CARD]})
@example({"pair": ["password", "hunter2"]})
@example({"pair": ("password", "hunter2")})
@example({"ids": ["a", "password=hunter2", "c"]})
@example({"ids": ["a"] * MAX_ITEMS})
@example({"ids": ("a",) * (MAX_ITEMS + 1)})
@example({"ids": ["a"] * MAX_ITEMS + [1]})
@settings(max_examples=1_000, deadline=None)
def test_simple_fields_are_given_as_the_walk_gives_them(fields: dict[str, Any]) -> None:
    # As text, so that 1, 1.0 and True differ, and NaN does not from itself.
    assert repr(clean_fields(fields)) == repr(clean(fields))


@pytest.mark.parametrize("count", [MAX_ITEMS - 1, MAX_ITEMS, MAX_ITEMS + 1, 5_000])
@pytest.mark.parametrize("length", [1, MAX_KEY, MAX_KEY + 1])
def test_as_many_and_as_long_fields_are_taken_as_by_the_walk(count: int, length: int) -> None:
    for text in ("x" * length, ("pwd=a " * length)[:length]):
        fields = {f"{index:04}_{'n' * (length - 5)}": text for index in range(count)}
        assert clean_fields(fields) == clean(fields)


@pytest.mark.parametrize("count", [1, 2, 3, 20])
@pytest.mark.parametrize("length", [1, MAX_KEY, MAX_KEY + 1])
def test_lists_of_as_many_and_as_long_texts_are_taken_as_by_the_walk(count: int, length: int) -> None:
    for text in ("x" * length, ("pwd=a " * length)[:length]):
        fields = {f"ids_{index}": [text] * MAX_ITEMS for index in range(count)}
        assert clean_fields(fields) == clean(fields)


@given(
    st.dictionaries(
        st.from_regex(r"\A[b-j]{1,8}\Z"),
        st.from_regex(r"\A[ -~]{0,40}\Z") | st.floats(0, 1) | st.just(()) | st.lists(st.just("o-1"), min_size=3),
        max_size=5,
    )
)
def test_what_is_logged_most_takes_that_way(fields: dict[str, Any]) -> None:
    # Else the comparison above would be one of the walk with itself.
    assert _plain(fields) is not None
