from collections.abc import Callable
from itertools import count
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.ml.main import create
from services.ml.settings import MlSettings
from shared.roles import Role
from tests.conftest import MakeSettings
from tests.harness import running
from tests.integration.ml.bodies import MODELS, PREDICTIONS, encoded, request, upload
from tests.unit.ml.onnx_factory import NAMES, model

pytestmark = pytest.mark.integration
Execute = Callable[..., list[tuple[Any, ...]]]
Auth = Callable[[Role], dict[str, str]]
_IDS = count()
_FLOAT = st.floats(-1e38, 1e38, allow_subnormal=True)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(features=st.fixed_dictionaries(dict.fromkeys(NAMES, _FLOAT)))
async def test_any_score_is_recomputed_bit_for_bit(champion: httpx.AsyncClient, features: dict[str, float]) -> None:
    prediction_id = f"h-{next(_IDS)}"
    scored = await champion.post(PREDICTIONS, json=request(prediction_id, features=features))
    assert scored.status_code == 200, scored.text
    answer = await champion.post(f"{PREDICTIONS}/{prediction_id}/replay")
    calibrated = scored.json()["telemetry"]["calibrated_confidence"]
    assert answer.json() == {
        "prediction_id": prediction_id,
        "stored": calibrated,
        "recomputed": calibrated,
        "identical": True,
    }


async def test_another_process_recomputes_the_same_bits(make_settings: MakeSettings, auth: Auth) -> None:
    chosen, service = make_settings(MlSettings), auth(Role.SERVICE)
    async with running(create(chosen), service) as client:
        await client.post(MODELS, json=upload())
        await client.put(f"{MODELS}/edge/aliases/champion", json={"version": "1.0.0"})
        await client.post(PREDICTIONS, json=request())
    async with running(create(chosen), service) as client:
        assert (await client.post(f"{PREDICTIONS}/p-1/replay")).json()["identical"] is True


async def test_replay_uses_the_model_that_scored_and_not_the_champion_of_today(champion: httpx.AsyncClient) -> None:
    first = (await champion.post(PREDICTIONS, json=request())).json()["telemetry"]
    await champion.post(MODELS, json=upload(version="2.0.0", onnx=encoded(model(weights=[1.0, 2.0, 3.0]))))
    await champion.put(f"{MODELS}/edge/aliases/champion", json={"version": "2.0.0"})
    other = (await champion.post(PREDICTIONS, json=request("p-2"))).json()["telemetry"]
    assert other["calibrated_confidence"] != first["calibrated_confidence"]
    answer = (await champion.post(f"{PREDICTIONS}/p-1/replay")).json()
    assert answer["identical"] is True
    assert answer["recomputed"] == first["calibrated_confidence"]


@pytest.mark.parametrize("column", ["raw", "calibrated"])
async def test_one_changed_bit_of_a_stored_score_is_seen(
    champion: httpx.AsyncClient, execute: Execute, column: str
) -> None:
    telemetry = (await champion.post(PREDICTIONS, json=request())).json()["telemetry"]
    value = telemetry[f"{column}_confidence"]
    execute(f"UPDATE ml.prediction SET {column} = %s", value * (1 + 2**-52))
    answer = (await champion.post(f"{PREDICTIONS}/p-1/replay")).json()
    assert answer["identical"] is False
    assert answer["recomputed"] == telemetry["calibrated_confidence"]


async def test_a_changed_feature_is_seen(champion: httpx.AsyncClient, execute: Execute) -> None:
    await champion.post(PREDICTIONS, json=request())
    execute("UPDATE ml.prediction SET features = replace(features::text, '0.25', '0.75')::json")
    assert (await champion.post(f"{PREDICTIONS}/p-1/replay")).json()["identical"] is False


async def test_features_that_no_longer_fit_the_model_are_an_integrity_problem(
    champion: httpx.AsyncClient, execute: Execute
) -> None:
    await champion.post(PREDICTIONS, json=request())
    execute("UPDATE ml.prediction SET features = replace(features::text, 'pcr', 'vix')::json")
    answer = await champion.post(f"{PREDICTIONS}/p-1/replay")
    assert answer.status_code == 500
    assert answer.json()["type"] == "urn:keelson:problem:model-integrity"
