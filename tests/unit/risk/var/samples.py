"""Inputs that several tests of value at risk share."""

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
EQUITY = 1_000_000.0
# The worst of 500 at 99 % are five, of 250 two and a half.
CONFIDENCES = (0.9, 0.95, 0.975, 0.99)


def pnl(scenarios: int = 500, seed: int = 1) -> FloatArray:
    """Fat-tailed daily P&L in account currency."""
    return np.random.default_rng(seed).standard_t(5, scenarios) * 10_000 + 200


def returns(scenarios: int = 500, symbols: int = 4, seed: int = 2) -> FloatArray:
    """Correlated daily returns, scenarios x symbols."""
    rng = np.random.default_rng(seed)
    common = rng.standard_t(5, (scenarios, 1)) * 0.008
    return common + rng.standard_normal((scenarios, symbols)) * 0.01


def sp500_returns(folder: Path) -> FloatArray:
    """Simple daily returns of the S&P 500, 1999 to 2018."""
    with (folder / "sp500_daily_1999_2018.csv").open(newline="") as file:
        closes = np.array([float(row["Adj Close"]) for row in csv.DictReader(file)])
    return np.diff(closes) / closes[:-1]
