import base64
import pickle
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from onnx import helper, numpy_helper
from pydantic import ValidationError

from services.ml.problems import InvalidModel
from services.ml.registry import check_upload
from shared.schemas.ml import ModelUpload
from tests.unit.ml.onnx_factory import model, signature

pytestmark = pytest.mark.unit
LIMIT = 1_000_000


def _upload(data: bytes, **changes: Any) -> ModelUpload:
    fields = {
        "name": "edge",
        "version": "1.0.0",
        "onnx": base64.b64encode(data).decode(),
        "signature": signature(),
        "training_data_hash": "a" * 64,
        "trained_at": datetime(2024, 5, 1, tzinfo=UTC),
    }
    return ModelUpload.model_validate({**fields, **changes})


def _refusal(upload: ModelUpload, limit: int = LIMIT) -> InvalidModel:
    with pytest.raises(InvalidModel) as caught:
        check_upload(upload, limit)
    return caught.value


def test_a_sound_model_is_taken() -> None:
    check_upload(_upload(model().SerializeToString()), LIMIT)


def test_the_limit_itself_is_taken_and_one_byte_more_is_not() -> None:
    data = model().SerializeToString()
    check_upload(_upload(data), len(data))
    assert f"has {len(data)} bytes" in _refusal(_upload(data), len(data) - 1).detail


def test_a_pickle_is_refused_and_not_run() -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (pytest.fail, ("the pickle was loaded",))

    assert "not an ONNX model" in _refusal(_upload(pickle.dumps(Bomb()))).detail


def test_a_signature_of_another_width_is_refused() -> None:
    upload = _upload(model().SerializeToString(), signature=signature(("spread", "momentum")))
    assert "`features` must have shape [n, 2]" in _refusal(upload).detail


def test_a_model_that_is_no_probability_at_the_end_of_a_range_is_refused() -> None:
    # sigmoid(linear) * 2 is below 1 in the middle of these ranges and above it at their end.
    two = numpy_helper.from_array(np.array([1.9], dtype=np.float32), "two")
    made = model(
        weights=[1.0, 1.0, 1.0],
        calibrated=[helper.make_node("Mul", ["raw", "two"], ["calibrated"])],
        initializers=[two],
    )
    upload = _upload(made.SerializeToString(), signature=signature(minimum=-2.0, maximum=2.0))
    assert "output `calibrated` is 1.8" in _refusal(upload).detail


def test_several_faults_are_named_together() -> None:
    made = model(raw=[helper.make_node("Gelu", ["linear"], ["raw"], domain="com.microsoft")])
    upload = _upload(made.SerializeToString(), signature=signature(minimum=2.0, maximum=1.0))
    places = {error["location"] for error in _refusal(upload).errors}
    assert places == {"body.signature", "body.onnx"}


@pytest.mark.parametrize("text", ["!!!!", "aGVsbG8", "aGVs bG8=", "aGVs\nbG8=", "é", "====", "aGVsbG8=junk"])
def test_damaged_base64_is_refused_rather_than_repaired(text: str) -> None:
    with pytest.raises(ValidationError, match="Not base64"):
        _upload(b"", onnx=text)


def test_base64_survives_the_round_trip_through_json() -> None:
    upload = _upload(model().SerializeToString())
    assert ModelUpload.model_validate_json(upload.model_dump_json()) == upload
