from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.marketdata.core.bars import Earlier, judge_bar
from services.marketdata.core.finding import severity_of
from services.marketdata.core.states import EarlierState, content_hash, judge_state, state_id
from shared.schemas.base import Severity
from shared.schemas.marketdata import Bar, MarketState, OptionQuote, OptionRight, QualityIssue

pytestmark = pytest.mark.unit
NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)


def bar(**changes: Any) -> Bar:
    values = {"symbol": "X", "interval": "1m", "ts": NOW - timedelta(minutes=1), "volume": "5"}
    return Bar.model_validate({**values, "open": "10", "high": "12", "low": "9", "close": "11", **changes})


def quote(right: OptionRight = OptionRight.CALL, **changes: Any) -> OptionQuote:
    return OptionQuote.model_validate(
        {"expiry": date(2026, 3, 26), "strike": "100", "right": right, "open_interest": "10", **changes}
    )


def state(**changes: Any) -> MarketState:
    values = {"symbol": "X", "timestamp": NOW, "spot_price": "100", "total_call_oi": "10", "total_put_oi": "10"}
    chain = [quote(), quote(OptionRight.PUT)]
    return MarketState.model_validate({**values, "option_chain": chain, **changes})


def found(issues: list[QualityIssue]) -> dict[str, str]:
    return {issue.code: issue.severity.value for issue in issues}


def bar_findings(now: datetime | None = NOW, earlier: Earlier | None = None, **changes: Any) -> dict[str, str]:
    return found(judge_bar(bar(**changes), earlier, now))


def state_findings(now: datetime | None = NOW, earlier: EarlierState | None = None, **changes: Any) -> dict[str, str]:
    judged = state(**changes)
    return found(judge_state(judged, content_hash(judged), earlier, now))


class TestBars:
    def test_a_sound_bar_has_no_findings(self) -> None:
        assert bar_findings() == {}

    @pytest.mark.parametrize("change", [{"high": "10.99"}, {"low": "10.01"}, {"close": "12.01"}, {"open": "8.99"}])
    def test_open_and_close_must_lie_within_low_and_high(self, change: dict[str, str]) -> None:
        assert bar_findings(**change) == {"ohlc_bounds": "critical"}

    def test_open_and_close_may_be_the_extremes(self) -> None:
        assert bar_findings(open="9", close="12") == {}

    @pytest.mark.parametrize("price", ["0", "-1"])
    def test_prices_are_positive(self, price: str) -> None:
        assert bar_findings(low=price)["price_not_positive"] == "critical"

    @pytest.mark.parametrize(
        ("before", "severity"), [("10.01", None), ("10", "warning"), ("7.34", "warning"), ("7.33", "critical")]
    )
    def test_a_jump_from_the_close_before(self, before: str, severity: str | None) -> None:
        earlier = Earlier(NOW, Decimal(before), Decimal(1))
        assert bar_findings(earlier=earlier).get("price_jump") == severity

    def test_a_price_that_moved_without_trades_where_there_were_some(self) -> None:
        assert bar_findings(earlier=Earlier(NOW, Decimal(11), Decimal(3)), volume="0") == {"volume_vanished": "warning"}
        assert bar_findings(earlier=Earlier(NOW, Decimal(11), Decimal(0)), volume="0") == {}
        assert bar_findings(volume="0") == {}

    def test_a_start_between_two_minutes(self) -> None:
        assert bar_findings(ts=NOW - timedelta(seconds=90)) == {"unaligned": "warning"}
        assert bar_findings(ts=NOW - timedelta(days=2, minutes=330), interval="1d") == {}

    @pytest.mark.parametrize(
        ("seconds", "severity"), [(0, None), (0.9, None), (1, "warning"), (4.9, "warning"), (5, "critical")]
    )
    def test_an_end_in_the_future(self, seconds: float, severity: str | None) -> None:
        now = NOW - timedelta(seconds=seconds)
        assert bar_findings(now=now).get("future_timestamp") == severity

    def test_a_replayed_bar_has_no_future(self) -> None:
        assert bar_findings(now=None, ts=NOW + timedelta(days=9)) == {}


class TestStates:
    def test_a_sound_state_has_no_findings(self) -> None:
        assert state_findings() == {}

    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            ({"timestamp": None}, {"timestamp_missing": "critical"}),
            ({"spot_price": None}, {"spot_missing": "critical"}),
            ({"spot_price": "0"}, {"spot_not_positive": "critical"}),
            ({"option_chain": None}, {"option_chain_missing": "warning"}),
            ({"option_chain": []}, {"option_chain_missing": "warning"}),
            ({"total_call_oi": None}, {"total_open_interest_missing": "warning"}),
            ({"total_put_oi": "10.06"}, {"total_open_interest_differs": "warning"}),
            ({"total_put_oi": "10.04"}, {}),
            ({"timestamp": NOW + timedelta(seconds=6)}, {"future_timestamp": "critical"}),
        ],
    )
    def test_what_a_feed_may_fail_to_send(self, change: dict[str, Any], expected: dict[str, str]) -> None:
        assert state_findings(**change) == expected

    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            ({"open_interest": "-1"}, "negative_amount"),
            ({"bid": "-1"}, "negative_amount"),
            ({"open_interest": "10.5"}, "fractional_open_interest"),
            ({"bid": "2", "ask": "1.99"}, "crossed_quotes"),
        ],
    )
    def test_what_a_quote_may_get_wrong(self, change: dict[str, str], expected: str) -> None:
        assert expected in state_findings(option_chain=[quote(**change), quote(OptionRight.PUT)])

    @pytest.mark.parametrize(
        ("volatility", "severity"), [(-5.0, "critical"), (-1e-9, "critical"), (0.0, None), (3.5, None)]
    )
    def test_a_negative_volatility_is_no_volatility(self, volatility: float, severity: str | None) -> None:
        chain = [quote(implied_volatility=volatility), quote(OptionRight.PUT)]
        assert state_findings(option_chain=chain).get("negative_volatility") == severity

    def test_a_contract_is_quoted_once(self) -> None:
        twice = [quote(open_interest="5"), quote(open_interest="5.0"), quote(OptionRight.PUT)]
        assert state_findings(option_chain=twice) == {"contract_repeated": "warning"}
        differing = [quote(open_interest="4"), quote(open_interest="6"), quote(OptionRight.PUT)]
        assert state_findings(option_chain=differing) == {"contract_contradicts": "critical"}
        others = [quote(open_interest="5"), quote(open_interest="5", strike="101"), quote(OptionRight.PUT)]
        assert state_findings(option_chain=others) == {}

    @pytest.mark.parametrize("change", [{"bid": "2", "ask": "2"}, {"bid": "2", "ask": "0"}, {"bid": "2"}])
    def test_locked_and_one_sided_quotes_are_not_crossed(self, change: dict[str, str]) -> None:
        assert state_findings(option_chain=[quote(**change), quote(OptionRight.PUT)]) == {}

    @pytest.mark.parametrize(("spot", "severity"), [("106.9", None), ("107", "warning"), ("110", "critical")])
    def test_a_move_from_the_spot_before(self, spot: str, severity: str | None) -> None:
        earlier = EarlierState(Decimal(100), "")
        assert state_findings(earlier=earlier, spot_price=spot).get("spot_move") == severity

    def test_content_that_says_again_what_was_said(self) -> None:
        earlier = EarlierState(Decimal(100), content_hash(state(timestamp=NOW - timedelta(minutes=1))))
        assert state_findings(earlier=earlier) == {"stale_content": "warning"}

    def test_the_id_tells_source_scope_time_and_content_apart(self) -> None:
        base = state()
        content = content_hash(base)
        ids = {
            state_id("a", None, base, content),
            state_id("b", None, base, content),
            state_id("a", "sim", base, content),
            state_id("a", None, state(timestamp=None), content),
            state_id("a", None, base, content_hash(state(spot_price="101"))),
        }
        assert len(ids) == 5
        assert state_id("a", None, state(), content) in ids


amounts = st.decimals(min_value=-(10**17), max_value=10**17, places=10)
moments = st.datetimes(timezones=st.just(UTC))


@given(
    st.builds(
        Bar,
        symbol=st.just("X"),
        interval=st.sampled_from(["1m", "5m", "15m", "1h", "1d"]),
        ts=moments,
        open=amounts,
        high=amounts,
        low=amounts,
        close=amounts,
        volume=amounts.map(abs),
    ),
    st.none() | st.builds(Earlier, ts=moments, close=amounts, volume=amounts.map(abs)),
    st.none() | moments,
)
def test_no_bar_makes_the_judge_fail(judged: Bar, earlier: Earlier | None, now: datetime | None) -> None:
    assert severity_of(judge_bar(judged, earlier, now)) in Severity


optional = st.none() | amounts
quotes = st.builds(
    OptionQuote,
    expiry=st.dates(),
    strike=amounts.map(lambda value: abs(value) + 1),
    right=st.sampled_from(OptionRight),
    bid=optional,
    ask=optional,
    open_interest=optional,
    last_price=optional,
    implied_volatility=st.none() | st.floats(allow_nan=False, allow_infinity=False),
)


@given(
    st.builds(
        MarketState,
        symbol=st.just("X"),
        timestamp=st.none() | moments,
        spot_price=optional,
        total_call_oi=optional,
        total_put_oi=optional,
        option_chain=st.none() | st.lists(quotes, max_size=4),
    ),
    st.none() | st.builds(EarlierState, spot_price=optional, content_hash=st.just("")),
    st.none() | moments,
)
def test_no_state_makes_the_judge_fail(judged: MarketState, earlier: EarlierState | None, now: datetime | None) -> None:
    assert severity_of(judge_state(judged, content_hash(judged), earlier, now)) in Severity
