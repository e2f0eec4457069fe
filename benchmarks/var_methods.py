"""How long each method of value at risk takes, against historical simulation of 500 scenarios.

Run with `python -m benchmarks.var_methods`. The quick ones take turns, so that a machine that slows down slows all; the
slow ones come after, as the threads of their linear algebra would still be spinning beside the quick.
"""

import time
from collections.abc import Callable
from statistics import median, quantiles

import numpy as np

from services.risk.core.var.contributions import breakdown
from services.risk.core.var.historical import historical, tail_losses
from services.risk.core.var.incremental import ReturnMatrix, incremental
from services.risk.core.var.monte_carlo import monte_carlo
from services.risk.core.var.parametric import cornish_fisher, ewma, normal

_SCENARIOS = 500
_SYMBOLS = 50
_EQUITY = 1e6
_CONFIDENCE = 0.99
_ROUNDS = 200
# Calls in a row, whose time is read once: the clock's own would show in one of a few microseconds.
_CALLS = 50
_SLOW_CALLS = 1
_WARM_UP = 20
_BASE = "historical"


def main() -> None:
    """Measure and print."""
    methods = _methods()
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    for each in (_CALLS, _SLOW_CALLS):
        turns = {name: call for name, (call, calls) in methods.items() if calls == each}
        for number in range(_WARM_UP + _ROUNDS):
            for name, call in turns.items():
                spent = _seconds(call, each)
                if number >= _WARM_UP:
                    seconds[name].append(spent)
    base = median(seconds[_BASE])
    print(f"{_SCENARIOS} scenarios, {_SYMBOLS} symbols, value at risk and expected shortfall at {_CONFIDENCE:.0%}")
    for name, all_spent in seconds.items():
        cuts = quantiles(all_spent, n=100)
        print(
            f"{name:<42} p50 {cuts[49] * 1e6:9.1f} us   p95 {cuts[94] * 1e6:9.1f} us   "
            f"{median(all_spent) / base:8.2f} x {_BASE}"
        )


def _methods() -> dict[str, tuple[Callable[[], object], int]]:
    rng = np.random.default_rng(1)
    returns = rng.standard_t(8, (_SCENARIOS, 1)) * 0.008 + rng.standard_normal((_SCENARIOS, _SYMBOLS)) * 0.01
    symbols = [f"S{index}" for index in range(_SYMBOLS)]
    matrix = ReturnMatrix(symbols, returns)
    exposures = {symbol: float(rng.normal() * 50_000) for symbol in symbols}
    weights, covariance = np.array(list(exposures.values())), np.cov(returns.T, ddof=1)
    pnl = matrix.scenario_pnl(exposures)
    if cornish_fisher(pnl, _EQUITY, _CONFIDENCE).fallback:
        raise RuntimeError("the sample is outside the Cornish-Fisher expansion, which would not be measured")

    def simulate(*, antithetic: bool) -> object:
        return monte_carlo(weights, covariance, _EQUITY, _CONFIDENCE, rng=1, antithetic=antithetic)

    return {
        _BASE: (lambda: historical(pnl, _EQUITY, _CONFIDENCE), _CALLS),
        "  its two losses alone": (lambda: tail_losses(pnl, _CONFIDENCE), _CALLS),
        "incremental, one symbol": (lambda: incremental(matrix, pnl, "S7", 9e3, _EQUITY, _CONFIDENCE), _CALLS),
        "  its new scenario P&L alone": (lambda: matrix.shifted(pnl, "S7", 9e3), _CALLS),
        "historical, all exposures anew": (
            lambda: historical(matrix.scenario_pnl(exposures), _EQUITY, _CONFIDENCE),
            _CALLS,
        ),
        "normal": (lambda: normal(pnl, _EQUITY, _CONFIDENCE), _CALLS),
        "ewma": (lambda: ewma(pnl, _EQUITY, _CONFIDENCE), _CALLS),
        "cornish_fisher": (lambda: cornish_fisher(pnl, _EQUITY, _CONFIDENCE), _CALLS),
        "breakdown by symbol": (lambda: breakdown(matrix, exposures, _EQUITY, _CONFIDENCE), _SLOW_CALLS),
        "monte_carlo, 10,000 draws": (lambda: simulate(antithetic=False), _SLOW_CALLS),
        "monte_carlo, 10,000 draws, antithetic": (lambda: simulate(antithetic=True), _SLOW_CALLS),
    }


def _seconds(call: Callable[[], object], calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - start) / calls


if __name__ == "__main__":
    main()
