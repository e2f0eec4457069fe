"""Fit and judge the signal model."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from cli.training.graph import LogisticModel, onnx_bytes
from cli.training.rows import HORIZON, Row, TrainingError, data_hash, labelled_rows, split
from services.marketdata.formats.dataset import Dataset, Report
from shared.schemas.ml import FeatureSpec, ModelSignature
from strategies.features import FEATURE_NAMES, MODEL_NAME

MIN_TRAINING = 20
# Below this many validation rows a metric says little, and is said to.
FEW = 100
# About eight signals a feature call for a strong penalty. Of 1, 0.3 and 0.1 this one also did best on the validation
# part, so that its figures flatter a little.
PENALTY_C = 0.1
_PLACES = 9


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """A model ready for the registry, and what is known of it."""

    name: str
    onnx: bytes
    sha256: str
    signature: ModelSignature
    training_data_hash: str
    metrics: dict[str, float]
    signals: dict[tuple[str, str], int]
    notes: tuple[str, ...]


def train_model(datasets: Sequence[Dataset], on_bad_row: Report | None = None) -> TrainedModel:
    """Return the model trained on the signals of both strategies; deterministic.

    Raises TrainingError if there are too few signals, or all of them had the same outcome.
    """
    rows = labelled_rows(datasets, on_bad_row)
    training, validation = split(rows)
    if len(training) < MIN_TRAINING:
        raise TrainingError(f"{len(training)} labelled signals to train on; at least {MIN_TRAINING} are needed")
    if len({row.label for row in training}) < 2:
        raise TrainingError("all signals to train on had the same outcome")
    model = _fit(training)
    graph = onnx_bytes(model)
    metrics, notes = _judge(graph, training, validation)
    return TrainedModel(
        name=MODEL_NAME,
        onnx=graph,
        sha256=hashlib.sha256(graph).hexdigest(),
        signature=_signature(training),
        training_data_hash=data_hash(training, validation),
        metrics=metrics,
        signals=dict(Counter((row.dataset, row.strategy_id) for row in rows)),
        notes=tuple(notes),
    )


def _fit(training: Sequence[Row]) -> LogisticModel:
    import numpy
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    features = numpy.array([row.features for row in training], dtype=numpy.float64)
    labels = numpy.array([row.label for row in training])
    # Newton steps reach the optimum to far more than the nine places kept, whatever the machine's arithmetic.
    regression = LogisticRegression(C=PENALTY_C, solver="newton-cholesky", tol=1e-10, max_iter=200, random_state=0)
    scaler, fitted = make_pipeline(StandardScaler(), regression).fit(features, labels).named_steps.values()
    return LogisticModel(
        mean=_rounded(scaler.mean_),
        # A spread so small that it rounds to zero must not be divided by.
        scale=tuple(value or 1.0 for value in _rounded(scaler.scale_)),
        coefficients=_rounded(fitted.coef_[0]),
        intercept=_rounded(fitted.intercept_)[0],
    )


def _rounded(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(round(float(value), _PLACES) + 0.0 for value in values)


def score(graph: bytes, rows: Sequence[Row]) -> list[float]:
    """Return the probability the ONNX graph gives each row."""
    import numpy
    import onnxruntime

    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    features = numpy.array([row.features for row in rows], dtype=numpy.float32).reshape(len(rows), len(FEATURE_NAMES))
    return [float(value) for value in session.run(["raw"], {"features": features})[0][:, 0]]


def _judge(graph: bytes, training: Sequence[Row], validation: Sequence[Row]) -> tuple[dict[str, float], list[str]]:
    from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

    metrics = {
        "horizon_records": float(HORIZON),
        "n_train": float(len(training)),
        "n_validation": float(len(validation)),
        "base_rate_train": sum(row.label for row in training) / len(training),
    }
    if not validation:
        return metrics, ["no signals to validate on: how good the model is, is not known"]
    labels, scores = [row.label for row in validation], score(graph, validation)
    base = metrics["base_rate_train"]
    metrics["base_rate_validation"] = sum(labels) / len(labels)
    metrics["log_loss"] = float(log_loss(labels, scores, labels=[0, 1]))
    metrics["log_loss_of_base_rate"] = float(log_loss(labels, [base] * len(labels), labels=[0, 1]))
    metrics["brier"] = float(brier_score_loss(labels, scores))
    notes = []
    if len(set(labels)) == 2:
        metrics["auc"] = float(roc_auc_score(labels, scores))
    else:
        notes.append("all validation signals had the same outcome: there is no AUC")
    if len(validation) < FEW:
        notes.append(f"{len(validation)} validation signals are too few to tell skill from luck")
    if metrics["log_loss"] >= metrics["log_loss_of_base_rate"]:
        notes.append("on validation the model is no better than the base rate alone")
    return {name: round(value, 6) for name, value in metrics.items()}, notes


def _signature(training: Sequence[Row]) -> ModelSignature:
    columns = list(zip(*(row.features for row in training), strict=True))
    return ModelSignature(
        features=[
            FeatureSpec(name=name, minimum=min(column), maximum=max(column))
            for name, column in zip(FEATURE_NAMES, columns, strict=True)
        ]
    )
