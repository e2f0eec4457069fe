import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ml.core.uncertainty import binary_entropy

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(("probability", "bits"), [(0.0, 0.0), (1.0, 0.0), (0.5, 1.0), (0.25, 0.8112781244591328)])
def test_known_values(probability: float, bits: float) -> None:
    assert binary_entropy(probability) == pytest.approx(bits, abs=1e-15)


@given(st.floats(0, 1))
def test_it_lies_between_0_and_1_and_is_symmetric(probability: float) -> None:
    value = binary_entropy(probability)
    assert 0 <= value <= 1
    # 1 - p rounds, so symmetry holds up to what that costs.
    assert value == pytest.approx(binary_entropy(1 - probability), abs=1e-12)


@given(st.floats(0, 0.5), st.floats(0, 0.5))
def test_nearer_to_a_half_is_never_less_uncertain(left: float, right: float) -> None:
    near, far = max(left, right), min(left, right)
    assert binary_entropy(near) >= binary_entropy(far) - 1e-15


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan, math.inf])
def test_what_is_no_probability_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="probability"):
        binary_entropy(value)
