"""What a state says of itself: fields, time, spot, and whether it only repeats what was said."""

from datetime import timedelta
from decimal import Decimal
from math import exp
from typing import Any

import pytest

from services.marketdata.core.chain.band import FEWEST_SPOTS, learn_band
from services.marketdata.core.chain.context import (
    EarlierState,
    StateContext,
    content_hash,
    earlier_of,
    following,
    state_id,
)
from services.marketdata.core.thresholds import Bands, Thresholds, of_symbol
from shared.schemas.base import Severity
from shared.schemas.marketdata import MarketState
from tests.unit.marketdata.chain.states import NOW, PUT, found, issues_of, quote, state

pytestmark = pytest.mark.unit
MINUTE = timedelta(minutes=1)


def test_a_sound_state_has_no_findings() -> None:
    assert found(state(), now=NOW, session_open=True) == {}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"timestamp": None}, {"required_field_missing": "critical"}),
        ({"spot_price": None}, {"required_field_missing": "critical"}),
        ({"spot_price": "0"}, {"spot_zero": "critical"}),
        ({"spot_price": "-1"}, {"spot_zero": "critical"}),
        ({"option_chain": None}, {"optional_field_missing": "warning"}),
        ({"option_chain": []}, {"optional_field_missing": "warning"}),
        ({"total_call_oi": None}, {"optional_field_missing": "warning"}),
        ({"spot_prices": ["100", "101"]}, {"spot_several": "warning"}),
        ({"spot_prices": ["100", "0"]}, {"spot_several": "warning", "spot_zero": "critical"}),
        ({"spot_prices": ["101"]}, {"spot_several": "warning"}),
        ({"spot_prices": ["100", "100.0"]}, {}),
        ({"timestamp": NOW + timedelta(seconds=0.9)}, {}),
        ({"timestamp": NOW + timedelta(seconds=1)}, {"future_timestamp": "warning"}),
        ({"timestamp": NOW + timedelta(seconds=5)}, {"future_timestamp": "critical"}),
    ],
)
def test_what_a_feed_may_get_wrong(change: dict[str, Any], expected: dict[str, str]) -> None:
    assert found(state(**change), now=NOW) == expected


def test_what_is_missing_is_named() -> None:
    (issue,) = issues_of(state(timestamp=None, spot_price=None))
    assert (issue.value, issue.threshold, issue.details) == (2, 1, {"fields": ["spot_price", "timestamp"]})


def test_a_replayed_state_has_no_future() -> None:
    assert found(state(timestamp=NOW + timedelta(days=9))) == {}


@pytest.mark.parametrize(
    ("spot", "severity"), [("93.01", None), ("106.9", None), ("107", "warning"), ("93", "warning"), ("110", "critical")]
)
def test_a_move_is_measured_from_the_prior_close_and_without_one_from_the_spot_before(
    spot: str, severity: str | None
) -> None:
    moved = state(spot_price=spot)
    assert found(moved, prior_close=Decimal(100)).get("spot_move") == severity
    assert found(moved, earlier=EarlierState(Decimal(100), "")).get("spot_move") == severity
    assert found(moved, earlier=EarlierState(Decimal(1), ""), prior_close=Decimal(spot)) == {}
    assert found(moved, prior_close=Decimal(0)) == {}


def at(spot: str) -> MarketState:
    return state(spot_price=spot, option_chain=[quote(strike=spot), quote(PUT, strike=spot)])


@pytest.mark.parametrize(("spot", "codes"), [("9999.95", "spot_below_band"), ("10000", "spot_below_band")])
def test_what_lies_at_or_below_a_band_that_was_set(spot: str, codes: str) -> None:
    assert found(at(spot), thresholds=of_symbol("NIFTY")) == {codes: "critical"}


@pytest.mark.parametrize(("spot", "codes"), [("10000.05", set()), ("29999.95", set()), ("30000", {"spot_above_band"})])
def test_the_band_of_nifty(spot: str, codes: set[str]) -> None:
    assert set(found(at(spot), thresholds=of_symbol("NIFTY"))) == codes
    assert found(at(spot)) == {}


class TestLearntBand:
    def test_too_few_spots_teach_nothing(self) -> None:
        assert learn_band([100.0] * (FEWEST_SPOTS - 1)) == {}
        assert learn_band([100.0] * (FEWEST_SPOTS - 1) + [0.0]) == {}

    def test_a_calm_symbol_has_a_band_of_a_fifth_beyond_what_was(self) -> None:
        band = learn_band([100.0, 110.0] * 5 + [110.0] * 30)
        assert band == {
            "spot_below_band": Bands(None, pytest.approx(100 / 1.2)),
            "spot_above_band": Bands(None, pytest.approx(110 * 1.2)),
        }

    def test_the_wilder_the_symbol_the_wider_the_band(self) -> None:
        spots = [100.0, 100 * exp(0.01)] * 30 + [100.0]
        beyond = 10 * 1.4826 * 0.01 * 21**0.5
        assert learn_band(spots) == {
            "spot_below_band": Bands(None, pytest.approx(100 * exp(-beyond))),
            "spot_above_band": Bands(None, pytest.approx(100 * exp(0.01 + beyond))),
        }
        # One jump among many calm days is none of its ways.
        jumped = learn_band([100.0] * 30 + [140.0] * 30)
        assert jumped["spot_above_band"] == Bands(None, pytest.approx(140 * 1.2))

    def test_it_is_what_thresholds_take(self) -> None:
        learnt = Thresholds(learn_band([100.0] * 30))
        assert found(at("84"), thresholds=learnt) == {}
        assert found(at("83"), thresholds=learnt) == {"spot_below_band": "critical"}


class TestStaleContent:
    @pytest.mark.parametrize(("polls", "severity"), [(1, None), (2, "warning"), (4, "warning"), (5, "critical")])
    def test_polls_in_a_row_with_this_one(self, polls: int, severity: str | None) -> None:
        earlier = EarlierState(Decimal(100), content_hash(state()), polls)
        assert found(state(), earlier=earlier).get("stale_content") == severity
        assert found(state(), earlier=earlier, session_open=True).get("stale_content") == severity

    def test_a_closed_market_repeats_itself(self) -> None:
        earlier = EarlierState(Decimal(100), content_hash(state()), 9, NOW - timedelta(days=1))
        assert found(state(), earlier=earlier, session_open=False) == {"outside_session": "warning"}

    def test_other_content_begins_again(self) -> None:
        assert found(state(), earlier=EarlierState(Decimal(100), "other", 9, NOW - timedelta(days=1))) == {}

    @pytest.mark.parametrize(("seconds", "severity"), [(299, None), (300, "warning"), (600, "critical")])
    def test_it_is_as_old_as_when_it_was_first_said(self, seconds: float, severity: str | None) -> None:
        earlier = EarlierState(Decimal(100), content_hash(state()), 1, NOW - timedelta(seconds=seconds))
        assert found(state(), earlier=earlier, session_open=True).get("stale_age") == severity
        assert "stale_age" not in found(state(), earlier=earlier)
        assert "stale_age" not in found(state(), earlier=earlier, session_open=False)

    def test_a_run_is_carried_from_poll_to_poll_and_starts_anew_with_the_session(self) -> None:
        earlier: EarlierState | None = None
        runs = []
        for minute, is_open in enumerate([True, True, False, False, True, True, True]):
            polled = state(timestamp=NOW + minute * MINUTE)
            context = StateContext(content_hash(polled), earlier, session_open=is_open)
            earlier = following(polled, context, Severity.OK)
            runs.append((earlier.polls, earlier.since))
        assert [polls for polls, _ in runs] == [1, 2, 0, 0, 1, 2, 3]
        assert runs[-1][1] == NOW + 4 * MINUTE

    def test_a_spot_that_cannot_be_trusted_is_not_what_the_next_is_compared_with(self) -> None:
        context = StateContext("x", EarlierState(Decimal(90), "x", 5, NOW))
        kept = following(state(), context, Severity.CRITICAL)
        assert kept == EarlierState(Decimal(90), "x", 6, NOW)
        assert following(state(), StateContext("x"), Severity.CRITICAL).spot_price is None

    def test_what_is_stored_says_how_long_the_run_is(self) -> None:
        ok, critical = Severity.OK, Severity.CRITICAL
        polls = [(Decimal(100 - i), "ab"[i > 2], NOW - i * MINUTE, critical if i < 2 else ok) for i in range(5)]
        assert earlier_of(polls) == EarlierState(Decimal(98), "a", 3, NOW - 2 * MINUTE)
        assert earlier_of(polls[:1]) == EarlierState(None, "a", 1, NOW)
        assert earlier_of([]) is None
        # Closed until a minute and a half before: the run began with the first poll after.
        opened = NOW - 1.5 * MINUTE
        assert earlier_of(polls, lambda moment: moment >= opened) == EarlierState(Decimal(98), "a", 2, NOW - MINUTE)
        assert earlier_of(polls, lambda moment: False) == EarlierState(Decimal(98), "a", 0, NOW)


def test_the_id_tells_source_scope_time_and_content_apart() -> None:
    base = state()
    content = content_hash(base)
    ids = {
        state_id("a", None, base, content),
        state_id("b", None, base, content),
        state_id("a", "sim", base, content),
        state_id("a", None, state(timestamp=None), content),
        state_id("a", None, base, content_hash(state(spot_price="101"))),
        state_id("a", None, base, content_hash(state(spot_prices=["100", "101"]))),
    }
    assert len(ids) == 6
    assert state_id("a", None, state(), content) in ids
    assert content_hash(state(spot_prices=[])) == content
