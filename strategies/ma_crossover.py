"""Moving-average crossover on bars, with hysteresis."""

from dataclasses import dataclass

from shared.schemas.marketdata import INTERVAL_LENGTH, Bar
from shared.schemas.orders import Side
from strategies.features import PriceFeatures, signal_features
from strategies.signal import NoSignal, Signal

STRATEGY_ID = "ma_crossover"


@dataclass(frozen=True, slots=True)
class MaParameters:
    """Spans in bars; `band` is how far apart the averages must be, in one-bar volatilities, to count as crossed."""

    fast: int = 12
    slow: int = 48
    band: float = 1.0


class MaCrossover:
    """Long while the fast average is above the slow one by the band, short while it is below it.

    Within the band the last side stands, so that averages that run along each other give no stream of signals.
    One instance sees the bars of one symbol and interval, in order.
    """

    def __init__(self, parameters: MaParameters | None = None) -> None:
        self._parameters = parameters or MaParameters()
        self._prices = PriceFeatures(self._parameters.fast, self._parameters.slow)
        self._side: Side | None = None

    def on_bar(self, bar: Bar) -> Signal | NoSignal:
        """Take a complete bar; the signal, if any, is dated at the bar's end."""
        if bar.close <= 0:
            return NoSignal("the close is not above zero")
        length = INTERVAL_LENGTH[bar.interval]
        view = self._prices.update(bar.ts, float(bar.close), float(bar.volume), length)
        if not view.ready:
            return NoSignal("warming up")
        band = self._parameters.band
        if abs(view.ma_distance) <= band:
            return NoSignal("the averages are within the band")
        side = Side.BUY if view.ma_distance > 0 else Side.SELL
        if side is self._side:
            return NoSignal("no cross")
        first, self._side = self._side is None, side
        if first:
            # Where the series begins is not a cross.
            return NoSignal("the first side after warming up")
        return Signal(
            strategy_id=STRATEGY_ID,
            symbol=bar.symbol,
            side=side,
            ts_event=bar.ts + length,
            price=bar.close,
            features=signal_features(side, view),
            regime=view.regime,
            reason=f"the {self._parameters.fast}-bar average crossed the {self._parameters.slow}-bar one "
            f"{'upwards' if side is Side.BUY else 'downwards'} by {abs(view.ma_distance):.2f} volatilities",
        )
