"""An option chain as arrays, built once for all its checks."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.schemas.marketdata import OptionQuote, OptionRight

Floats = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

# What lies within this share of the spot is near the money.
NEAR_THE_MONEY = 0.10
# A finding names no more of what it found.
MOST_NAMED = 10

_AMOUNTS = ("strike", "bid", "ask", "bid_quantity", "ask_quantity", "last_price", "open_interest", "implied_volatility")
_NAN = float("nan")


@dataclass(frozen=True, slots=True)
class Chain:
    """The quotes of a chain in the order they came, NaN where a field was not sent.

    `expiry` is the ordinal of the date; `place` numbers expiry and strike, so that a call and a put of one place are
    a pair; `is_quoted` says that bid and ask are there and not crossed; `is_near` that the strike is near the money,
    False everywhere where `spot` is not known (NaN).
    """

    quotes: Sequence[OptionQuote]
    spot: float
    expiry: Whole
    is_call: Flags
    place: Whole
    strike: Floats
    bid: Floats
    ask: Floats
    bid_quantity: Floats
    ask_quantity: Floats
    last_price: Floats
    open_interest: Floats
    implied_volatility: Floats
    has_both_sides: Flags
    is_quoted: Flags
    is_near: Flags

    @property
    def mid(self) -> Floats:
        """Return the middle of bid and ask."""
        return (self.bid + self.ask) / 2

    def named(self, indices: Iterable[int]) -> list[str]:
        """Return the names of the first few contracts, as expiry, strike and right."""
        chosen = [self.quotes[index] for index in list(indices)[:MOST_NAMED]]
        return [f"{quote.expiry} {quote.strike} {quote.right.value}" for quote in chosen]

    def places(self, indices: Iterable[int]) -> list[str]:
        """Return the names of the first few places, as expiry and strike."""
        chosen = [self.quotes[index] for index in list(indices)[:MOST_NAMED]]
        return [f"{quote.expiry} {quote.strike}" for quote in chosen]


def arrays_of(quotes: Sequence[OptionQuote], spot: float | None) -> Chain:
    """Return a chain as arrays; a spot of zero or less is as good as none."""
    # The attributes of a contract are slow to get one by one, and 1,500 quotes have 15,000 of them.
    fields = [quote.__dict__ for quote in quotes]
    amounts = {name: _floats(fields, name) for name in _AMOUNTS}
    days = _ordinals([quote["expiry"] for quote in fields])
    bid, ask, strike = amounts["bid"], amounts["ask"], amounts["strike"]
    known = _NAN if spot is None or spot <= 0 else spot
    has_both_sides = (bid > 0) & (ask > 0)
    call = OptionRight.CALL
    return Chain(
        quotes=quotes,
        spot=known,
        expiry=days,
        is_call=np.fromiter([quote["right"] is call for quote in fields], np.bool_, len(quotes)),
        place=_places(days, strike),
        has_both_sides=has_both_sides,
        is_quoted=has_both_sides & (bid <= ask),
        # A strike just at the edge is within it, whatever its last digit is.
        is_near=np.abs(strike / known - 1) <= NEAR_THE_MONEY + 1e-9,
        **amounts,
    )


def _floats(fields: Sequence[dict[str, Any]], name: str) -> Floats:
    get = itemgetter(name)
    try:
        return np.fromiter(map(float, map(get, fields)), np.float64, len(fields))
    except TypeError:
        known = [_NAN if value is None else value for value in map(get, fields)]
        return np.fromiter(map(float, known), np.float64, len(fields))


def _ordinals(expiries: Sequence[date]) -> Whole:
    return np.fromiter(map(date.toordinal, expiries), np.int64, len(expiries))


def _places(days: Whole, strike: Floats) -> Whole:
    ranks: Whole = np.unique(strike, return_inverse=True)[1].astype(np.int64)
    return days * (len(strike) + 1) + ranks
