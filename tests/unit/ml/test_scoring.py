from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from services.ml.scoring import Scorer, ScoringError
from tests.unit.ml.onnx_factory import external_tensor, model

pytestmark = pytest.mark.unit
finite32 = st.floats(-1e6, 1e6, width=32)


@given(st.lists(finite32, min_size=3, max_size=3))
def test_scores_agree_with_the_reference_implementation_of_onnx(row: list[float]) -> None:
    made = model()
    # The reference computes both branches of its sigmoid and discards one.
    with np.errstate(over="ignore", invalid="ignore"):
        outputs: Any = ReferenceEvaluator(made).run(None, {"features": np.array([row], dtype=np.float32)})
    raw, calibrated = outputs
    score = Scorer(made.SerializeToString()).score(row)
    assert score.raw == pytest.approx(float(raw[0, 0]), abs=1e-6)
    assert score.calibrated == pytest.approx(float(calibrated[0, 0]), abs=1e-6)


@given(st.lists(finite32, min_size=3, max_size=3))
def test_two_sessions_give_the_same_bits(row: list[float]) -> None:
    data = model().SerializeToString()
    assert Scorer(data).score(row) == Scorer(data).score(row)


def test_what_onnxruntime_cannot_load_is_a_scoring_error() -> None:
    unknown = model(raw=[helper.make_node("NoSuchOperator", ["linear"], ["raw"])])
    with pytest.raises(ScoringError, match="cannot load"):
        Scorer(unknown.SerializeToString())


def test_onnxruntime_alone_reads_no_weights_from_a_file_beside_it(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "weights.bin").write_bytes(np.array([0.25], dtype=np.float32).tobytes())
    monkeypatch.chdir(tmp_path)
    made = model(
        initializers=[external_tensor("../../../../etc/hostname")],
        calibrated=[helper.make_node("Mul", ["raw", "outside"], ["calibrated"])],
    )
    with pytest.raises(ScoringError, match="cannot load"):
        Scorer(made.SerializeToString())


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (lambda: model(input_name="x"), "it must have one input, `features`; it has x"),
        (lambda: model(features=4), "`features` must have shape [n, 3]; it has ['n', 4]"),
        (
            lambda: model(
                outputs=[("raw", TensorProto.FLOAT, ["n", 1])],
                calibrated=[helper.make_node("Identity", ["raw"], ["unused"])],
            ),
            "it must have the outputs `raw` and `calibrated`; it has raw",
        ),
        (
            lambda: model(
                calibrated=[helper.make_node("Cast", ["raw"], ["calibrated"], to=TensorProto.DOUBLE)],
                outputs=[("raw", TensorProto.FLOAT, ["n", 1]), ("calibrated", TensorProto.DOUBLE, ["n", 1])],
            ),
            "`calibrated` must be a float32 tensor; it is tensor(double)",
        ),
        (
            lambda: model(
                calibrated=[helper.make_node("Concat", ["raw", "raw"], ["calibrated"], axis=1)],
                outputs=[("raw", TensorProto.FLOAT, ["n", 1]), ("calibrated", TensorProto.FLOAT, ["n", 2])],
            ),
            "`calibrated` must have shape [n, 1]; it has ['n', 2]",
        ),
    ],
    ids=["input name", "feature count", "no calibrated", "double output", "two columns"],
)
def test_another_interface_is_named(made: Callable[[], Any], says: str) -> None:
    assert says in Scorer(made().SerializeToString()).interface_problems(3)


def test_the_agreed_interface_has_no_problems() -> None:
    assert Scorer(model().SerializeToString()).interface_problems(3) == []


@pytest.mark.parametrize(
    ("node", "says"),
    [
        (helper.make_node("Identity", ["linear"], ["calibrated"]), "not a probability"),
        (helper.make_node("Log", ["minus"], ["calibrated"]), "nan, not a probability"),
        (helper.make_node("Neg", ["raw"], ["calibrated"]), "not a probability"),
    ],
)
def test_an_output_that_is_no_probability_is_refused(node: Any, says: str) -> None:
    minus = numpy_helper.from_array(np.array([[-1.0]], dtype=np.float32), "minus")
    scorer = Scorer(model(calibrated=[node], initializers=[minus]).SerializeToString())
    with pytest.raises(ScoringError, match=says):
        scorer.score([9.0, 0.0, 9.0])


def test_a_row_of_another_width_is_a_scoring_error() -> None:
    with pytest.raises(ScoringError, match="cannot run"):
        Scorer(model().SerializeToString()).score([1.0, 2.0])


def test_the_execution_provider_is_the_cpu_alone() -> None:
    assert onnxruntime.get_available_providers()
    assert Scorer(model().SerializeToString())._session.get_providers() == ["CPUExecutionProvider"]
