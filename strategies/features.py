"""Features of a signal: incremental, O(1) a record, finite, free of units and of look-ahead.

One set serves both strategies and one model, `signal_quality`: the sample has one day of one option chain, a few
signals, on which a model of its own would say nothing. What a strategy does not have (the put/call ratio
of bars, the volume of chains) is 0, the mean of the standardised figure, and `is_option_strategy`
lets the model shift between the two. Directional features are multiplied by the side (+1 long, -1 short), so that
positive always means "in favour of the signal".
"""

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.schemas.orders import Side

MODEL_NAME = "signal_quality"

FEATURE_NAMES = (
    "momentum",
    "ma_distance",
    "volatility_ratio",
    "volume_z",
    "pcr_z",
    "pcr_change",
    "oi_skew",
    "is_option_strategy",
)

CALM, TREND, VOLATILE = "calm", "trend", "volatile"
VOLATILE_RATIO = math.log(1.5)
TREND_DISTANCE = 4.0

_BOUND = 10.0
# A price change over a longer break (a night, a holiday) is no sample of the volatility of one bar.
_BREAK = timedelta(hours=4)
_TINY = 1e-12


class Ewma:
    """Exponentially weighted mean and variance with alpha = 2 / (span + 1); the first value starts the mean."""

    def __init__(self, span: int) -> None:
        self._alpha = 2.0 / (span + 1)
        self.count = 0
        self.mean = 0.0
        self.variance = 0.0

    def update(self, value: float) -> None:
        """Take one more value (West 1979, incremental form)."""
        self.count += 1
        if self.count == 1:
            self.mean = value
            return
        step = self._alpha * (value - self.mean)
        self.mean += step
        self.variance = (1.0 - self._alpha) * (self.variance + step * (value - self.mean + step))

    def z(self, value: float) -> float:
        """Return how many standard deviations `value` is from the mean; 0 while there is no spread."""
        deviation = math.sqrt(self.variance)
        return bounded((value - self.mean) / deviation) if deviation > _TINY else 0.0


def bounded(value: float) -> float:
    """Return the value held within +-10; 0 for what is not a number."""
    return 0.0 if math.isnan(value) else max(-_BOUND, min(_BOUND, value))


@dataclass(frozen=True, slots=True)
class PriceView:
    """What prices and volumes say at one moment, before a side is chosen; distances in one-bar volatilities."""

    ready: bool
    momentum: float
    ma_distance: float
    volatility_ratio: float
    volume_z: float

    @property
    def regime(self) -> str:
        """Return volatile (recent volatility over 1.5 times the usual), else trend (averages far apart), else calm."""
        if self.volatility_ratio > VOLATILE_RATIO:
            return VOLATILE
        return TREND if abs(self.ma_distance) > TREND_DISTANCE else CALM


class PriceFeatures:
    """Fold prices one at a time; `ready` after `slow` of them.

    momentum: log return over `fast` records over volatility times sqrt(fast). ma_distance: fast less slow moving
    average over price times volatility. volatility_ratio: log of short over long volatility.
    volume_z: of log(1 + volume) against its moving mean before this record.
    """

    def __init__(self, fast: int, slow: int) -> None:
        if not 2 <= fast < slow:
            raise ValueError("spans must be 2 <= fast < slow")
        self._fast_span, self._slow_span = fast, slow
        self._fast, self._slow = Ewma(fast), Ewma(slow)
        self._short, self._long = Ewma(fast), Ewma(slow)
        self._volume = Ewma(slow)
        self._logs: deque[float] = deque(maxlen=fast + 1)
        self._last: datetime | None = None

    def update(self, moment: datetime, price: float, volume: float = 0.0, step: timedelta = timedelta(0)) -> PriceView:
        """Take a price above zero and return the view at that moment; `step` is the length of a bar."""
        if not (math.isfinite(price) and price > 0 and math.isfinite(volume) and volume >= 0):
            raise ValueError("a price is above zero and a volume is not negative")
        log_price = math.log(price)
        if self._last is not None and moment - self._last <= max(_BREAK, 10 * step):
            squared = (log_price - self._logs[-1]) ** 2
            self._short.update(squared)
            self._long.update(squared)
        self._last = moment
        self._logs.append(log_price)
        self._fast.update(price)
        self._slow.update(price)
        log_volume = math.log1p(volume)
        volume_z = self._volume.z(log_volume)
        self._volume.update(log_volume)
        return self._view(price, volume_z)

    def _view(self, price: float, volume_z: float) -> PriceView:
        long, short = math.sqrt(self._long.mean), math.sqrt(self._short.mean)
        momentum = distance = ratio = 0.0
        if long > _TINY:
            momentum = (self._logs[-1] - self._logs[0]) / (long * math.sqrt(self._fast_span))
            distance = (self._fast.mean - self._slow.mean) / (price * long)
            ratio = math.log(max(short, _TINY) / long)
        return PriceView(
            ready=self._slow.count >= self._slow_span,
            momentum=bounded(momentum),
            ma_distance=bounded(distance),
            volatility_ratio=bounded(ratio),
            volume_z=volume_z,
        )


@dataclass(frozen=True, slots=True)
class ChainView:
    """What open interest near the money says: the log put/call ratio's z-score, its change, and the skew."""

    pcr_z: float
    pcr_change: float
    oi_skew: float


def side_sign(side: Side) -> float:
    """Return +1 for BUY, -1 for SELL."""
    return 1.0 if side is Side.BUY else -1.0


def signal_features(side: Side, prices: PriceView, chain: ChainView | None = None) -> dict[str, float]:
    """Return the features of a signal, by name, in the order of the model."""
    sign = side_sign(side)
    values: Mapping[str, float] = {
        "momentum": sign * prices.momentum,
        "ma_distance": sign * prices.ma_distance,
        "volatility_ratio": prices.volatility_ratio,
        "volume_z": prices.volume_z,
        "pcr_z": sign * chain.pcr_z if chain else 0.0,
        "pcr_change": sign * chain.pcr_change if chain else 0.0,
        "oi_skew": sign * chain.oi_skew if chain else 0.0,
        "is_option_strategy": 1.0 if chain else 0.0,
    }
    # Adding zero turns -0.0 into 0.0, which prints and hashes as one number.
    return {name: values[name] + 0.0 for name in FEATURE_NAMES}
