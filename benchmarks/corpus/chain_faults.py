"""Faults of option chains, of many sizes, on both sides of the bands."""

from dataclasses import dataclass, replace
from typing import Final

from benchmarks.corpus import breaking
from benchmarks.corpus.breaking import Breaking
from benchmarks.corpus.market import MARKETS, Leg, Market

_INDEX, _OPENING, _EXPIRY, _VOLATILE, _FAR, _THIN, _SMALL, _STOCK, _CHEAP, _AMERICAN = MARKETS
# Quotes that contradict each other do so in more than one way.
_PRICES: Final = frozenset({"put_call_parity", "strike_monotony", "butterfly", "last_price_far"})


@dataclass(frozen=True, slots=True)
class Fault:
    """A way to break a chain, the shares to break of it, and from which on that is a fault of `check`."""

    check: str
    title: str
    breaks: Breaking
    shares: tuple[float, ...]
    from_share: float = 0.0
    tolerated: frozenset[str] = frozenset()
    markets: tuple[Market, ...] = (_INDEX, _OPENING, _EXPIRY, _VOLATILE, _FAR, _STOCK, _CHEAP, _AMERICAN)
    on_real: bool = True
    session_open: bool | None = True
    knows_spreads: bool = False


def _scaled(leg: Leg) -> Leg:
    return replace(leg, open_interest=round((leg.open_interest or 0.0) * 1.0371, 2))


def _restated(leg: Leg) -> Leg:
    return replace(leg, open_interest=(leg.open_interest or 0.0) / 3)


def _mean_of_two_polls(leg: Leg) -> Leg:
    # Up to six more or fewer contracts were open at the other one.
    interest = leg.open_interest or 0.0
    return replace(leg, open_interest=max((2 * interest + int(interest) % 13 - 6) / 2, 0.0))


NEVER: Final = 9.0
_QUOTED: Final = (_INDEX, _OPENING, _VOLATILE, _STOCK)
_LARGE: Final = (_INDEX, _OPENING, _EXPIRY, _VOLATILE)


def _crossed(leg: Leg) -> Leg:
    return replace(leg, bid=leg.ask, ask=leg.bid)


def _locked(leg: Leg) -> Leg:
    return replace(leg, ask=leg.bid)


def _a_third_more(leg: Leg) -> Leg:
    return replace(leg, open_interest=round((leg.open_interest or 0.0) + 1 / 3, 10))


FAULTS: Final = (
    *(
        Fault(
            "put_call_parity",
            f"calls mispriced by {size:g} times the width of the pair",
            breaking.mispriced_pairs(size),
            (0.004, 0.012, 0.03, 0.06, 0.15),
            0.02,
            _PRICES,
        )
        for size in (0.6, 1.2, 3, 10)
    ),
    *(
        Fault(
            "put_call_parity",
            f"calls of one expiry left behind by {by:.1%}",
            breaking.frozen_calls(by),
            (1.0,),
            0,
            _PRICES,
        )
        for by in (0.002, 0.005, 0.02)
    ),
    *(
        Fault(
            "put_call_parity",
            f"spot {by:+.1%} away from its chain",
            breaking.moved_spot(by),
            (1.0,),
            0,
            frozenset({"call_put_balance", "implied_volatility", "last_price_far"}),
            (_INDEX, _VOLATILE, _STOCK),
        )
        for by in (-0.05, -0.03, -0.015, 0.03, 0.05)
    ),
    Fault("put_call_parity", "a block of calls shifted by one strike", breaking.stale_block, (1.0,), 0, _PRICES),
    Fault(
        "strike_monotony",
        "quotes of neighbours swapped",
        breaking.swapped_neighbours,
        (0.002, 0.01, 0.02, 0.05),
        0.005,
        _PRICES,
    ),
    *(
        Fault(
            "butterfly",
            f"bid {size:g} spreads above the wings",
            breaking.raised_middles(size),
            (0.008, 0.014, 0.03, 0.06, 0.12),
            0.02,
            _PRICES,
        )
        for size in (0.1, 0.5, 3)
    ),
    Fault(
        "implied_volatility",
        "volatility lost",
        breaking.without_volatility,
        (0.04, 0.07, 0.09, 0.11, 0.13, 0.2, 0.9),
        0.10,
        markets=_LARGE,
        on_real=False,
    ),
    Fault(
        "implied_volatility",
        "volatility in percent",
        breaking.in_percent,
        (1.0,),
        markets=(*_LARGE, _THIN),
        on_real=False,
    ),
    *(
        Fault(
            "last_price_far",
            f"last prices times {by:g}",
            breaking.scaled_last(by),
            (0.003, 0.007, 0.015, 0.04, 0.1),
            0.01,
        )
        for by in (100, 0.01)
    ),
    Fault("quote_crossed", "bid and ask swapped", breaking.on_quoted(_crossed), (1e-9, 0.01), 0, _PRICES),
    Fault(
        "quote_crossed",
        "bid and ask swapped before the opening",
        breaking.on_quoted(_crossed),
        (0.05,),
        NEVER,
        frozenset({"outside_session"}),
        session_open=False,
    ),
    Fault("quote_locked", "bid equal to ask", breaking.on_quoted(_locked), (0.004, 0.012, 0.03, 0.2), 0.01, _PRICES),
    Fault(
        "strikes_filtered",
        "strikes without a price",
        breaking.unpriced_strikes,
        (0.3, 0.6, 0.68, 0.72, 0.85, 0.95),
        0.70,
    ),
    *(
        Fault(
            "call_put_balance",
            f"calls near the money gone, {share:.0%} out of balance",
            breaking.missing_calls(share),
            (1.0,),
            0.15,
            markets=(*_LARGE, _THIN),
        )
        for share in (0.05, 0.10, 0.14, 0.16, 0.25, 0.60)
    ),
    *(
        Fault(
            "spread_wide",
            f"spreads {times:g} times as wide",
            breaking.wider(times),
            (1.0,),
            0 if times >= 10 else NEVER,
            markets=(_INDEX, _STOCK, _OPENING, _VOLATILE),
            on_real=False,
            knows_spreads=True,
        )
        for times in (1, 3, 7, 9, 12, 30, 200)
    ),
    Fault(
        "open_interest_negative",
        "negative open interest",
        breaking.on_any(lambda leg: replace(leg, open_interest=-1.0)),
        (1e-9, 0.02),
    ),
    Fault("open_interest_fractional", "a third of a lot too much", breaking.on_any(_a_third_more), (1e-9, 0.04)),
    Fault(
        "quantity_negative", "a negative quantity", breaking.on_any(lambda leg: replace(leg, quantity=-75.0)), (1e-9,)
    ),
    Fault("quantity_negative", "a negative last price", breaking.on_any(lambda leg: replace(leg, last=-0.05)), (1e-9,)),
    Fault(
        "implied_volatility_negative",
        "a negative volatility",
        breaking.on_any(lambda leg: replace(leg, volatility=-0.1)),
        (1e-9, 0.02),
    ),
    Fault(
        "duplicate", "contracts listed twice", breaking.repeated(), (1e-9, 0.02), 0, frozenset({"open_interest_total"})
    ),
    Fault(
        "duplicate_conflicting",
        "contracts listed again with another open interest",
        breaking.repeated(lambda leg: replace(leg, open_interest=(leg.open_interest or 0.0) + 1)),
        (1e-9, 0.02),
        0,
        frozenset({"duplicate", "open_interest_total"}),
    ),
    Fault("open_interest_fractional", "scaled by 1.0371", breaking.on_any(_scaled), (1e-9, 0.04, 1.0)),
    Fault(
        "open_interest_fractional",
        "the mean of two polls",
        breaking.on_any(_mean_of_two_polls),
        (0.02, 0.5),
        on_real=False,
    ),
    Fault(
        "open_interest_fractional",
        "far expiries restated in lots three times as large",
        breaking.on_far_expiries(_restated),
        (0.6,),
        NEVER,
        frozenset({"open_interest_total"}),
    ),
)
