"""Prices that contradict each other: across strikes, and calls against puts."""

from collections.abc import Iterator
from datetime import date, timedelta
from math import exp

import numpy as np
import pytest

from services.marketdata.core.chain.arrays import Chain, arrays_of
from services.marketdata.core.chain.parity import parity
from services.marketdata.core.chain.strikes import butterflies, monotony, neighbours_of, price_step
from shared.schemas.marketdata import OptionQuote, OptionRight
from tests.unit.marketdata.chain.states import CALL, NOW, PUT, chain_of, found, issues_of, priced, quote

pytestmark = pytest.mark.unit
TODAY = NOW.date()


def arrays(*quotes: OptionQuote) -> Chain:
    return arrays_of(quotes, 100.0)


def legs(right: OptionRight, *sides: tuple[int, float, float]) -> list[OptionQuote]:
    return [priced(strike, right, bid, ask) for strike, bid, ask in sides]


class TestMonotony:
    @pytest.mark.parametrize(
        ("right", "low", "high", "broken"),
        [
            (CALL, (5, 6), (6, 7), False),
            (CALL, (5, 6), (6.1, 7), True),
            (CALL, (7, 8), (5, 6), False),
            (PUT, (5, 6), (4, 5), False),
            (PUT, (6, 7), (4, 5.9), True),
            (PUT, (5, 6), (7, 8), False),
        ],
    )
    def test_what_pays_less_is_not_bid_above_the_ask_of_what_pays_more(
        self, right: OptionRight, low: tuple[float, float], high: tuple[float, float], broken: bool
    ) -> None:
        chain = arrays(*legs(right, (105, *high), (100, *low)))
        assert (len(monotony(chain, neighbours_of(chain), 0.0).found) == 1) is broken

    def test_other_expiries_and_the_other_right_are_no_neighbours(self) -> None:
        later = quote(CALL, strike="105", bid="20", ask="21", expiry=date(2026, 4, 30))
        chain = arrays(*legs(CALL, (100, 5, 6)), later, *legs(PUT, (105, 20, 21)))
        assert monotony(chain, neighbours_of(chain), 0.0).number == 0

    def test_one_step_of_price_is_nothing(self) -> None:
        chain = arrays(*legs(CALL, (100, 5, 6), (105, 6.005, 7), (110, 1, 1.005)))
        assert price_step(chain) == pytest.approx(0.005)
        assert not len(monotony(chain, neighbours_of(chain), price_step(chain)).found)
        assert len(monotony(chain, neighbours_of(chain), 0.0).found) == 1

    def test_one_sided_and_crossed_quotes_are_left_out(self) -> None:
        chain = arrays(*legs(CALL, (100, 5, 6), (105, 9, 0), (110, 9, 8)))
        assert neighbours_of(chain)[0].tolist() == [0]

    def test_it_names_what_is_too_dear_and_counts_neighbours(self) -> None:
        (issue,) = (
            i for i in issues_of(chain_of(*legs(CALL, (99, 7, 8), (100, 5, 6), (101, 9, 10)))) if "mono" in i.code
        )
        assert (issue.value, issue.details["contracts"]) == (0.5, ["2026-03-26 101 C"])


class TestButterflies:
    @pytest.mark.parametrize(("bid", "broken"), [(6.9, False), (7.0, False), (7.1, True)])
    def test_the_middle_is_not_bid_above_its_wings(self, bid: float, broken: bool) -> None:
        # Weights of 1/4 and 3/4: 0.25 * 10 + 0.75 * 6.
        chain = arrays(*legs(CALL, (100, 9, 10), (103, bid, bid + 1), (104, 5, 6)))
        assert (len(butterflies(chain, neighbours_of(chain), 0.0).found) == 1) is broken

    def test_a_chain_of_two_strikes_has_none(self) -> None:
        chain = arrays(*legs(CALL, (100, 9, 10), (103, 20, 21)))
        assert butterflies(chain, neighbours_of(chain), 0.0).number == 0


def pair(
    strike: float, forward: float, discount: float, half: float, off: float = 0.0, days: int = 365
) -> Iterator[OptionQuote]:
    """Yield a call and a put that obey parity to the digit, the call `off` by so much, each quoted `half` about it."""
    call = max(discount * (forward - strike), 0.0) + 5
    put = call - discount * (forward - strike)
    for right, price in ((CALL, call + off), (PUT, put)):
        sides = {"bid": f"{price - half:.8f}", "ask": f"{price + half:.8f}"}
        yield quote(right, strike=str(strike), expiry=TODAY + timedelta(days=days), open_interest=None, **sides)


class TestParity:
    @pytest.mark.parametrize("rate", [-0.015, 0.0, 0.065, 0.15])
    @pytest.mark.parametrize("carry", [-0.05, 0.0, 0.12])
    def test_forward_and_rate_are_what_the_chain_says(self, rate: float, carry: float) -> None:
        forward, discount = 100 * exp(rate - carry), exp(-rate)
        chain = arrays(*(leg for k in range(90, 111) for leg in pair(k, forward, discount, 0.02)))
        result = parity(chain, TODAY)
        assert (result.strikes, len(result.broken), result.implausible) == (21, 0, [])
        assert result.rate == pytest.approx(rate, abs=1e-6)
        assert result.forwards == {TODAY + timedelta(days=365): pytest.approx(forward, abs=0.01)}

    @pytest.mark.parametrize(
        ("off", "broken"), [(0.04, False), (0.059, False), (0.061, True), (-0.059, False), (-0.061, True), (3, True)]
    )
    def test_a_strike_breaks_it_beyond_the_spreads_and_the_tolerance(self, off: float, broken: bool) -> None:
        """All others leave open 0.02 about the forward, this one 0.02 about what it says, and each 1e-4 of the spot."""
        quotes = [leg for k in range(90, 111) for leg in pair(k, 101, 0.98, 0.01, off if k == 97 else 0.0)]
        chain = arrays(*quotes)
        assert chain.places(parity(chain, TODAY).broken) == (["2027-03-02 97"] if broken else [])

    def test_it_is_the_few_that_are_broken_and_not_the_many(self) -> None:
        off = {92: 1.0, 95: 1.1, 99: -2.0, 104: 1.0, 108: 1.0}
        chain = arrays(*(leg for k in range(90, 111) for leg in pair(k, 101, 0.98, 0.01, off.get(k, 0.0))))
        result = parity(chain, TODAY)
        assert sorted(float(chain.strike[i]) for i in result.broken) == sorted(off)

    def test_wide_quotes_contradict_nothing(self) -> None:
        chain = arrays(*(leg for k in range(90, 111) for leg in pair(k, 101, 0.98, 2.0, 1.5 * (-1) ** k)))
        assert not len(parity(chain, TODAY).broken)

    def test_expiries_have_forwards_of_their_own_and_rates_within_two_points(self) -> None:
        quotes = []
        for days, rate in ((30, 0.05), (365, 0.06), (730, 0.07)):
            discount = exp(-rate * days / 365)
            quotes += [leg for k in range(90, 111) for leg in pair(k, 103, discount, 0.02, days=days)]
        assert not len(parity(arrays(*quotes), TODAY).broken)

    @pytest.mark.parametrize(("forward", "broken"), [(97.9, True), (98.1, False), (101.9, False), (102.3, True)])
    def test_a_forward_too_far_from_the_spot_breaks_all_of_its_expiry(self, forward: float, broken: bool) -> None:
        chain = arrays(*(leg for k in range(92, 109) for leg in pair(k, forward, 1.0, 0.02, days=0)))
        result = parity(chain, TODAY)
        assert (len(result.broken), result.implausible) == ((17, [TODAY]) if broken else (0, []))

    def test_three_strikes_are_too_few(self) -> None:
        chain = arrays(*(leg for k in (99, 100, 101) for leg in pair(k, 101, 0.98, 0.01, 5 if k == 100 else 0)))
        assert parity(chain, TODAY).strikes == 0

    def test_far_from_the_money_nothing_is_compared(self) -> None:
        quotes = [leg for k in range(60, 141, 5) for leg in pair(k, 101, 0.98, 0.01, 5 if abs(k - 100) > 10 else 0)]
        result = parity(arrays(*quotes), TODAY)
        assert (result.strikes, len(result.broken)) == (5, 0)

    def test_the_finding_says_what_was_measured(self) -> None:
        quotes = [leg for k in range(91, 111) for leg in pair(k, 101, 0.98, 0.01, 1.0 if k == 97 else 0.0)]
        issues = {issue.code: issue for issue in issues_of(chain_of(*quotes))}
        issue = issues["put_call_parity"]
        assert (issue.severity, issue.value, issue.details["strikes"]) == ("critical", 0.05, ["2027-03-02 97"])
        assert issue.details["rate"] == pytest.approx(0.0202, abs=1e-3)
        assert "put_call_parity" not in found(chain_of(*quotes, timestamp=None))

    def test_the_smallest_number_of_strikes_is_broken_whatever_the_order_of_the_quotes(self) -> None:
        quotes = [leg for k in range(90, 111) for leg in pair(k, 101, 0.98, 0.01, 1.0 if k in (97, 98) else 0.0)]
        order = np.random.default_rng(1).permutation(len(quotes))
        assert len(parity(arrays(*(quotes[i] for i in order)), TODAY).broken) == 2
