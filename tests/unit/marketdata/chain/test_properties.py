"""What holds of any state, of any sound market, and of any fault put into one."""

from dataclasses import replace
from datetime import UTC, date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.corpus import breaking
from benchmarks.corpus.breaking import Breaking
from benchmarks.corpus.market import Market, Snapshot, make
from services.marketdata.core.chain.context import EarlierState, StateContext
from services.marketdata.core.chain.judge import judge_state
from services.marketdata.core.finding import severity_of
from services.marketdata.core.thresholds import of_symbol
from shared.schemas.base import Severity
from shared.schemas.marketdata import MarketState, OptionQuote, OptionRight

pytestmark = pytest.mark.unit

amounts = st.decimals(min_value=-(10**17), max_value=10**17, places=10)
# Chains in which something can be compared: few strikes, so that quotes meet.
small = st.decimals(min_value=-1, max_value=20, places=2)
optional = st.none() | amounts | small
moments = st.datetimes(timezones=st.just(UTC))
real = st.floats(allow_nan=False, allow_infinity=False)
quotes = st.builds(
    OptionQuote,
    expiry=st.dates() | st.sampled_from([date(2026, 3, 26), date(2026, 4, 30)]),
    strike=amounts.map(lambda value: abs(value) + 1) | st.integers(95, 105),
    right=st.sampled_from(OptionRight),
    bid=optional,
    ask=optional,
    bid_quantity=optional,
    ask_quantity=optional,
    open_interest=optional,
    last_price=optional,
    implied_volatility=st.none() | real,
)
states = st.builds(
    MarketState,
    symbol=st.just("X"),
    timestamp=st.none() | moments,
    spot_price=optional | st.just(100),
    spot_prices=st.none() | st.lists(amounts, max_size=3),
    total_call_oi=optional,
    total_put_oi=optional,
    option_chain=st.none() | st.lists(quotes, max_size=24),
)
contexts = st.builds(
    StateContext,
    content_hash=st.sampled_from(["a", "b"]),
    earlier=st.none()
    | st.builds(
        EarlierState,
        spot_price=optional,
        content_hash=st.just("a"),
        polls=st.integers(0, 9),
        since=st.none() | moments,
    ),
    now=st.none() | moments,
    prior_close=optional,
    session_open=st.none() | st.booleans(),
    median_spread=st.none() | real,
    thresholds=st.sampled_from([of_symbol("NIFTY"), of_symbol("X")]),
)


@settings(max_examples=300, deadline=None)
@given(states, contexts)
def test_no_state_makes_the_judge_fail(judged: MarketState, context: StateContext) -> None:
    issues = judge_state(judged, context)
    assert severity_of(issues) in Severity
    assert len({issue.code for issue in issues}) == len(issues)
    assert all(issue.value is not None and issue.value == issue.value for issue in issues)
    # What is stored and sent is JSON, which has no infinity.
    assert "Infinity" not in "".join(issue.model_dump_json() for issue in issues)


@st.composite
def markets(draw: st.DrawFn, widest: float = 0.2) -> tuple[Market, int]:
    """Draw a market of Black and Scholes without a fault: any spot, volatility, rate, carry, expiries and spreads."""
    spot = draw(st.floats(20, 90_000))
    return Market(
        "any",
        spot=spot,
        step=spot / draw(st.sampled_from([20, 50, 80])),
        width=0.13,
        days=tuple(draw(st.lists(st.integers(0, 700), min_size=1, max_size=3, unique=True))),
        rate=draw(st.floats(-0.02, 0.15)),
        carry=draw(st.floats(-0.05, 0.10)),
        volatility=draw(st.floats(0.04, 1.5)),
        tick=spot * draw(st.sampled_from([1e-6, 2e-5, 1e-4])),
        spread=draw(st.floats(0.0005, widest)),
        noise=0.0,
        last_age=draw(st.floats(0, 0.004)),
        untraded=draw(st.floats(0, 1)),
        states_volatility=False,
    ), draw(st.integers(0, 2**32 - 1))


def judged(snapshot: Snapshot) -> set[str]:
    return {issue.code for issue in judge_state(snapshot.state(), StateContext("a", session_open=True))}


@settings(max_examples=150, deadline=None)
@given(markets())
def test_a_sound_market_gives_no_finding_whatever_it_is_like(drawn: tuple[Market, int]) -> None:
    market, seed = drawn
    assert judged(make(market, np.random.default_rng(seed))) == set()


FAULTS: list[tuple[str, Breaking, float]] = [
    ("put_call_parity", breaking.mispriced_pairs(5), 0.3),
    ("put_call_parity", breaking.moved_spot(0.06), 1),
    ("strikes_filtered", breaking.moved_spot(0.3), 1),
    ("butterfly", breaking.raised_middles(2), 0.08),
    ("quote_crossed", breaking.on_quoted(lambda leg: replace(leg, bid=(leg.ask or 0) + 1)), 1e-9),
    ("quote_locked", breaking.on_quoted(lambda leg: replace(leg, ask=leg.bid)), 0.02),
    ("quantity_negative", breaking.on_any(lambda leg: replace(leg, quantity=-1.0)), 1e-9),
    ("open_interest_negative", breaking.on_any(lambda leg: replace(leg, open_interest=-1.0)), 1e-9),
    ("open_interest_fractional", breaking.on_any(lambda leg: replace(leg, open_interest=2.5)), 1e-9),
    ("strikes_filtered", breaking.unpriced_strikes, 0.71),
    ("call_put_balance", breaking.missing_calls(0.2), 1),
    ("duplicate", breaking.repeated(), 1e-9),
    ("duplicate_conflicting", breaking.repeated(lambda leg: replace(leg, open_interest=1e6)), 1e-9),
    ("implied_volatility_negative", breaking.on_any(lambda leg: replace(leg, volatility=-0.2)), 1e-9),
]


@pytest.mark.parametrize(("code", "breaks", "share"), FAULTS)
@settings(max_examples=25, deadline=None)
@given(drawn=markets(widest=0.01))
def test_a_fault_put_into_it_is_found(code: str, breaks: Breaking, share: float, drawn: tuple[Market, int]) -> None:
    market, seed = drawn
    # Volatilities at which a chain near the money is quoted throughout, and expiries of enough strikes.
    days = (min(max(market.days[0], 5), 20),)
    market = replace(market, volatility=max(market.volatility, 0.3), days=days, step=market.spot / 80)
    # Less than a basis point of the spot is no fault.
    market = replace(market, tick=max(market.tick, market.spot * 1e-4))
    rng = np.random.default_rng(seed)
    snapshot = make(market, rng)
    breaks(snapshot, share, rng)
    assert code in judged(snapshot)
