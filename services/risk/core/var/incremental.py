"""Historical value at risk after a change in one position, in a few microseconds."""

from collections.abc import Mapping, Sequence

import numpy as np

from services.risk.core.var.historical import from_tail
from services.risk.core.var.inputs import (
    LARGEST,
    FloatArray,
    require_amount,
    require_matrix,
    require_scale,
    require_vector,
)
from services.risk.core.var.result import TailRisk
from services.risk.core.var.tail import worst


class ReturnMatrix:
    """The returns of each symbol in each scenario.

    `symbols` are the columns of `returns` (scenarios x symbols, float64, as fractions). They are copied so that the
    scenarios of one symbol lie side by side in memory, and cannot be written to. Raises ValueError for what is not
    finite, and for symbols that are twice or not one a column.
    """

    __slots__ = ("_gains", "_losses", "_row_of", "rows", "scenarios", "symbols")

    def __init__(self, symbols: Sequence[str], returns: FloatArray) -> None:
        require_matrix(returns, "returns")
        if len(symbols) != returns.shape[1]:
            raise ValueError(f"{len(symbols)} symbols do not go with {returns.shape[1]} columns of returns")
        if len(set(symbols)) != len(symbols):
            raise ValueError("a symbol is there twice")
        self.symbols = tuple(symbols)
        self.rows: FloatArray = np.array(returns.T, order="C")
        self.rows.flags.writeable = False
        # How many there are.
        self.scenarios: int = returns.shape[0]
        self._row_of: dict[str, FloatArray] = {symbol: self.rows[index] for index, symbol in enumerate(self.symbols)}
        self._losses = {symbol: np.minimum(row, 0.0) for symbol, row in self._row_of.items()}
        self._gains = {symbol: np.maximum(row, 0.0) for symbol, row in self._row_of.items()}

    def vector(self, symbol: str) -> FloatArray:
        """Return the returns of a symbol, one a scenario. Raises ValueError for a symbol that is not there."""
        row = self._row_of.get(symbol)
        if row is None:
            raise ValueError(f"there are no returns of {symbol}")
        return row

    def scenario_pnl(self, exposures: Mapping[str, float]) -> FloatArray:
        """Return the P&L of signed exposures in account currency, one a scenario.

        Symbol by symbol in the order of the matrix and without a fused multiply-add, so that the same exposures give
        the same bits on any machine and in any order. Raises ValueError for a symbol that is not there.
        """
        for symbol in exposures:
            self.vector(symbol)
        pnl = np.zeros(self.scenarios)
        for symbol in self.symbols:
            exposure = exposures.get(symbol, 0.0)
            if exposure:
                pnl = self.shifted(pnl, symbol, exposure)
        return pnl

    def shifted(self, base: FloatArray, symbol: str, exposure_change: float) -> FloatArray:
        """Return a new scenario P&L: the base one after the exposure to one symbol has changed.

        A mark that moves changes the exposure as an order does. Each shift rounds once more; some 10,000 of them stay
        within 1e-12 of the sum of the sizes, and `scenario_pnl` starts afresh. Raises ValueError for a base of another
        length, a symbol that is not there, and a change that is not finite.
        """
        return self._add(base, self.vector(symbol), symbol, exposure_change)

    def opened(self, base: FloatArray, symbol: str, before: float, after: float) -> FloatArray:
        """Return a new scenario P&L: the base one after the exposure that open orders may lead to has changed.

        In each scenario such an exposure counts only where it loses: nobody knows whether the orders fill, so that the
        P&L is the worst of all that may. Raises ValueError as `shifted` does.
        """
        self.vector(symbol)
        if before * after >= 0:
            return self._add(base, self._where_it_loses(symbol, before + after), symbol, after - before)
        closed = self._add(base, self._where_it_loses(symbol, before), symbol, -before)
        return self._add(closed, self._where_it_loses(symbol, after), symbol, after)

    def _where_it_loses(self, symbol: str, exposure: float) -> FloatArray:
        return self._losses[symbol] if exposure > 0 else self._gains[symbol]

    def _add(self, base: FloatArray, row: FloatArray, symbol: str, change: float) -> FloatArray:
        if not -LARGEST <= change <= LARGEST:
            require_amount(change, f"the change in exposure to {symbol}")
        if base.shape != row.shape:
            raise ValueError(f"the base has the shape {base.shape}, the scenarios {row.shape}")
        after = row * change
        after += base
        return after


def incremental(
    matrix: ReturnMatrix,
    base: FloatArray,
    symbol: str,
    exposure_change: float,
    equity: float,
    confidence: float,
    horizon_days: int = 1,
) -> TailRisk:
    """Return historical value at risk and expected shortfall after the exposure to one symbol has changed.

    `base` is the scenario P&L before. The same as `historical` of all exposures after the change, but for rounding: no
    linear approximation is made. Raises ValueError as `historical` and `ReturnMatrix.shifted` do.
    """
    require_scale(equity, horizon_days)
    after = matrix.shifted(base, symbol, exposure_change)
    require_vector(after, "scenario P&L")
    return from_tail(worst(after, confidence), len(after), equity, confidence, horizon_days)
