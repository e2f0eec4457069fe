"""What every method refuses before it computes."""

from math import isfinite

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

# Beyond any amount of money; products and squares of what is within it stay finite.
LARGEST = 1e60
_LARGEST_SQUARES = LARGEST**2
_FLOAT = np.dtype(np.float64)


def require_confidence(confidence: float) -> None:
    """Raise ValueError unless the confidence lies between 0 and 1, both excluded."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, both excluded, not {confidence}")


def require_scale(equity: float, horizon_days: int) -> None:
    """Raise ValueError unless equity is positive and finite and the horizon whole days from 1."""
    if not 0 < equity <= LARGEST:
        raise ValueError(f"equity must be above 0 and at most {LARGEST:g}, not {equity}")
    # A bool is an int to Python, and no horizon.
    if type(horizon_days) is not int or horizon_days < 1:
        raise ValueError(f"horizon_days must be a whole number from 1, not {horizon_days!r}")


def require_amount(amount: float, what: str) -> None:
    """Raise ValueError unless a number is finite and of a size that sums and products can hold."""
    if not -LARGEST <= amount <= LARGEST:
        raise ValueError(f"{what} must be finite and within {LARGEST:g}, not {amount}")


def require_vector(values: FloatArray, what: str) -> None:
    """Raise ValueError unless an array is one-dimensional, float64, not empty and finite."""
    if not isinstance(values, np.ndarray) or values.dtype != _FLOAT or values.ndim != 1:
        raise ValueError(f"{what} must be a one-dimensional float64 array")
    _require_finite(values, what)


def require_matrix(values: FloatArray, what: str) -> None:
    """Raise ValueError unless an array is two-dimensional, float64, not empty and finite."""
    if not isinstance(values, np.ndarray) or values.dtype != _FLOAT or values.ndim != 2:
        raise ValueError(f"{what} must be a two-dimensional float64 array")
    _require_finite(values, what)


def _require_finite(values: FloatArray, what: str) -> None:
    if values.size == 0:
        raise ValueError(f"{what} is empty")
    # One pass over what each order needs: the sum of squares is no number, or too large, if one of them is. Reads
    # "not <=", so that NaN is refused; and vdot, as dot warns of an overflow.
    if not np.vdot(values, values) <= _LARGEST_SQUARES:
        raise ValueError(_fault(values.ravel(), what))


def _fault(values: FloatArray, what: str) -> str:
    index = int(np.argmin(np.isfinite(values)))
    if isfinite(values[index]):
        return f"{what} holds numbers beyond {LARGEST:g}"
    return f"{what} holds {values[index]} at position {index}"
