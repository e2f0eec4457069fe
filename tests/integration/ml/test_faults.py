import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from onnx import helper

from services.ml.main import create
from services.ml.settings import MlSettings
from shared.embedded import EmbeddedPostgres
from shared.logging import Category
from shared.logging.formatter import EVENT_ATTRIBUTE
from shared.roles import Role
from tests.conftest import MakeSettings
from tests.harness import running
from tests.integration.ml.bodies import MODELS, PREDICTIONS, encoded, request, upload
from tests.unit.ml.onnx_factory import model

pytestmark = pytest.mark.integration
Execute = Callable[..., list[tuple[Any, ...]]]
Auth = Callable[[Role], dict[str, str]]

_TAMPERED = {
    "a byte of the model": "UPDATE ml.model SET onnx = set_byte(onnx, 40, get_byte(onnx, 40) # 1)",
    "another model": "UPDATE ml.model SET onnx = (SELECT onnx FROM ml.model WHERE version = '2.0.0')",
    "another model with its hash": (
        "UPDATE ml.model SET (onnx, sha256) = (SELECT onnx, sha256 FROM ml.model WHERE version = '2.0.0')"
    ),
    "the signature": "UPDATE ml.model SET signature = replace(signature::text, 'pcr', 'vix')::json",
    "the metrics": "UPDATE ml.model SET metrics = '{\"auc\": 0.99}'",
}


@pytest.mark.parametrize("what", _TAMPERED)
async def test_an_altered_model_is_refused_and_nothing_is_stored(
    champion: httpx.AsyncClient, execute: Execute, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    body = upload(version="2.0.0", onnx=encoded(model(weights=[1.0, 2.0, 3.0])))
    assert (await champion.post(MODELS, json=body)).status_code == 201
    execute(_TAMPERED[what] + " WHERE version = '1.0.0'")
    for _ in range(2):
        answer = await champion.post(PREDICTIONS, json=request())
        assert answer.status_code == 500
        assert answer.json()["type"] == "urn:keelson:problem:model-integrity"
        assert "edge 1.0.0" in answer.json()["detail"]
    assert execute("SELECT count(*) FROM ml.prediction") == [(0,)]
    events = [getattr(record, EVENT_ATTRIBUTE, {}) for record in caplog.records if record.levelname == "ERROR"]
    assert [(event["category"], event["fields"]["model"]) for event in events] == [(Category.SECURITY, "edge")] * 2
    failures = [
        line
        for line in (await champion.get("/metrics")).text.splitlines()
        if line.startswith("keelson_ml_integrity_failures_total ")
    ]
    assert float(failures[0].split()[1]) >= 2


async def test_a_model_loaded_before_it_was_altered_keeps_scoring_with_the_right_bytes(
    champion: httpx.AsyncClient, execute: Execute
) -> None:
    first = (await champion.post(PREDICTIONS, json=request())).json()["telemetry"]
    execute(_TAMPERED["a byte of the model"])
    again = (await champion.post(PREDICTIONS, json=request("p-2"))).json()["telemetry"]
    assert again["calibrated_confidence"] == first["calibrated_confidence"]


async def test_a_model_that_gives_no_probability_on_some_input_is_named_and_nothing_is_stored(
    client: httpx.AsyncClient, execute: Execute
) -> None:
    # Within its ranges 0.25 * linear + 0.5 is a probability; far outside them it is not.
    made = model(
        weights=[0.1, 0.1, 0.1],
        raw=[helper.make_node("Add", ["linear", "half"], ["raw"])],
        calibrated=[helper.make_node("Identity", ["raw"], ["calibrated"])],
    )
    signature = {"features": [{"name": n, "minimum": -1.0, "maximum": 1.0} for n in ("spread", "momentum", "pcr")]}
    registered = await client.post(MODELS, json=upload(onnx=encoded(made), signature=signature))
    assert registered.status_code == 201, registered.text
    await client.put(f"{MODELS}/edge/aliases/champion", json={"version": "1.0.0"})
    answer = await client.post(PREDICTIONS, json=request(features={"spread": 50.0, "momentum": 0.0, "pcr": 0.0}))
    assert answer.status_code == 500
    assert answer.json()["type"] == "urn:keelson:problem:model-output"
    assert execute("SELECT count(*) FROM ml.prediction") == [(0,)]


async def test_a_lost_database_is_a_503_and_the_service_recovers_by_itself(
    make_settings: MakeSettings, own_postgres: EmbeddedPostgres, auth: Auth
) -> None:
    chosen = make_settings(MlSettings, database_url=own_postgres.start())
    async with running(create(chosen), auth(Role.SERVICE)) as client:
        await client.post(MODELS, json=upload())
        await client.put(f"{MODELS}/edge/aliases/champion", json={"version": "1.0.0"})
        stored = await client.post(PREDICTIONS, json=request())
        assert stored.status_code == 200
        await asyncio.to_thread(own_postgres.stop)
        for answer in (
            await client.post(PREDICTIONS, json=request("p-2")),
            await client.get(f"{PREDICTIONS}/p-1"),
            await client.get(MODELS),
            await client.post(MODELS, json=upload(version="2.0.0")),
        ):
            assert answer.status_code == 503
            assert answer.headers["content-type"] == "application/problem+json"
        assert (await client.get("/readyz")).status_code == 503
        assert (await client.get("/healthz")).status_code == 200
        await asyncio.to_thread(own_postgres.start)
        assert (await client.get(f"{PREDICTIONS}/p-1")).text == stored.text
        assert (await client.get(f"{PREDICTIONS}/p-2")).status_code == 404
        assert (await client.post(PREDICTIONS, json=request("p-2"))).status_code == 200


async def test_the_least_recently_used_model_is_loaded_again_when_it_is_needed(
    make_settings: MakeSettings, auth: Auth
) -> None:
    chosen = make_settings(MlSettings, ml_loaded_models=1)
    async with running(create(chosen), auth(Role.SERVICE)) as client:
        for name, weights in (("one", [1.0, 1.0, 1.0]), ("two", [2.0, 2.0, 2.0])):
            await client.post(MODELS, json=upload(name=name, onnx=encoded(model(weights=weights))))
            await client.put(f"{MODELS}/{name}/aliases/champion", json={"version": "1.0.0"})
        scores: dict[str, set[float]] = {"one": set(), "two": set()}
        for index in range(6):
            name = ("one", "two")[index % 2]
            answer = await client.post(PREDICTIONS, json=request(f"p-{index}", model_name=name))
            scores[name].add(answer.json()["telemetry"]["raw_confidence"])
    assert {name: len(values) for name, values in scores.items()} == {"one": 1, "two": 1}
    assert scores["one"] != scores["two"]
