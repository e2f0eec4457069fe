"""Made option markets: what a venue would show of them, with its ticks, its noise and its illiquid corners."""

from copy import copy
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache

import numpy as np

from benchmarks.corpus.pricing import Floats, american, european
from shared.schemas.marketdata import MarketState, OptionQuote, OptionRight

# Ten in the morning in Mumbai, on a Monday.
MOMENT = datetime(2026, 3, 2, 4, 30, tzinfo=UTC)
_QUOTE = OptionQuote(expiry=MOMENT.date(), strike=Decimal(1), right=OptionRight.CALL)


@dataclass(frozen=True, slots=True)
class Market:
    """How a market is made; rates and volatilities a year, `noise` and `last_age` as fractions of the spot.

    `rate_slope` is added to the rate for each year; `spread` is half a spread at the money as a fraction of the price;
    `noise` is how far apart the moments of two quotes are; `last_age` how far the spot has moved since the last trade.
    """

    name: str
    spot: float = 25_000.0
    step: float = 100.0
    width: float = 0.16
    days: tuple[int, ...] = (1, 8, 29, 120)
    rate: float = 0.065
    rate_slope: float = 0.0
    carry: float = 0.012
    volatility: float = 0.14
    tick: float = 0.05
    spread: float = 0.006
    noise: float = 2e-6
    last_age: float = 0.0008
    untraded: float = 0.25
    is_american: bool = False
    states_volatility: bool = True


MARKETS = (
    Market("liquid index"),
    Market("index at the opening", spread=0.03, noise=8e-6, untraded=0.55, last_age=0.003),
    Market("index on an expiry day", days=(0, 7, 28), noise=4e-6),
    Market("volatile index", volatility=0.45, spread=0.015, noise=8e-6, last_age=0.004),
    Market("index with far expiries and a curve", days=(20, 200, 500), rate=0.03, rate_slope=0.01, step=250.0),
    Market("thin index", step=500.0, spread=0.04, untraded=0.7),
    Market("small chain", step=500.0, days=(15,), width=0.11),
    Market("stock", spot=750.0, step=10.0, rate=0.01, carry=0.0, volatility=0.28, noise=1e-5, states_volatility=False),
    Market(
        "cheap stock",
        spot=18.4,
        step=0.5,
        days=(12, 40, 75),
        rate=0.04,
        carry=0.03,
        volatility=0.5,
        tick=0.01,
        noise=2e-5,
    ),
    Market(
        "American stock",
        spot=120.0,
        step=2.5,
        days=(18, 80, 300),
        rate=0.045,
        carry=0.0,
        volatility=0.25,
        tick=0.01,
        is_american=True,
    ),
)


@dataclass(slots=True)
class Leg:
    """One contract; None is what the source does not send."""

    expiry: date
    strike: float
    is_call: bool
    bid: float | None
    ask: float | None
    last: float | None
    open_interest: float | None
    volatility: float | None
    quantity: float | None = 75.0

    @property
    def is_quoted(self) -> bool:
        """Return whether there is a bid and an ask."""
        return bool(self.bid and self.ask)


@dataclass(slots=True)
class Snapshot:
    """A chain that can be broken before it becomes a state; totals are summed unless they are given."""

    symbol: str
    spot: float | None
    tick: float
    legs: list[Leg]
    moment: datetime | None = MOMENT
    totals: dict[str, float | None] = field(default_factory=dict)
    spots: list[float] | None = None

    def near(self, share: float = 0.10) -> list[Leg]:
        """Return the contracts near the money."""
        spot = self.spot or 0.0
        return [leg for leg in self.legs if abs(leg.strike - spot) <= share * spot]

    def state(self) -> MarketState:
        """Return what a feed would send of it."""
        return MarketState(
            symbol=self.symbol,
            timestamp=self.moment,
            spot_price=_amount(self.spot),
            spot_prices=None if self.spots is None else [_exact(spot) for spot in self.spots],
            total_call_oi=_amount(self._total("total_call_oi", True)),
            total_put_oi=_amount(self._total("total_put_oi", False)),
            option_chain=[_quote(leg) for leg in self.legs],
        )

    def _total(self, name: str, calls: bool) -> float | None:
        if name in self.totals:
            return self.totals[name]
        return sum(leg.open_interest or 0.0 for leg in self.legs if leg.is_call is calls)


def snapshot_of(state: MarketState, tick: float) -> Snapshot:
    """Return a real state as a snapshot that can be broken."""
    legs = [
        Leg(
            quote.expiry,
            float(quote.strike),
            quote.right is OptionRight.CALL,
            _number(quote.bid),
            _number(quote.ask),
            _number(quote.last_price),
            _number(quote.open_interest),
            quote.implied_volatility,
            _number(quote.bid_quantity),
        )
        for quote in state.option_chain or []
    ]
    return Snapshot(state.symbol, _number(state.spot_price), tick, legs, state.timestamp)


def make(market: Market, rng: np.random.Generator) -> Snapshot:
    """Return a snapshot of a market in which nothing is wrong."""
    market = replace(market, spot=market.spot * float(np.exp(rng.normal(0, 0.02))))
    spot = round(market.spot / market.tick) * market.tick
    legs: list[Leg] = []
    for days in market.days:
        # Venues list far expiries by wider steps.
        step = market.step * (1 if days < 90 else 5)
        low, high = (1 - market.width) * spot, (1 + market.width) * spot
        strikes = np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step
        for is_call in (True, False):
            legs += _legs(market, spot, days, strikes, is_call, rng)
    return Snapshot("INDEX" if market.spot > 1_000 else "STOCK", spot, market.tick, legs)


def _legs(
    market: Market, spot: float, days: int, strikes: Floats, is_call: bool, rng: np.random.Generator
) -> list[Leg]:
    years = max(days, 0.25) / 365
    moneyness = np.log(strikes / spot)
    smile = market.volatility * (1 - 0.6 * moneyness + 4 * moneyness**2)
    price = american if market.is_american else european
    rate = market.rate + market.rate_slope * years
    number = len(strikes)
    at = spot * np.exp(rng.normal(0, market.noise, number))
    mid = price(at, strikes, years, rate, market.carry, smile, is_call)
    then = spot * np.exp(rng.normal(0, market.last_age, number))
    last = price(then, strikes, years, rate, market.carry, smile, is_call)
    depth = np.maximum(moneyness * (-1 if is_call else 1), 0)
    half = np.maximum(market.tick, mid * market.spread * (1 + 60 * depth) * np.exp(rng.normal(0, 0.3, number)))
    bids = np.floor((mid - half) / market.tick) * market.tick
    asks = np.ceil((mid + half) / market.tick) * market.tick
    far = np.abs(moneyness) / market.width
    untraded = rng.random(number) < market.untraded * (0.3 + far)
    # The far corners of a chain are quoted on one side, or not at all.
    silent = rng.random(number) < 0.25 * far**2
    interest = np.round(np.exp(rng.normal(7 - 2 * far, 1.5, number)))
    no_volatility = untraded | (rng.random(number) < np.where(depth > 0, 0.45, 0.015))
    # Columns as lists: taken one by one, numbers of an array are slow.
    columns = (
        np.round(strikes, 4),
        np.where(silent, 0.0, np.maximum(bids, 0.0)),
        asks,
        np.where(untraded, 0.0, np.maximum(np.round(last / market.tick) * market.tick, market.tick)),
        interest,
        np.where(no_volatility, 0.0, np.round(smile, 4)),
    )
    expiry = MOMENT.date() + timedelta(days=days)
    return [
        Leg(expiry, strike, is_call, bid, ask, last, interest, volatility if market.states_volatility else None)
        for strike, bid, ask, last, interest, volatility in zip(*(column.tolist() for column in columns), strict=True)
    ]


def _quote(leg: Leg) -> OptionQuote:
    quantity = _amount(leg.quantity)
    # These are sound, and validating them, or telling pydantic not to, would take most of the time.
    quote = copy(_QUOTE)
    quote.__dict__.update(
        expiry=leg.expiry,
        strike=_exact(leg.strike),
        right=OptionRight.CALL if leg.is_call else OptionRight.PUT,
        bid=_amount(leg.bid),
        ask=_amount(leg.ask),
        bid_quantity=quantity,
        ask_quantity=quantity,
        last_price=_amount(leg.last),
        open_interest=_amount(leg.open_interest),
        implied_volatility=leg.volatility,
    )
    return quote


# A chain says the same prices and strikes again and again.
@lru_cache(maxsize=200_000)
def _exact(value: float) -> Decimal:
    return Decimal(str(round(value, 6)))


def _amount(value: float | None) -> Decimal | None:
    return None if value is None else _exact(value)


def _number(value: Decimal | None) -> float | None:
    return None if value is None else float(value)
