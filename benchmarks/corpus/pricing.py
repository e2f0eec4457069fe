"""Prices of options in a made market: Black and Scholes for European ones, a binomial tree for American ones."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
_STEPS = 60

_erf = np.frompyfunc(math.erf, 1, 1)


def normal_cdf(x: Floats) -> Floats:
    """Return the standard normal distribution function."""
    found: Any = _erf(x / math.sqrt(2.0))
    return 0.5 * (1.0 + np.asarray(found, np.float64))


def european(spot: Floats, strike: Floats, years: float, rate: float, carry: float, vol: Floats, call: bool) -> Floats:
    """Return prices by Black, Scholes and Merton; `carry` is the dividend yield or the fee of a borrow, a year."""
    discount, growth = math.exp(-rate * years), math.exp((rate - carry) * years)
    forward = spot * growth
    sign = 1.0 if call else -1.0
    if years <= 0:
        return np.maximum(sign * (spot - strike), 0.0)
    deviation = vol * math.sqrt(years)
    d1 = np.log(forward / strike) / deviation + deviation / 2
    prices = sign * (forward * normal_cdf(sign * d1) - strike * normal_cdf(sign * (d1 - deviation)))
    return np.maximum(discount * prices, 0.0)


def american(spot: Floats, strike: Floats, years: float, rate: float, carry: float, vol: Floats, call: bool) -> Floats:
    """Return prices by the tree of Cox, Ross and Rubinstein with sixty steps, all strikes at once."""
    sign = 1.0 if call else -1.0
    if years <= 0:
        return np.maximum(sign * (spot - strike), 0.0)
    step = years / _STEPS
    up = np.exp(vol * math.sqrt(step))[:, None]
    discount = math.exp(-rate * step)
    rise = (math.exp((rate - carry) * step) - 1 / up) / (up - 1 / up)
    start, strikes = spot[:, None], strike[:, None]
    # What an exercise brings at every power of a step; each level of the tree has every second one.
    gains = sign * (start * up ** np.arange(-_STEPS, _STEPS + 1) - strikes)
    values = np.maximum(gains[:, ::2], 0.0)
    for level in range(_STEPS - 1, -1, -1):
        held = discount * (rise * values[:, 1:] + (1 - rise) * values[:, :-1])
        values = np.maximum(held, gains[:, _STEPS - level : _STEPS + level + 1 : 2])
    return np.asarray(values[:, 0], np.float64)
