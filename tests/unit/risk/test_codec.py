"""The journal's texts, written by hand, are what the contract says, and say what was decided."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.risk.core import units
from services.risk.core.bodies import Broken, Closed, Decided, Filled, Marked, OrderTerms, Quote, Verdict
from services.risk.core.codec import decode, encode
from shared.journal import canonical
from shared.money import format_decimal
from shared.schemas.base import Severity, format_utc
from shared.schemas.decisions import RiskLevel, Unit
from shared.schemas.denials import DenialCode
from shared.schemas.events import BODIES
from shared.schemas.journal import EventKind
from shared.schemas.orders import OrderStatus
from tests.unit.risk.make_journal import TELEMETRY

pytestmark = pytest.mark.unit

names = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._:\-]{0,63}\Z")
symbols = st.from_regex(r"\A[A-Z0-9][A-Z0-9._:\-/]{0,31}\Z")
amounts = st.integers(1, 10**28 - 1)
signed = st.integers(-(10**28) + 1, 10**28 - 1)
FIRST = units.micros(datetime(1, 1, 2, tzinfo=UTC))
LAST = units.micros(datetime(9999, 12, 30, tzinfo=UTC))
times = st.integers(FIRST, LAST) | st.integers(FIRST // 10**6, LAST // 10**6).map(lambda seconds: seconds * 10**6)
texts = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=3, max_size=40).filter(
    lambda each: each.strip() == each
)
days = st.dates()
figures = st.none() | st.floats(0, 1e9)
shares = st.floats(0, 1)
telemetry = st.sampled_from([None, canonical(TELEMETRY)])

broken = st.builds(
    Broken,
    st.sampled_from(DenialCode),
    texts,
    st.none() | st.sampled_from(Unit),
    figures,
    figures,
    figures,
)
orders = st.builds(
    OrderTerms,
    names,
    names,
    symbols,
    st.booleans(),
    amounts,
    st.just(0) | amounts,
    st.sampled_from(["DAY", "GTC", "IOC", "FOK"]),
    st.booleans(),
    telemetry=telemetry,
    ts=st.none() | times,
)
verdicts = st.builds(
    Verdict,
    st.booleans(),
    st.lists(broken, max_size=3),
    shares,
    st.sampled_from(RiskLevel),
    st.none() | st.just(0) | amounts,
    st.integers(1, 10**6),
    st.integers(0, 10**6),
    times,
)
decided = st.builds(
    Decided, names, st.none() | names, days, orders, verdicts, amounts, times, texts, st.none() | names
).map(lambda body: (EventKind.ORDER_APPROVED, body))
closed = st.builds(
    Closed,
    names,
    names,
    st.sampled_from([OrderStatus.CANCELLED, OrderStatus.REJECTED, OrderStatus.EXPIRED]),
    texts,
    amounts,
    texts,
    times,
).map(lambda body: (EventKind.ORDER_CLOSED, body))
filled = st.builds(
    Filled,
    names,
    st.none() | names,
    days,
    names,
    names,
    names,
    symbols,
    st.booleans(),
    amounts,
    amounts,
    signed,
    st.sampled_from(["USD", "INR"]),
    amounts,
    amounts,
    signed,
    signed,
    st.sampled_from(OrderStatus),
    st.just(0) | amounts,
    telemetry,
    texts,
    times,
).map(lambda body: (EventKind.FILL_APPLIED, body))
quotes = st.builds(
    Quote, symbols, amounts, times, st.none() | st.integers(-units.SCALE, units.SCALE), st.sampled_from(Severity)
)
marked = st.builds(Marked, st.none() | names, st.lists(quotes, max_size=3), st.lists(quotes, max_size=2), times).map(
    lambda body: (EventKind.MARKS_SET, body)
)


@given(st.one_of(decided, closed, filled, marked))
def test_a_text_is_canonical_keeps_the_contract_and_reads_back_as_it_was(found: tuple[EventKind, Any]) -> None:
    kind, body = found
    text = encode(body)
    contract = BODIES[kind].model_validate_json(text)
    # By the contract and back it is the same text, but for what only the contract has.
    said = contract.model_dump(mode="json", exclude_unset=True)
    assert canonical(said) == text
    assert decode(kind, None, text).body == body


@given(signed)
def test_amounts_are_written_as_money_is(value: int) -> None:
    amount = units.amount(value)
    assert units.text(value) == format_decimal(amount)
    assert units.parse(units.text(value)) == value
    assert units.units(amount) == value


@given(times)
def test_times_are_written_as_contracts_do(value: int) -> None:
    moment = units.moment(value)
    assert units.stamp(value) == format_utc(moment)
    assert units.parse_stamp(units.stamp(value)) == value == units.micros(moment)


@given(st.integers(-(10**40), 10**40), st.integers(1, 10**25))
def test_halves_are_rounded_to_even(numerator: int, denominator: int) -> None:
    exact = Decimal(numerator) / Decimal(denominator) if abs(numerator) < 10**20 else None
    found = units.half_even(numerator, denominator)
    assert abs(2 * (found * denominator - numerator)) <= denominator
    if exact is not None and abs(2 * (found * denominator - numerator)) == denominator:
        assert found % 2 == 0


@pytest.mark.parametrize("text", ["{}", "[]", '{"account_id":"a"}', "null", '"x"', "7"])
def test_what_is_no_body_is_a_value_error(text: str) -> None:
    for kind in (EventKind.ORDER_APPROVED, EventKind.FILL_APPLIED, EventKind.MARKS_SET, EventKind.LIMITS_SET):
        with pytest.raises(ValueError, match=r".+"):
            decode(kind, None, text)


def test_a_second_at_its_end_is_not_the_next() -> None:
    last = units.micros(datetime(2026, 1, 1, tzinfo=UTC) - timedelta(microseconds=1))
    assert units.stamp(last) == "2025-12-31T23:59:59.999999Z"
    assert units.moment(last).date() == date(2025, 12, 31)
