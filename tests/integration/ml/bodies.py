"""Requests of ml as JSON."""

import base64
from typing import Any

from onnx import ModelProto

from tests.unit.ml.onnx_factory import model, signature

MODELS = "/api/v1/ml/models"
PREDICTIONS = "/api/v1/ml/predictions"
FEATURES = {"spread": 0.25, "momentum": -0.125, "pcr": 1.1}


def encoded(made: ModelProto) -> str:
    return base64.b64encode(made.SerializeToString()).decode()


def upload(**changes: Any) -> dict[str, Any]:
    return {
        "name": "edge",
        "version": "1.0.0",
        "onnx": encoded(model()),
        "signature": signature().model_dump(mode="json"),
        "training_data_hash": "a" * 64,
        "metrics": {"auc": 0.61, "brier": -0.0},
        "trained_at": "2024-04-30T18:00:00Z",
        **changes,
    }


def request(prediction_id: str = "p-1", **changes: Any) -> dict[str, Any]:
    return {
        "prediction_id": prediction_id,
        "model_name": "edge",
        "strategy_id": "ma_crossover",
        "symbol": "GOOG",
        "features": FEATURES,
        "regime": "calm",
        "market_state_id": "GOOG:2024-05-01T12:00:00Z",
        "ts_event": "2024-05-01T17:30:00+05:30",
        **changes,
    }
