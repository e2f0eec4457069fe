from datetime import UTC, datetime, timedelta, timezone

import pytest

from services.ml.core.fingerprint import content_hash, manifest_hash, request_hash, same_bits
from shared.schemas.ml import PredictionRequest
from tests.unit.ml.onnx_factory import signature

pytestmark = pytest.mark.unit
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


def _request(**changes: object) -> PredictionRequest:
    fields = {
        "prediction_id": "p-1",
        "model_name": "edge",
        "strategy_id": "ma",
        "symbol": "GOOG",
        "features": {"a": 1.0, "b": 2.0},
        "ts_event": NOON,
    }
    return PredictionRequest.model_validate({**fields, **changes})


def test_content_hash_is_sha256() -> None:
    assert content_hash(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_the_order_of_features_and_the_zone_of_the_time_do_not_make_another_request() -> None:
    india = NOON.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert request_hash(_request(features={"b": 2.0, "a": 1.0}, ts_event=india)) == request_hash(_request())


@pytest.mark.parametrize(
    "changes",
    [
        {"features": {"a": 1.0, "b": 2.0000000000000004}},
        {"features": {"a": 1.0, "c": 2.0}},
        {"alias": "shadow"},
        {"regime": "calm"},
        {"strategy_id": "pcr"},
        {"symbol": "NIFTY"},
        {"market_state_id": "m-1"},
        {"model_name": "other"},
        {"ts_event": NOON + timedelta(microseconds=1)},
    ],
)
def test_any_other_content_makes_another_request(changes: dict[str, object]) -> None:
    assert request_hash(_request(**changes)) != request_hash(_request())


def test_minus_zero_is_another_request_and_other_bits() -> None:
    zero, minus = _request(features={"a": 0.0}), _request(features={"a": -0.0})
    assert request_hash(zero) != request_hash(minus)
    assert not same_bits(0.0, -0.0)
    assert same_bits(0.1, 0.1)


def test_the_manifest_hash_covers_every_part() -> None:
    whole = {
        "name": "edge",
        "version": "1.0.0",
        "sha256": "0" * 64,
        "signature": signature(),
        "training_data_hash": "1" * 64,
        "metrics": {"auc": 0.6},
        "trained_at": NOON,
    }
    changes = {
        "name": "edge2",
        "version": "1.0.1",
        "sha256": "2" * 64,
        "signature": signature(("momentum", "spread", "pcr")),
        "training_data_hash": "3" * 64,
        "metrics": {"auc": 0.61},
        "trained_at": NOON + timedelta(seconds=1),
    }
    hashes = {manifest_hash(**{**whole, part: value}) for part, value in changes.items()}  # type: ignore[arg-type]
    assert len(hashes | {manifest_hash(**whole)}) == len(changes) + 1  # type: ignore[arg-type]
