"""What a chain counts, and what its quotes say one by one."""

from typing import Any

import pytest

from services.marketdata.core.thresholds import Bands, Thresholds
from shared.schemas.marketdata import MarketState, OptionQuote, OptionRight
from tests.unit.marketdata.chain.states import CALL, PUT, chain_of, found, issues_of, priced, quote, state

pytestmark = pytest.mark.unit


def both(strike: int, bid: float = 5, ask: float = 6, **changes: Any) -> list[OptionQuote]:
    """Return a call and a put whose prices are as wide as to contradict nothing."""
    return [priced(strike, right, bid, ask, **changes) for right in (CALL, PUT)]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"open_interest": "-1"}, "open_interest_negative"),
        ({"bid": "-1"}, "quantity_negative"),
        ({"ask_quantity": "-0.0000000001"}, "quantity_negative"),
        ({"implied_volatility": -1e-9}, "implied_volatility_negative"),
        ({"bid": "2", "ask": "1.99"}, "quote_crossed"),
    ],
)
def test_one_such_contract_is_critical_and_is_named(change: dict[str, Any], code: str) -> None:
    issues = {issue.code: issue for issue in issues_of(state(option_chain=[quote(**change), quote(PUT)]))}
    assert (issues[code].severity, issues[code].value) == ("critical", 1)
    assert issues[code].details["contracts"] == ["2026-03-26 100 C"]


def test_no_more_than_ten_are_named() -> None:
    (issue,) = issues_of(
        chain_of(*(quote(right, strike=str(k), open_interest="-1") for k in range(90, 111) for right in (CALL, PUT)))
    )
    assert (issue.code, issue.value, len(issue.details["contracts"])) == ("open_interest_negative", 44, 10)


def test_a_total_may_be_negative_too() -> None:
    assert found(state(total_put_oi="-10"))["open_interest_negative"] == "critical"


def test_open_interest_that_is_not_whole() -> None:
    (issue,) = issues_of(chain_of(quote(open_interest="6.6666666667"), quote(PUT, open_interest="3")))
    assert (issue.code, issue.severity, issue.value) == ("open_interest_fractional", "warning", 1)
    assert issue.details["contracts"] == ["2026-03-26 100 C"]
    assert issue.details["parts_of_a_lot"] is None


def counted(*interest: float | str) -> MarketState:
    """Return a chain of calls with these numbers, and of puts without any."""
    strikes = [str(90 + place) for place in range(len(interest))]
    calls = [quote(strike=strike, open_interest=str(each)) for strike, each in zip(strikes, interest, strict=True)]
    return chain_of(*calls, *(quote(PUT, strike=strike, open_interest=None) for strike in strikes))


def thirds(number: int) -> list[str]:
    """Return so many numbers in thirds to ten places, as the source of the NSE's chains has them; some are whole."""
    return [f"{each / 3:.10f}" for each in range(40, 40 + number)]


def test_open_interest_in_parts_of_a_lot_is_how_its_venue_counts() -> None:
    assert issues_of(counted(*thirds(18))) == []
    # A lot of 75 in lots of 65, and contracts of a tenth.
    assert issues_of(counted(*(f"{each * 15 / 13:.10f}" for each in range(40, 80)))) == []
    assert issues_of(counted(*(each / 10 for each in range(1, 60)))) == []
    assert issues_of(counted(*(each / 2 for each in range(1, 40)))) == []


def test_what_does_not_fit_the_parts_of_a_lot_is_found_among_them() -> None:
    (issue,) = issues_of(counted(*thirds(18), "1234.57"))
    assert (issue.code, issue.severity, issue.value) == ("open_interest_fractional", "warning", 1)
    assert (issue.details["parts_of_a_lot"], issue.details["contracts"]) == (3, ["2026-03-26 108 C"])


@pytest.mark.parametrize(
    "interest",
    [
        # Too few to tell.
        thirds(12),
        # The same part of a lot too much everywhere, and nowhere a whole one.
        [each + 0.3 for each in range(10, 60)],
        [each + 0.5 for each in range(10, 60)],
        # Divided by a price, scaled, or spoilt in the last digits.
        [f"{each * 10 / 24.3117:.10f}" for each in range(10, 60)],
        [f"{each * 1.07:.2f}" for each in range(10, 60)],
        [f"{each + 1e-9:.10f}" for each in range(10, 60)],
    ],
)
def test_open_interest_that_fits_no_parts_of_a_lot_is_found(interest: list[float | str]) -> None:
    assert found(counted(*interest)) == {"open_interest_fractional": "warning"}


@pytest.mark.parametrize(("total", "severity"), [("10.04", None), ("10.06", "warning"), ("0", "warning")])
def test_a_total_that_is_not_the_sum_of_its_chain(total: str, severity: str | None) -> None:
    assert found(state(total_put_oi=total)).get("open_interest_total") == severity


def test_a_contract_is_quoted_once() -> None:
    twice = [quote(open_interest="5"), quote(open_interest="5.0"), quote(PUT)]
    assert found(state(option_chain=twice))["duplicate"] == "warning"
    differing = [quote(open_interest="4"), quote(open_interest="6"), quote(PUT)]
    assert found(state(option_chain=differing))["duplicate_conflicting"] == "critical"
    others = [quote(open_interest="5"), quote(open_interest="5", strike="101"), quote(PUT)]
    assert "duplicate" not in found(state(option_chain=others))


def test_strikes_that_differ_beyond_what_a_float_holds_are_two() -> None:
    close = [quote(right, strike=f"100000000000000000.000000000{d}") for d in (1, 2) for right in (CALL, PUT)]
    assert "duplicate" not in found(state(option_chain=close))


@pytest.mark.parametrize(("empty", "severity"), [(6, None), (7, "warning"), (8, "warning"), (9, "critical")])
def test_strikes_without_any_price(empty: int, severity: str | None) -> None:
    chain = [leg for i in range(10) for leg in both(100 + i, *((0, 0) if i < empty else (5, 6)))]
    assert found(chain_of(*chain)).get("strikes_filtered") == severity


def test_a_chain_without_a_strike_near_the_money_is_of_no_use() -> None:
    assert "strikes_filtered" not in found(state(spot_price="110"))
    assert found(state(spot_price="112"))["strikes_filtered"] == "critical"


@pytest.mark.parametrize("change", [{"last_price": "3"}, {"bid": "5", "ask": "6"}])
def test_one_leg_with_a_price_makes_a_strike_usable(change: dict[str, str]) -> None:
    assert "strikes_filtered" not in found(chain_of(quote(**change), quote(PUT, bid="0", ask="0")))


def test_a_chain_without_fields_for_prices_is_one_of_open_interest() -> None:
    assert found(state()) == {}
    assert found(chain_of(quote(open_interest=None), quote(PUT, open_interest=None))) == {
        "strikes_filtered": "critical"
    }


@pytest.mark.parametrize(("calls", "severity"), [(40, None), (30, None), (29, "warning"), (21, "critical")])
def test_calls_against_puts_near_the_money_whatever_lies_far_from_it(calls: int, severity: str | None) -> None:
    near = [quote(PUT, strike=str(90 + i / 2)) for i in range(40)] + [
        quote(strike=str(90 + i / 2)) for i in range(calls)
    ]
    far = [quote(PUT, strike=str(k)) for k in range(20, 89)]
    assert found(chain_of(*near, *far)).get("call_put_balance") == severity


@pytest.mark.parametrize("change", [{"bid": "2", "ask": "0"}, {"bid": "2"}, {"ask": "0.05", "bid": "0"}])
def test_one_sided_quotes_are_neither_crossed_nor_locked(change: dict[str, str]) -> None:
    codes = found(chain_of(quote(**change), quote(PUT, **change)))
    assert not codes.keys() & {"quote_crossed", "quote_locked"}


def test_one_locked_quote_of_a_hundred_is_a_warning() -> None:
    chain = [leg for i in range(50) for leg in both(100 + i)]
    assert "quote_locked" not in found(chain_of(*chain))
    locked = [priced(100, CALL, 5, 5), *chain[1:]]
    assert found(chain_of(*locked))["quote_locked"] == "warning"


@pytest.mark.parametrize(("median", "severity"), [(0.02, None), (0.018, "warning"), (0.0036, "critical"), (None, None)])
def test_spreads_against_the_median_of_the_day(median: float | None, severity: str | None) -> None:
    wide = chain_of(*both(100, 5, 6))
    assert found(wide, median_spread=median).get("spread_wide") == severity
    assert "spread_wide" not in found(wide, median_spread=median, session_open=False)


@pytest.mark.parametrize(
    ("last", "far"), [("9.02", False), ("9.03", True), ("5", False), ("0", False), ("2.48", False), ("2.47", True)]
)
def test_a_last_price_off_by_half_and_more_than_a_fraction_of_the_spot(last: str, far: bool) -> None:
    # Half of the bid, or one and a half of the ask, and 2e-4 of the spot.
    assert ("last_price_far" in found(chain_of(*both(100, 5, 6, last_price=last)))) is far


@pytest.mark.parametrize(
    ("right", "last", "far"),
    [(CALL, "9.02", False), (CALL, "12", False), (CALL, "0.9", False), (CALL, "12.1", True), (CALL, "0.4", True),
     (PUT, "12", False), (PUT, "12.1", True), (PUT, "0.4", True)],
)  # fmt: skip
def test_a_last_price_may_be_what_a_neighbour_costs_now(right: OptionRight, last: str, far: bool) -> None:
    """The spot may have moved by 2 % since; a neighbour 3 % away says nothing."""
    sign = -1 if right is CALL else 1
    ladder = [(-3, 0.1, 0.2), (-2, 1, 2), (0, 5, 6), (2, 7, 8), (3, 20, 21)]
    legs = [priced(100 + sign * by, right, bid, ask, last_price=last if by == 0 else None) for by, bid, ask in ladder]
    assert ("last_price_far" in found(chain_of(*legs))) is far


@pytest.mark.parametrize(
    ("volatility", "last", "severity"),
    [
        (0.2, "5", None),
        (0.0, "5", "critical"),
        (2.0, "5", None),
        (2.01, "5", "critical"),
        (0.0, "0", None),
        (0.0, None, "critical"),
        (None, "5", None),
    ],
)
def test_volatility_is_judged_where_there_is_one(
    volatility: float | None, last: str | None, severity: str | None
) -> None:
    chain = chain_of(*both(100, implied_volatility=volatility, last_price=last))
    assert found(chain).get("implied_volatility") == severity


@pytest.mark.parametrize(("zero", "severity"), [("in the money", None), ("out of it", "critical")])
def test_no_volatility_in_the_money_is_no_fault(zero: str, severity: str | None) -> None:
    chain = []
    for strike in range(95, 106):
        for right in (CALL, PUT):
            is_in = strike < 100 if right is CALL else strike > 100
            lacks = strike != 100 and is_in is (zero == "in the money")
            chain.append(priced(strike, right, 5, 6, implied_volatility=0.0 if lacks else 0.2, last_price="5"))
    assert found(chain_of(*chain)).get("implied_volatility") == severity


def test_one_volatility_that_is_wrong_is_no_sign() -> None:
    chain = [priced(100, CALL, 5, 6, implied_volatility=0.0), priced(100, PUT, 5, 6, implied_volatility=0.2)]
    assert "implied_volatility" not in found(chain_of(*chain))


def test_what_is_left_in_the_books_of_a_closed_market_is_not_judged() -> None:
    chain = chain_of(*both(100, 6, 5))
    assert found(chain)["quote_crossed"] == "critical"
    assert "quote_crossed" not in found(chain, session_open=False)


def test_bands_may_be_changed() -> None:
    locked = chain_of(priced(100, CALL, 5, 5), priced(100, PUT, 5, 6))
    assert found(locked)["quote_locked"] == "warning"
    assert "quote_locked" not in found(locked, thresholds=Thresholds({"quote_locked": Bands(0.6, None)}))
