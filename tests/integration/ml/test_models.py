import asyncio
import hashlib
import pickle
from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from onnx import TensorProto, helper

from services.ml.main import create
from services.ml.settings import MlSettings
from shared.clock import ManualClock
from shared.roles import Role
from tests.conftest import MakeSettings
from tests.harness import running
from tests.integration.ml.bodies import MODELS, encoded, upload
from tests.unit.ml.onnx_factory import external_tensor, model, signature

pytestmark = pytest.mark.integration
Execute = Callable[..., list[tuple[Any, ...]]]
Auth = Callable[[Role], dict[str, str]]


async def test_a_registered_model_is_returned_by_version(client: httpx.AsyncClient) -> None:
    body = upload()
    answer = await client.post(MODELS, json=body)
    assert answer.status_code == 201, answer.text
    view = answer.json()
    assert view == {
        "name": "edge",
        "version": "1.0.0",
        "sha256": hashlib.sha256(b64decode(body["onnx"])).hexdigest(),
        "signature": body["signature"],
        "training_data_hash": "a" * 64,
        "metrics": {"auc": 0.61, "brier": -0.0},
        "trained_at": "2024-04-30T18:00:00Z",
        "registered_at": "2024-05-01T12:00:00Z",
        "aliases": [],
    }
    assert (await client.get(f"{MODELS}/edge/1.0.0")).json() == view


async def test_the_bytes_are_stored_as_sent_and_with_who_sent_them(client: httpx.AsyncClient, execute: Execute) -> None:
    body = upload()
    await client.post(MODELS, json=body)
    assert execute("SELECT onnx, registered_by FROM ml.model") == [(b64decode(body["onnx"]), "test-service")]


async def test_the_same_model_again_changes_nothing(
    client: httpx.AsyncClient, clock: ManualClock, execute: Execute
) -> None:
    first = await client.post(MODELS, json=upload())
    clock.advance(timedelta(hours=1))
    again = await client.post(MODELS, json=upload(trained_at="2024-04-30T23:30:00+05:30"))
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    assert execute("SELECT count(*) FROM ml.model") == [(1,)]


@pytest.mark.parametrize(
    "changes",
    [
        {"onnx": encoded(model(weights=[1.0, 2.0, 3.0]))},
        {"signature": signature(("momentum", "spread", "pcr")).model_dump(mode="json")},
        {"training_data_hash": "b" * 64},
        {"metrics": {}},
        {"trained_at": "2024-04-30T18:00:01Z"},
    ],
    ids=lambda changes: next(iter(changes)),
)
async def test_other_content_under_a_version_is_a_conflict(client: httpx.AsyncClient, changes: dict[str, Any]) -> None:
    first = (await client.post(MODELS, json=upload())).json()
    answer = await client.post(MODELS, json=upload(**changes))
    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:keelson:problem:model-conflict"
    assert (await client.get(f"{MODELS}/edge/1.0.0")).json() == first


async def test_the_same_upload_many_times_at_once_registers_one(client: httpx.AsyncClient, execute: Execute) -> None:
    answers = await asyncio.gather(*(client.post(MODELS, json=upload()) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert len({answer.text for answer in answers}) == 1
    assert execute("SELECT count(*) FROM ml.model") == [(1,)]


def _bad_uploads() -> dict[str, tuple[dict[str, Any], str]]:
    good = model().SerializeToString()
    contrib = model(
        raw=[helper.make_node("Gelu", ["linear"], ["raw"], domain="com.microsoft")],
        opsets=[helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)],
    )
    outside = model(
        initializers=[external_tensor("/etc/hostname")],
        calibrated=[helper.make_node("Mul", ["raw", "outside"], ["calibrated"])],
    )
    random = model(calibrated=[helper.make_node("RandomUniformLike", ["raw"], ["calibrated"])])
    custom = model(
        raw=[helper.make_node("Steal", ["linear"], ["raw"], domain="evil")],
        opsets=[helper.make_opsetid("", 17), helper.make_opsetid("evil", 1)],
    )
    return {
        "truncated": ({"onnx": b64encode(good[:-9]).decode()}, "not an ONNX model"),
        "empty": ({"onnx": ""}, "not an ONNX model"),
        "pickle": ({"onnx": b64encode(pickle.dumps({"w": [1.0]})).decode()}, "not an ONNX model"),
        "contrib operator": ({"onnx": encoded(contrib)}, "com.microsoft"),
        "custom operator": ({"onnx": encoded(custom)}, "evil"),
        "external data": ({"onnx": encoded(outside)}, "outside is kept in another file"),
        "random": ({"onnx": encoded(random)}, "RandomUniformLike"),
        "unknown operator": (
            {"onnx": encoded(model(raw=[helper.make_node("NoSuch", ["linear"], ["raw"])]))},
            "onnxruntime cannot load it",
        ),
        "input name": ({"onnx": encoded(model(input_name="x"))}, "one input, `features`"),
        "double input": (
            {
                "onnx": encoded(
                    model(
                        input_type=TensorProto.DOUBLE,
                        raw=[helper.make_node("Sigmoid", ["linear"], ["raw"])],
                    )
                )
            },
            "onnxruntime cannot load it",
        ),
        "wrong width": ({"onnx": encoded(model(features=2))}, "must have shape [n, 3]"),
        "no probability": (
            {"onnx": encoded(model(calibrated=[helper.make_node("Neg", ["raw"], ["calibrated"])]))},
            "not a probability",
        ),
        "feature twice": (
            {"signature": signature(("spread", "spread", "pcr")).model_dump(mode="json")},
            "spread is listed 2 times",
        ),
        "empty range": (
            {"signature": signature(minimum=1, maximum=0).model_dump(mode="json")},
            "minimum above maximum",
        ),
    }


@pytest.mark.parametrize("case", _bad_uploads())
async def test_a_bad_model_is_refused_with_its_reason_and_not_stored(
    client: httpx.AsyncClient, execute: Execute, case: str
) -> None:
    changes, says = _bad_uploads()[case]
    answer = await client.post(MODELS, json=upload(**changes))
    problem = answer.json()
    assert answer.status_code == 422, answer.text
    assert problem["type"] == "urn:keelson:problem:invalid-model"
    assert says in problem["detail"]
    assert any(says in error["message"] for error in problem["errors"])
    assert execute("SELECT count(*) FROM ml.model") == [(0,)]


@pytest.mark.parametrize(
    ("changes", "location"),
    [
        ({"onnx": "!!!!"}, "body.onnx"),
        ({"onnx": "aGVsbG8"}, "body.onnx"),
        ({"onnx": 7}, "body.onnx"),
        ({"version": "1.0"}, "body.version"),
        ({"version": "1.0." + "1" * 100}, "body.version"),
        ({"name": "../etc"}, "body.name"),
        ({"training_data_hash": "abc"}, "body.training_data_hash"),
        ({"trained_at": 1714521600}, "body.trained_at"),
        ({"pickle": "x"}, "body.pickle"),
    ],
)
async def test_a_bad_field_is_named(client: httpx.AsyncClient, changes: dict[str, Any], location: str) -> None:
    answer = await client.post(MODELS, json=upload(**changes))
    assert answer.status_code == 422
    assert [error["location"] for error in answer.json()["errors"]] == [location]


async def test_a_model_above_the_limit_is_refused_and_a_body_above_its_own_is_413(
    make_settings: MakeSettings, auth: Auth
) -> None:
    settings = make_settings(MlSettings, ml_max_model_bytes=2_000, max_body_bytes=8_000)
    async with running(create(settings), auth(Role.SERVICE)) as client:
        large = await client.post(MODELS, json=upload(onnx=b64encode(b"x" * 2_001).decode()))
        huge = await client.post(MODELS, json=upload(onnx=b64encode(b"x" * 20_000).decode()))
    assert large.status_code == 422
    assert "has 2001 bytes; at most 2000 are taken" in large.json()["detail"]
    assert huge.status_code == 413


async def test_an_alias_moves_and_its_moves_are_on_record(
    client: httpx.AsyncClient, clock: ManualClock, auth: Auth, execute: Execute
) -> None:
    for version in ("1.0.0", "1.1.0"):
        await client.post(MODELS, json=upload(version=version))
    path = f"{MODELS}/edge/aliases/champion"
    assert (await client.put(path, json={"version": "1.0.0"})).json()["aliases"] == ["champion"]
    assert (await client.put(f"{MODELS}/edge/aliases/shadow", json={"version": "1.0.0"})).json()["aliases"] == [
        "champion",
        "shadow",
    ]
    clock.advance(timedelta(minutes=1))
    for _ in range(2):
        moved = await client.put(path, json={"version": "1.1.0"}, headers=auth(Role.ADMIN))
        assert moved.json()["aliases"] == ["champion"]
    assert (await client.get(f"{MODELS}/edge/champion")).json()["version"] == "1.1.0"
    assert (await client.get(f"{MODELS}/edge/1.0.0")).json()["aliases"] == ["shadow"]
    assert execute(
        "SELECT previous_version, version, set_by, extract(minute FROM set_at)::int FROM ml.alias_change"
        " WHERE alias = 'champion' ORDER BY change_id"
    ) == [(None, "1.0.0", "test-service", 0), ("1.0.0", "1.1.0", "test-admin", 1)]


async def test_moves_of_one_alias_at_once_leave_an_unbroken_record(client: httpx.AsyncClient, execute: Execute) -> None:
    versions = [f"1.0.{patch}" for patch in range(6)]
    for version in versions:
        await client.post(MODELS, json=upload(version=version))
    path = f"{MODELS}/edge/aliases/champion"
    await asyncio.gather(*(client.put(path, json={"version": version}) for version in versions))
    moves = execute("SELECT previous_version, version FROM ml.alias_change ORDER BY change_id")
    assert len(moves) == 6
    assert [before for before, _ in moves] == [None, *(after for _, after in moves[:-1])]
    assert (await client.get(f"{MODELS}/edge/champion")).json()["version"] == moves[-1][1]


async def test_an_alias_cannot_point_at_an_unknown_version(client: httpx.AsyncClient, execute: Execute) -> None:
    await client.post(MODELS, json=upload())
    for path, version in (("edge", "9.9.9"), ("other", "1.0.0")):
        answer = await client.put(f"{MODELS}/{path}/aliases/champion", json={"version": version})
        assert answer.status_code == 404
        assert answer.json()["type"] == "urn:keelson:problem:model-not-found"
    assert (await client.put(f"{MODELS}/edge/aliases/king", json={"version": "1.0.0"})).status_code == 422
    assert execute("SELECT count(*) FROM ml.alias_change") == [(0,)]


@pytest.mark.parametrize(("path", "status"), [("edge/2.0.0", 404), ("edge/champion", 404), ("edge/latest", 422)])
async def test_what_is_not_registered_is_not_found(client: httpx.AsyncClient, path: str, status: int) -> None:
    await client.post(MODELS, json=upload())
    assert (await client.get(f"{MODELS}/{path}")).status_code == status


async def test_pages_list_every_model_once_newest_first(client: httpx.AsyncClient) -> None:
    for patch in range(5):
        await client.post(MODELS, json=upload(version=f"1.0.{patch}"))
    seen, cursor = [], None
    while True:
        query = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        page = (await client.get(MODELS, params=query)).json()
        seen.append([model["version"] for model in page["items"]])
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == [["1.0.4", "1.0.3"], ["1.0.2", "1.0.1"], ["1.0.0"]]


@pytest.mark.parametrize("cursor", ["nonsense", "e30"])
async def test_a_made_up_cursor_is_refused(client: httpx.AsyncClient, cursor: str) -> None:
    assert (await client.get(MODELS, params={"cursor": cursor})).status_code == 400


@pytest.mark.parametrize("role", [Role.VIEWER, Role.TRADER, Role.RISK_OFFICER])
async def test_only_admin_and_service_change_the_registry(champion: httpx.AsyncClient, auth: Auth, role: Role) -> None:
    refused = [
        await champion.post(MODELS, json=upload(version="2.0.0"), headers=auth(role)),
        await champion.put(f"{MODELS}/edge/aliases/shadow", json={"version": "1.0.0"}, headers=auth(role)),
    ]
    assert [answer.status_code for answer in refused] == [403, 403]
    read = [await champion.get(path, headers=auth(role)) for path in (MODELS, f"{MODELS}/edge/champion")]
    assert [answer.status_code for answer in read] == [200, 200]
    assert read[1].json()["aliases"] == ["champion"]


async def test_an_empty_cursor_is_the_first_page(champion: httpx.AsyncClient) -> None:
    assert (await champion.get(f"{MODELS}?cursor=")).json() == (await champion.get(MODELS)).json()
    assert (await champion.get(f"{MODELS}?cursor=x")).status_code == 400
