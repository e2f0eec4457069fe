"""The trained model: the same bytes each time, the numbers of scikit-learn, honest about how little it knows."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy
import onnx
import onnxruntime
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cli.paths import ROOT
from cli.train import remarks, summary, train
from cli.training.fit import PENALTY_C, TrainedModel, train_model
from cli.training.graph import LogisticModel, onnx_bytes
from cli.training.rows import TrainingError, labelled_rows, split
from cli.training.sample import SAMPLE
from services.marketdata.formats.discover import discover
from strategies.features import FEATURE_NAMES, MODEL_NAME

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def model() -> TrainedModel:
    return train_model(discover(SAMPLE))


def run(graph: bytes, features: object) -> list[numpy.ndarray]:
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return list(session.run(["raw", "calibrated"], {"features": numpy.array(features, dtype=numpy.float32)}))


def test_the_sample_trains_these_very_bytes(model: TrainedModel) -> None:
    assert model.sha256 == "53cdba4bb1524aa72fab2cfb1739acf7b6a8c917ad524ddae55a78201e31c0c1"
    assert model.training_data_hash.startswith("f6f11a774f7501b0")


def test_another_process_trains_the_same_bytes(model: TrainedModel, tmp_path: Path) -> None:
    code = "import sys, pathlib; from cli.train import train; train(out=pathlib.Path(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, cwd=ROOT, timeout=60)
    assert (tmp_path / f"{MODEL_NAME}-1.0.0.onnx").read_bytes() == model.onnx


def test_the_graph_gives_what_scikit_learn_gives(model: TrainedModel) -> None:
    training, validation = split(labelled_rows(discover(SAMPLE)))
    pipeline = make_pipeline(
        StandardScaler(), LogisticRegression(C=PENALTY_C, solver="newton-cholesky", tol=1e-10, max_iter=200)
    )
    pipeline.fit([r.features for r in training], [r.label for r in training])
    rows = [r.features for r in [*training, *validation]]
    raw, calibrated = run(model.onnx, rows)
    assert raw.shape == calibrated.shape == (len(rows), 1)
    assert raw.dtype == numpy.float32
    assert numpy.abs(raw[:, 0] - pipeline.predict_proba(rows)[:, 1]).max() < 1e-6
    assert numpy.array_equal(raw, calibrated)


def test_a_graph_of_known_numbers_gives_their_sigmoid() -> None:
    graph = onnx_bytes(LogisticModel(mean=(1.0, 0.0), scale=(2.0, 1.0), coefficients=(1.0, -3.0), intercept=0.5))
    # (3-1)/2 * 1 + 1 * -3 + 0.5 = -1.5; sigmoid = 0.18242552
    assert run(graph, [[3.0, 1.0]])[0][0, 0] == pytest.approx(0.18242552, abs=1e-6)


def test_the_graph_is_small_and_holds_only_arithmetic(model: TrainedModel) -> None:
    assert len(model.onnx) < 1_000
    assert [node.op_type for node in onnx.load_from_string(model.onnx).graph.node] == [
        "Sub",
        "Div",
        "Gemm",
        "Sigmoid",
        "Identity",
    ]


def test_the_signature_is_the_feature_names_in_order_with_ranges_of_training(model: TrainedModel) -> None:
    assert tuple(f.name for f in model.signature.features) == FEATURE_NAMES
    training, _ = split(labelled_rows(discover(SAMPLE)))
    for index, spec in enumerate(model.signature.features):
        column = [r.features[index] for r in training]
        assert (spec.minimum, spec.maximum) == (min(column), max(column))


def test_metrics_come_with_what_they_are_worth(model: TrainedModel) -> None:
    assert (model.metrics["n_train"], model.metrics["n_validation"]) == (67, 27)
    assert model.metrics.keys() >= {"auc", "log_loss", "log_loss_of_base_rate", "brier", "horizon_records"}
    assert any("too few" in note for note in model.notes)
    assert any("no better than the base rate" in note for note in model.notes)
    assert model.metrics["log_loss"] >= model.metrics["log_loss_of_base_rate"]


def test_too_few_signals_are_refused() -> None:
    goog = [d for d in discover(SAMPLE) if d.symbol == "GOOG"]
    with pytest.raises(TrainingError, match="at least 20 are needed"):
        train_model(goog)


def test_one_outcome_only_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    alike = [replace(r, label=1) for r in labelled_rows(discover(SAMPLE))]
    monkeypatch.setattr("cli.training.fit.labelled_rows", lambda *_: alike)
    with pytest.raises(TrainingError, match="the same outcome"):
        train_model([])


def test_files_are_the_same_bytes_each_time_and_the_summary_names_the_hash(tmp_path: Path, model: TrainedModel) -> None:
    first, second = (train(out=tmp_path / name, version="2.0.0") for name in ("a", "b"))
    assert [p.name for p in first.files] == [f"{MODEL_NAME}-2.0.0.onnx", f"{MODEL_NAME}-2.0.0.json"]
    assert [p.read_bytes() for p in first.files] == [p.read_bytes() for p in second.files]
    assert model.sha256 in list(summary(first).columns[1].cells)
    assert any(line.startswith("note:") for line in remarks(first))
