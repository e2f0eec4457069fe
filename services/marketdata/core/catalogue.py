"""Every quality check by its stable code: what it measures, in what unit, and from where on it is a finding."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Subject(StrEnum):
    """What a check looks at."""

    MARKET_STATE = "market_state"
    BAR = "bar"
    TICK = "tick"
    ORDER_BOOK = "order_book"
    FUNDING_RATE = "funding_rate"
    LIQUIDATION = "liquidation"
    FEED = "feed"


@dataclass(frozen=True, slots=True)
class Check:
    """A check; a band that is None is never reached by it. Where `falling`, it is reached from above."""

    code: str
    title: str
    subjects: tuple[Subject, ...]
    unit: str
    warning: float | None = None
    critical: float | None = None
    falling: bool = False


_STATE = (Subject.MARKET_STATE,)
_BAR = (Subject.BAR,)
_PRICED = (Subject.BAR, Subject.TICK, Subject.ORDER_BOOK)
_EVERY_ROW = (*_STATE, *_PRICED, Subject.FUNDING_RATE, Subject.LIQUIDATION)
_STREAM = (Subject.TICK, Subject.ORDER_BOOK)
# Liquidations come when they come, and are trades in what they say.
_TRADES = (Subject.TICK, Subject.LIQUIDATION)
_BOOK = (Subject.ORDER_BOOK,)
_FEED = (Subject.FEED,)

# Once is enough: such a check counts what it finds, and one is a finding.
_ONE = 1.0

_CHECKS = (
    Check(
        "stale_age",
        "Age of the newest event while the session is open",
        (*_STATE, *_PRICED, Subject.FUNDING_RATE),
        "seconds",
        300,
        600,
    ),
    Check("stale_content", "The same content on polls in a row", _STATE, "polls", 3, 6),
    Check("clock_frozen", "Time of events stands still while messages come", (*_STATE, *_PRICED), "seconds", 60, 300),
    Check("required_field_missing", "symbol, spot_price or timestamp is missing", _STATE, "fields", None, _ONE),
    Check(
        "optional_field_missing", "option_chain, total_call_oi or total_put_oi is missing", _STATE, "fields", _ONE, None
    ),
    Check("strikes_filtered", "Strikes that cannot be used", _STATE, "fraction of strikes", 0.70, 0.90),
    # The edges of a symbol's band are set for it, or learnt from what its spot was.
    Check("spot_below_band", "Spot below its band", _STATE, "price", falling=True),
    Check("spot_above_band", "Spot above its band", _STATE, "price"),
    Check("spot_move", "Spot against the prior close", _STATE, "fraction", 0.07, 0.10),
    Check("spot_several", "Several spot prices in one snapshot", _STATE, "prices", 2, None),
    Check("spot_zero", "A spot price of zero in a snapshot", _STATE, "prices", None, _ONE),
    Check("open_interest_negative", "Negative open interest", _STATE, "contracts", None, _ONE),
    Check("open_interest_fractional", "Open interest in no part of a lot", _STATE, "contracts", _ONE, None),
    Check("open_interest_total", "A total that is not the sum of its chain", _STATE, "fraction", 0.005, None),
    Check(
        "call_put_balance",
        "Calls against puts listed within 10 % of the money",
        _STATE,
        "fraction of the contracts",
        0.15,
        0.30,
    ),
    Check("put_call_parity", "Put-call parity broken at executable prices", _STATE, "fraction of strikes", 0.02, 0.05),
    Check("strike_monotony", "Prices not monotone in the strike", _STATE, "fraction of pairs", 0.005, 0.02),
    Check("butterfly", "Butterflies of negative price", _STATE, "fraction of triples", 0.02, 0.05),
    Check(
        "implied_volatility",
        "Implied volatility zero beside a two-sided quote, or above 200 %",
        _STATE,
        "fraction of quotes near the money",
        0.10,
        0.30,
    ),
    Check("implied_volatility_negative", "Negative implied volatility", _STATE, "contracts", None, _ONE),
    Check("last_price_far", "Last price far from the mid", _STATE, "fraction of quotes near the money", 0.01, 0.05),
    Check("quote_crossed", "Bid above ask", (*_STATE, Subject.ORDER_BOOK), "quotes", None, _ONE),
    Check("quote_locked", "Bid equal to ask", (*_STATE, Subject.ORDER_BOOK), "fraction of quotes", 0.01, None),
    Check("spread_wide", "Spread against the day's median", (*_STATE, Subject.ORDER_BOOK), "times the median", 10, 50),
    Check(
        "price_outlier",
        "Hampel identifier over 50 values",
        (*_PRICED, Subject.LIQUIDATION),
        "scaled MADs from the median",
        6,
        10,
    ),
    Check("book_unsorted", "Levels that are not best first, each price once", _BOOK, "levels", None, _ONE),
    Check("book_empty", "Books without a level on either side", _BOOK, "rows", _ONE, None),
    Check("price_limit", "Move beyond the day's price limit", _BAR, "times the limit", None, 1.0),
    Check("price_not_positive", "A price of zero or less", (*_PRICED, Subject.LIQUIDATION), "rows", None, _ONE),
    Check(
        "quantity_negative",
        "A quantity, or the price of an option, below zero",
        # Books that hold one are refused: of them it is found in the messages of their stream.
        (*_STATE, *_TRADES, Subject.ORDER_BOOK),
        "amounts",
        None,
        _ONE,
    ),
    Check("ohlc_bounds", "Open and close not within low and high", _BAR, "rows", None, _ONE),
    Check(
        "amount_volume", "Amount over volume not within low and high", _BAR, "fraction beyond low or high", 0.001, 0.05
    ),
    Check("volume_zero", "Bars in a row without volume, in session", _BAR, "bars", 3, 10),
    Check("gap", "Bars missing by the calendar", _BAR, "fraction of the expected bars", 0.001, 0.01),
    Check("outside_session", "Rows while the market is closed", _EVERY_ROW, "rows", _ONE, None),
    Check("bar_unaligned", "Bars that do not start at a whole interval", _BAR, "rows", _ONE, None),
    Check("duplicate", "Rows sent twice", _EVERY_ROW, "fraction of rows", 0.001, None),
    Check("duplicate_conflicting", "Rows of one key that say different things", _EVERY_ROW, "rows", None, _ONE),
    Check(
        "out_of_order",
        "Rows older than one before them",
        (*_TRADES, Subject.ORDER_BOOK),
        "fraction of rows",
        0.001,
        0.01,
    ),
    Check("sequence_break", "Updates missing between two of a stream, or going back", _BOOK, "updates", None, _ONE),
    Check("clock_skew", "Median of receive time less event time", _STREAM, "seconds", 0.1, 1.0),
    Check("future_timestamp", "Event after its receipt, beyond the skew", _EVERY_ROW, "seconds", 1.0, 5.0),
    Check("cross_source", "Price against the other sources", _PRICED, "basis points", 20, 100),
    Check("funding_schedule", "Funding off its schedule", (Subject.FUNDING_RATE,), "seconds", 60, 3_600),
    Check("funding_extreme", "Funding rate far from zero", (Subject.FUNDING_RATE,), "fraction a period", 0.0075, 0.03),
    Check("response_time", "95th percentile of the response time", _FEED, "milliseconds", 2_000, 5_000),
    Check("failure_rate", "Failed of the last 1,000 calls, 20 at least", _FEED, "fraction of calls", 0.10, 0.30),
    Check("row_volume", "Rows against the same slot of 20 sessions", _PRICED, "scaled MADs", 3, 6),
)

CATALOGUE: Final[Mapping[str, Check]] = MappingProxyType({check.code: check for check in _CHECKS})
