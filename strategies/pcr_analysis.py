"""Put/call open-interest ratio of an option chain, traded in its underlying.

The ratio is that of the strikes near the money: each contract's open interest counts with the weight
exp(-(ln(strike/spot)/width)^2 / 2). Far strikes, of which chains list many more puts than calls, do not tilt it, and it
moves both when open interest does and when the spot walks through the strikes. Where open interest is
published once a day, as for US options, only the second happens within the day.
"""

import math
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from shared.schemas.marketdata import MarketState, OptionQuote, OptionRight
from shared.schemas.orders import Side
from strategies.features import ChainView, Ewma, PriceFeatures, bounded, signal_features
from strategies.signal import NoSignal, Signal

STRATEGY_ID = "pcr_analysis"


@dataclass(frozen=True, slots=True)
class PcrParameters:
    """Spans in states; thresholds in standard deviations of the log ratio; at least `contracts` on each side."""

    fast: int = 10
    slow: int = 30
    enter: float = 1.25
    rearm: float = 0.5
    width: float = 0.01
    contracts: int = 4


@dataclass(frozen=True, slots=True)
class NearTheMoney:
    """The log of put over call open interest, and the mean log moneyness of both in widths."""

    log_ratio: float
    skew: float


class PcrAnalysis:
    """Against the crowd at extremes: long when puts are unusually heavy and still gaining, short the other way.

    After a signal the same side is off until the ratio has come back to within `rearm` of its mean.
    One instance sees the states of one symbol, in order.
    """

    def __init__(self, parameters: PcrParameters | None = None) -> None:
        self._parameters = parameters or PcrParameters()
        self._prices = PriceFeatures(self._parameters.fast, self._parameters.slow)
        self._ratio = Ewma(self._parameters.slow)
        self._last_ratio: float | None = None
        self._last_chain: tuple[Decimal, list[OptionQuote]] | None = None
        self._spent: Side | None = None

    def on_state(self, state: MarketState, market_state_id: str | None = None) -> Signal | NoSignal:
        """Take a state; the signal, if any, is dated at the state's moment."""
        moment, spot, chain = state.timestamp, state.spot_price, state.option_chain
        if moment is None:
            return NoSignal("the state has no timestamp")
        if spot is None or spot <= 0:
            return NoSignal("no spot price")
        if not chain:
            return NoSignal("no option chain")
        if self._last_chain == (spot, chain):
            return NoSignal("the chain is the one before")
        self._last_chain = (spot, chain)
        near = near_the_money(chain, float(spot), self._parameters)
        if isinstance(near, NoSignal):
            return near
        return self._judge(state.symbol, moment, spot, near, market_state_id)

    def _judge(
        self, symbol: str, moment: datetime, spot: Decimal, near: NearTheMoney, market_state_id: str | None
    ) -> Signal | NoSignal:
        prices = self._prices.update(moment, float(spot))
        change = near.log_ratio - self._last_ratio if self._last_ratio is not None else 0.0
        spread = math.sqrt(self._ratio.variance)
        chain = ChainView(
            pcr_z=self._ratio.z(near.log_ratio),
            pcr_change=bounded(change / spread) if spread > 0 else 0.0,
            oi_skew=bounded(near.skew),
        )
        self._ratio.update(near.log_ratio)
        self._last_ratio = near.log_ratio
        if not prices.ready:
            return NoSignal("warming up")
        if abs(chain.pcr_z) <= self._parameters.rearm:
            self._spent = None
        side = Side.BUY if chain.pcr_z > 0 else Side.SELL
        if abs(chain.pcr_z) < self._parameters.enter:
            return NoSignal("the ratio is not extreme")
        if side is self._spent:
            return NoSignal("this extreme has given its signal")
        if chain.pcr_change * chain.pcr_z <= 0:
            return NoSignal("the ratio is extreme but no longer moving away")
        self._spent = side
        return Signal(
            strategy_id=STRATEGY_ID,
            symbol=symbol,
            side=side,
            ts_event=moment,
            price=spot,
            features=signal_features(side, prices, chain),
            regime=prices.regime,
            reason=f"put/call open interest near the money {math.exp(near.log_ratio):.3f}, "
            f"{chain.pcr_z:+.2f} deviations from its mean",
            market_state_id=market_state_id,
        )


def near_the_money(chain: list[OptionQuote], spot: float, parameters: PcrParameters) -> NearTheMoney | NoSignal:
    """Return the weighted put/call ratio of a chain, or why there is none.

    Contracts without open interest are left out.
    """
    totals = {OptionRight.CALL: 0.0, OptionRight.PUT: 0.0}
    counts = {OptionRight.CALL: 0, OptionRight.PUT: 0}
    tilt = 0.0
    for quote in chain:
        if quote.open_interest is None or quote.open_interest < 0:
            continue
        distance = math.log(float(quote.strike) / spot) / parameters.width
        weighted = float(quote.open_interest) * math.exp(-0.5 * distance * distance)
        counts[quote.right] += 1
        totals[quote.right] += weighted
        tilt += weighted * distance
    calls, puts = totals[OptionRight.CALL], totals[OptionRight.PUT]
    if min(counts.values()) < parameters.contracts:
        return NoSignal(f"open interest of fewer than {parameters.contracts} contracts on one side")
    # Less than one contract near the money: a ratio of it would be noise, or a division by zero.
    if calls < 1.0:
        return NoSignal("no call open interest near the money")
    if puts < 1.0:
        return NoSignal("no put open interest near the money")
    return NearTheMoney(log_ratio=math.log(puts / calls), skew=tilt / (calls + puts))
