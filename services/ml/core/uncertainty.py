"""How unsure a score is."""

import math


def binary_entropy(probability: float) -> float:
    """Return the entropy of a yes/no outcome in bits: H(p) = -p log2 p - (1-p) log2 (1-p).

    0 where the model is certain (p is 0 or 1), 1 where it knows nothing (p is 0.5). It measures how undecided the
    calibrated probability is, not how far the model itself can be trusted.
    Source: Shannon (1948), A Mathematical Theory of Communication, section 6. Raises ValueError outside [0, 1].
    """
    if not 0 <= probability <= 1:
        raise ValueError("a probability lies within [0, 1]")
    if probability in (0, 1):
        return 0.0
    rest = 1 - probability
    # Rounding can leave the sum a last bit above 1 or below 0.
    return min(1.0, max(0.0, -probability * math.log2(probability) - rest * math.log2(rest)))
