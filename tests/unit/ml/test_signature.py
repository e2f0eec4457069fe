import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ml.core.signature import (
    FeatureRow,
    fits_float32,
    match_features,
    out_of_range,
    probe_rows,
    signature_problems,
)
from shared.schemas.ml import FeatureSpec, ModelSignature
from tests.unit.ml.onnx_factory import signature

pytestmark = pytest.mark.unit
LARGEST = float(np.finfo(np.float32).max)


def test_the_row_is_in_signature_order_whatever_the_order_sent() -> None:
    row = match_features(signature(), {"pcr": 3.0, "spread": 1.0, "momentum": 2.0})
    assert row == FeatureRow((1.0, 2.0, 3.0), [])


def test_every_missing_and_extra_feature_is_named() -> None:
    problems = match_features(signature(), {"spread": 1.0, "vix": 2.0})
    assert isinstance(problems, list)
    assert {(problem.name, problem.code) for problem in problems} == {
        ("momentum", "missing"),
        ("pcr", "missing"),
        ("vix", "extra"),
    }


def test_a_long_name_is_cut_in_the_answer() -> None:
    problems = match_features(signature(), {"spread": 1.0, "momentum": 1.0, "pcr": 1.0, "x" * 100_000: 1.0})
    assert isinstance(problems, list)
    assert [len(problem.name) for problem in problems] == [64]


def test_a_value_that_would_become_infinite_is_refused() -> None:
    problems = match_features(signature(), {"spread": 1e39, "momentum": -1e300, "pcr": LARGEST})
    assert isinstance(problems, list)
    assert [(problem.name, problem.code) for problem in problems] == [("spread", "overflow"), ("momentum", "overflow")]


@pytest.mark.parametrize(
    ("value", "outside"),
    [(-2.0, False), (3.0, False), (math.nextafter(-2.0, -3), True), (math.nextafter(3.0, 4), True), (0.0, False)],
)
def test_the_ends_of_the_range_belong_to_it(value: float, *, outside: bool) -> None:
    features = {"spread": 0.0, "momentum": value, "pcr": 0.0}
    assert out_of_range(signature(), features) == (["momentum"] if outside else [])


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_fits_float32_agrees_with_numpy(value: float) -> None:
    with np.errstate(over="ignore"):
        assert fits_float32(value) == bool(np.isfinite(np.float32(value)))


def test_a_sound_signature_has_no_problems() -> None:
    assert signature_problems(signature()) == []


def test_a_signature_with_a_name_twice_an_empty_range_or_a_huge_bound_is_named() -> None:
    bad = ModelSignature(
        features=[
            FeatureSpec(name="a", minimum=0, maximum=1),
            FeatureSpec(name="a", minimum=0, maximum=1),
            FeatureSpec(name="b", minimum=2, maximum=1),
            FeatureSpec(name="c", minimum=0, maximum=1e300),
        ]
    )
    assert signature_problems(bad) == [
        "feature a is listed 2 times",
        "feature b has minimum above maximum",
        "feature c has a bound that float32 cannot hold",
    ]


def test_the_middle_of_the_widest_range_is_finite() -> None:
    assert probe_rows(signature(minimum=-LARGEST, maximum=LARGEST))[0] == [0.0, 0.0, 0.0]
    assert probe_rows(signature(minimum=LARGEST, maximum=LARGEST))[0] == [LARGEST] * 3
