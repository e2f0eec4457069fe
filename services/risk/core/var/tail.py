"""The tail of equally likely outcomes: how far it reaches, and the losses in it."""

from fractions import Fraction
from functools import lru_cache
from math import ceil, fsum

from services.risk.core.var.inputs import FloatArray, require_confidence


@lru_cache(maxsize=1024)
def tail_size(observations: int, confidence: float) -> tuple[int, float, float]:
    """Return how many of the worst observations the tail touches, the share of the last one in it, and its size.

    The size is n(1 - c), worked out from the decimal digits of the confidence: in floats 500(1 - 0.99) is above 5 and
    would touch a sixth. Raises ValueError for a confidence outside (0, 1), and where the tail holds less than one whole
    observation, as every confidence beyond would give the same figure.
    """
    require_confidence(confidence)
    alpha = 1 - Fraction(repr(float(confidence)))
    size = observations * alpha
    if size < 1:
        raise ValueError(
            f"{observations} observations are too few for a confidence of {confidence}: it takes {ceil(1 / alpha)}"
        )
    touched = ceil(size)
    return touched, float(size - (touched - 1)), float(size)


def worst(pnl: FloatArray, confidence: float) -> tuple[float, float]:
    """Return value at risk and expected shortfall of a P&L that `require_vector` let through; its order is lost."""
    touched, share, size = tail_size(len(pnl), confidence)
    pnl.partition(touched - 1)
    last = pnl.item(touched - 1)
    # Exact in any order, so that a processor that partitions differently gets the same bits.
    total = fsum(pnl[: touched - 1].tolist())
    # Of equal losses, the rounded mean may lie one bit below each of them.
    return -last, max(-(total + share * last) / size, -last)
