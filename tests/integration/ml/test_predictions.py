import asyncio
import hashlib
import math
import struct
from base64 import b64decode
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import numpy as np
import onnxruntime
import pytest

from services.ml.main import create
from services.ml.settings import MlSettings
from shared.clock import ManualClock
from shared.roles import Role
from tests.conftest import MakeSettings
from tests.harness import running
from tests.integration.ml.bodies import FEATURES, MODELS, PREDICTIONS, encoded, request, upload
from tests.unit.ml.onnx_factory import NAMES, model, signature

pytestmark = pytest.mark.integration
Execute = Callable[..., list[tuple[Any, ...]]]
Auth = Callable[[Role], dict[str, str]]


def _expected(features: dict[str, float]) -> tuple[float, float]:
    session = onnxruntime.InferenceSession(model().SerializeToString())
    row = np.array([[features[name] for name in NAMES]], dtype=np.float32)
    raw, calibrated = session.run(["raw", "calibrated"], {"features": row})
    return float(raw[0, 0]), float(calibrated[0, 0])


async def test_a_score_carries_all_that_made_it(champion: httpx.AsyncClient) -> None:
    answer = await champion.post(PREDICTIONS, json=request())
    assert answer.status_code == 200, answer.text
    raw, calibrated = _expected(FEATURES)
    entropy = -calibrated * math.log2(calibrated) - (1 - calibrated) * math.log2(1 - calibrated)
    assert answer.json() == {
        "telemetry": {
            "prediction_id": "p-1",
            "model_name": "edge",
            "model_version": "1.0.0",
            "model_hash": hashlib.sha256(b64decode(encoded(model()))).hexdigest()[:16],
            "features": FEATURES,
            "raw_confidence": raw,
            "calibrated_confidence": calibrated,
            "uncertainty": pytest.approx(entropy, abs=1e-12),
            "regime": "calm",
            "market_state_id": "GOOG:2024-05-01T12:00:00Z",
        },
        "strategy_id": "ma_crossover",
        "symbol": "GOOG",
        "out_of_range": [],
        "ts_event": "2024-05-01T12:00:00Z",
        "ts_init": "2024-05-01T12:00:00Z",
    }


async def test_the_stored_score_reads_as_it_was_answered(champion: httpx.AsyncClient) -> None:
    answer = await champion.post(PREDICTIONS, json=request())
    assert (await champion.get(f"{PREDICTIONS}/p-1")).text == answer.text


async def test_features_and_score_are_stored_bit_for_bit(champion: httpx.AsyncClient) -> None:
    features = {"spread": -0.0, "momentum": 5e-324, "pcr": 0.1 + 0.2}
    answer = await champion.post(PREDICTIONS, json=request(features=features))
    stored = (await champion.get(f"{PREDICTIONS}/p-1")).json()["telemetry"]
    for name, value in features.items():
        assert struct.pack("<d", stored["features"][name]) == struct.pack("<d", value), name
    raw, calibrated = _expected(features)
    assert (stored["raw_confidence"], stored["calibrated_confidence"]) == (raw, calibrated)
    assert answer.json()["telemetry"] == stored


async def test_features_are_matched_by_name_not_by_place(champion: httpx.AsyncClient) -> None:
    turned = dict(reversed(FEATURES.items()))
    first = await champion.post(PREDICTIONS, json=request("p-1"))
    other = await champion.post(PREDICTIONS, json=request("p-2", features=turned))
    assert first.json()["telemetry"]["raw_confidence"] == other.json()["telemetry"]["raw_confidence"]


async def test_values_outside_the_training_range_are_scored_and_named(champion: httpx.AsyncClient) -> None:
    answer = await champion.post(PREDICTIONS, json=request(features={"spread": 9.0, "momentum": 0.0, "pcr": -3.0}))
    assert answer.status_code == 200
    assert answer.json()["out_of_range"] == ["spread", "pcr"]
    assert (await champion.get(f"{PREDICTIONS}/p-1")).json() == answer.json()


async def test_the_same_request_again_returns_what_is_stored(
    champion: httpx.AsyncClient, clock: ManualClock, execute: Execute
) -> None:
    first = await champion.post(PREDICTIONS, json=request())
    clock.advance(timedelta(hours=1))
    again = await champion.post(PREDICTIONS, json=request(ts_event="2024-05-01T12:00:00Z"))
    assert again.status_code == 200
    assert again.text == first.text
    assert execute("SELECT count(*) FROM ml.prediction") == [(1,)]


@pytest.mark.parametrize(
    "changes",
    [
        {"features": {**FEATURES, "pcr": 1.1000000000000003}},
        {"alias": "shadow"},
        {"strategy_id": "pcr_analysis"},
        {"symbol": "NIFTY"},
        {"regime": "wild"},
        {"market_state_id": None},
        {"ts_event": "2024-05-01T12:00:01Z"},
    ],
    ids=lambda changes: next(iter(changes)),
)
async def test_another_request_under_the_same_id_is_a_conflict(
    champion: httpx.AsyncClient, changes: dict[str, Any]
) -> None:
    first = await champion.post(PREDICTIONS, json=request())
    answer = await champion.post(PREDICTIONS, json=request(**changes))
    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:keelson:problem:prediction-conflict"
    assert (await champion.get(f"{PREDICTIONS}/p-1")).text == first.text


async def test_the_same_request_many_times_at_once_stores_one_row(
    champion: httpx.AsyncClient, execute: Execute
) -> None:
    answers = await asyncio.gather(*(champion.post(PREDICTIONS, json=request()) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert execute("SELECT count(*) FROM ml.prediction") == [(1,)]


async def test_of_different_requests_at_once_under_one_id_one_wins(
    champion: httpx.AsyncClient, execute: Execute
) -> None:
    bodies = [request(features={**FEATURES, "pcr": 1 + index / 16}) for index in range(8)]
    answers = await asyncio.gather(*(champion.post(PREDICTIONS, json=body) for body in bodies))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 7
    winner = next(answer for answer in answers if answer.status_code == 200)
    assert (await champion.get(f"{PREDICTIONS}/p-1")).text == winner.text
    assert execute("SELECT count(*) FROM ml.prediction") == [(1,)]


async def test_missing_and_extra_features_are_named(champion: httpx.AsyncClient, execute: Execute) -> None:
    answer = await champion.post(PREDICTIONS, json=request(features={"spread": 1.0, "momentum": 1e39, "vix": 2.0}))
    problem = answer.json()
    assert answer.status_code == 422
    assert problem["type"] == "urn:keelson:problem:feature-mismatch"
    assert {(error["location"], error["code"]) for error in problem["errors"]} == {
        ("body.features.pcr", "missing"),
        ("body.features.vix", "extra"),
        ("body.features.momentum", "overflow"),
    }
    assert execute("SELECT count(*) FROM ml.prediction") == [(0,)]


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999", "null", '"NaN"', '"high"'])
async def test_a_feature_that_is_no_finite_number_is_refused(champion: httpx.AsyncClient, value: str) -> None:
    body = '{"prediction_id":"p-1","model_name":"edge","strategy_id":"s","symbol":"GOOG",'
    body += f'"ts_event":"2024-05-01T12:00:00Z","features":{{"spread":0.5,"momentum":{value},"pcr":1}}}}'
    answer = await champion.post(PREDICTIONS, content=body, headers={"content-type": "application/json"})
    assert answer.status_code in {400, 422}
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "changes",
    [
        {"symbol": "goog"},
        {"symbol": "G\x00"},
        {"regime": "calm\x00"},
        {"market_state_id": "x" * 129},
        {"market_state_id": "a\x00b"},
        {"features": {}},
        {"ts_event": "2024-05-01T12:00:00"},
        {"ts_event": "0001-01-01T00:00:00+14:00"},
        {"ts_event": "9999-12-31T23:59:59-12:00"},
        {"alias": "king"},
        {"unknown": 1},
        {"prediction_id": "a b"},
    ],
)
async def test_a_bad_field_is_a_problem_of_the_caller(champion: httpx.AsyncClient, changes: dict[str, Any]) -> None:
    answer = await champion.post(PREDICTIONS, json=request(**changes))
    assert answer.status_code == 422, answer.text


@pytest.mark.parametrize("changes", [{"model_name": "nobody"}, {"alias": "challenger"}])
async def test_an_alias_without_a_model_says_so(champion: httpx.AsyncClient, changes: dict[str, Any]) -> None:
    answer = await champion.post(PREDICTIONS, json=request(**changes))
    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:keelson:problem:no-model"


async def test_an_unknown_prediction_is_not_found(champion: httpx.AsyncClient) -> None:
    for answer in (await champion.get(f"{PREDICTIONS}/p-9"), await champion.post(f"{PREDICTIONS}/p-9/replay")):
        assert answer.status_code == 404
        assert answer.json()["type"] == "urn:keelson:problem:prediction-not-found"


async def test_an_alias_move_takes_effect_at_once_on_every_instance(make_settings: MakeSettings, auth: Auth) -> None:
    settings, service = make_settings(MlSettings), auth(Role.SERVICE)
    async with running(create(settings), service) as one, running(create(settings), service) as two:
        await one.post(MODELS, json=upload())
        await one.post(MODELS, json=upload(version="2.0.0", onnx=encoded(model(weights=[1.0, 2.0, 3.0]))))
        path = f"{MODELS}/edge/aliases/champion"
        for index in range(6):
            version = ("1.0.0", "2.0.0")[index % 2]
            await (one, two)[index % 2].put(path, json={"version": version})
            for name, client in (("one", one), ("two", two)):
                scored = await client.post(PREDICTIONS, json=request(f"p-{index}-{name}"))
                assert scored.json()["telemetry"]["model_version"] == version


async def test_a_stored_score_is_returned_even_after_the_model_takes_other_features(
    champion: httpx.AsyncClient,
) -> None:
    first = await champion.post(PREDICTIONS, json=request())
    wider = ("spread", "momentum", "pcr", "vix")
    body = upload(version="2.0.0", onnx=encoded(model(4)), signature=signature(wider).model_dump(mode="json"))
    await champion.post(MODELS, json=body)
    await champion.put(f"{MODELS}/edge/aliases/champion", json={"version": "2.0.0"})
    assert (await champion.post(PREDICTIONS, json=request())).text == first.text
    assert (await champion.post(PREDICTIONS, json=request("p-2"))).status_code == 422


@pytest.mark.parametrize(
    ("role", "status"),
    [(Role.VIEWER, 403), (Role.RISK_OFFICER, 403), (Role.ADMIN, 403), (Role.TRADER, 200), (Role.SERVICE, 200)],
)
async def test_only_trader_and_service_score_and_all_may_read(
    champion: httpx.AsyncClient, auth: Auth, role: Role, status: int
) -> None:
    assert (await champion.post(PREDICTIONS, json=request(f"p-{role}"), headers=auth(role))).status_code == status
    await champion.post(PREDICTIONS, json=request("p-known"))
    assert (await champion.get(f"{PREDICTIONS}/p-known", headers=auth(role))).status_code == 200
    assert (await champion.post(f"{PREDICTIONS}/p-known/replay", headers=auth(role))).status_code == 200


async def test_without_a_token_nothing_is_answered(app: Any) -> None:
    async with running(app) as client:
        answers = [
            await client.get(MODELS),
            await client.post(MODELS, json=upload()),
            await client.post(PREDICTIONS, json=request()),
            await client.get(f"{PREDICTIONS}/p-1"),
        ]
    assert {answer.status_code for answer in answers} == {401}


async def test_scores_are_counted_by_model_and_version(champion: httpx.AsyncClient) -> None:
    name = 'keelson_ml_predictions_total{model="counted",version="1.0.0"}'
    await champion.post(MODELS, json=upload(name="counted"))
    await champion.put(f"{MODELS}/counted/aliases/champion", json={"version": "1.0.0"})
    for prediction_id in ("p-1", "p-1", "p-2"):
        await champion.post(PREDICTIONS, json=request(prediction_id, model_name="counted"))
    lines = (await champion.get("/metrics")).text.splitlines()
    assert f"{name} 2.0" in lines
    assert any(line.startswith("keelson_ml_loaded_models ") for line in lines)


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"])
async def test_the_first_and_the_last_moment_are_moments(champion: httpx.AsyncClient, moment: str) -> None:
    registered = await champion.post(MODELS, json=upload(version="2.0.0", trained_at=moment))
    assert (registered.status_code, registered.json()["trained_at"]) == (201, moment)
    scored = await champion.post(PREDICTIONS, json=request(ts_event=moment))
    assert (scored.status_code, scored.json()["ts_event"]) == (200, moment)
    assert (await champion.get(f"{PREDICTIONS}/p-1")).json()["ts_event"] == moment
    assert (await champion.post(f"{PREDICTIONS}/p-1/replay")).status_code == 200
