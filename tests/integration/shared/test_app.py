import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psycopg
import pytest
from fastapi import APIRouter, FastAPI

from shared.app import create_app
from shared.embedded import EmbeddedPostgres, EmbeddedValkey
from shared.embedded.process import leftovers, send
from shared.health import health_router
from shared.roles import Role
from shared.settings import AppSettings, ServiceSettings
from tests.conftest import MakeSettings
from tests.harness import plain, running
from tests.integration.shared.demo import demo_app

pytestmark = pytest.mark.integration
Auth = Callable[[Role], dict[str, str]]
BASE = "/api/v1/ml"


def make_table(url: str) -> None:
    with psycopg.connect(plain(url), autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE public.note (name text, CONSTRAINT late UNIQUE (name) DEFERRABLE INITIALLY DEFERRED)"
        )


@pytest.fixture
async def client(make_settings: MakeSettings, database_url: str, auth: Auth) -> AsyncIterator[httpx.AsyncClient]:
    make_table(database_url)
    async with running(demo_app(make_settings(ServiceSettings)), auth(Role.TRADER)) as client:
        yield client


def assert_problem(response: httpx.Response, status: int, kind: str) -> None:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    document = response.json()
    assert document["type"] == f"urn:keelson:problem:{kind}"
    assert document["status"] == status
    assert document["title"]
    assert document["detail"]
    assert document["correlation_id"] == response.headers["x-correlation-id"]


async def test_health_is_open_and_names_each_dependency(client: httpx.AsyncClient) -> None:
    client.headers.pop("authorization")
    assert (await client.get("/healthz")).json() == {"status": "alive", "service": "ml"}
    ready = await client.get("/readyz")
    assert ready.status_code == 200
    assert {name: state["ok"] for name, state in ready.json()["dependencies"].items()} == {
        "database": True,
        "redis": True,
    }


async def test_metrics_need_a_token_and_count_requests(client: httpx.AsyncClient) -> None:
    await client.get(f"{BASE}/notes")
    text = (await client.get("/metrics")).text
    assert 'handler="/api/v1/ml/notes"' in text
    client.headers.pop("authorization")
    assert_problem(await client.get("/metrics"), 401, "unauthenticated")


async def test_what_a_route_stores_is_committed_before_the_answer(client: httpx.AsyncClient) -> None:
    assert (await client.post(f"{BASE}/notes", json={"name": "a"})).json() == {"by": "test-trader"}
    assert (await client.get(f"{BASE}/notes")).json() == ["a"]


async def test_a_commit_that_fails_is_never_a_success(client: httpx.AsyncClient) -> None:
    await client.post(f"{BASE}/notes", json={"name": "a"})
    # The constraint is deferred: it fails in COMMIT, after the route returned.
    assert_problem(await client.post(f"{BASE}/notes", json={"name": "a"}), 500, "internal-error")
    assert (await client.get(f"{BASE}/notes")).json() == ["a"]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"{", "Expecting property name"),
        (b'{"name": }', "Expecting value"),
        (b'{"name": "\xff"}', "not text in UTF-8"),
        (b"\x80", "not text in UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"name": "a", "amount": ' + b"9" * 5000 + b"}", "too many digits"),
    ],
)
async def test_malformed_json_is_a_400_that_says_why(client: httpx.AsyncClient, body: bytes, why: str) -> None:
    response = await client.post(f"{BASE}/notes", content=body, headers={"content-type": "application/json"})
    assert_problem(response, 400, "malformed-json")
    assert why in response.json()["detail"]
    assert (await client.get(f"{BASE}/notes")).json() == []


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/xml", "", None])
async def test_a_body_that_is_not_announced_as_json_is_a_415(client: httpx.AsyncClient, kind: str | None) -> None:
    headers = {} if kind is None else {"content-type": kind}
    response = await client.post(f"{BASE}/notes", content=b'{"name": "a"}', headers=headers)
    assert_problem(response, 415, "unsupported-media-type")
    assert "application/json" in response.json()["detail"]
    assert (await client.get(f"{BASE}/notes")).json() == []
    good = {"content-type": "application/json; charset=utf-8"}
    assert (await client.post(f"{BASE}/notes", content=b'{"name": "a"}', headers=good)).status_code == 200


async def test_floats_unknown_and_missing_fields_are_named(client: httpx.AsyncClient) -> None:
    response = await client.post(f"{BASE}/notes", json={"amount": 1.5, "nmae": "x"})
    assert_problem(response, 422, "unprocessable")
    found = {error["location"]: error["code"] for error in response.json()["errors"]}
    assert found == {
        "body.name": "missing",
        "body.amount": "decimal_from_float",
        "body.nmae": "extra_forbidden",
    }


async def test_nul_characters_are_the_callers_error(client: httpx.AsyncClient) -> None:
    assert_problem(await client.post(f"{BASE}/notes", json={"name": "a\x00b"}), 422, "unprocessable")


async def test_a_lone_surrogate_is_the_callers_error(client: httpx.AsyncClient) -> None:
    response = await client.post(
        f"{BASE}/notes", content=b'{"name": "\\ud800"}', headers={"content-type": "application/json"}
    )
    assert_problem(response, 422, "unprocessable")


async def test_unknown_paths_and_methods_are_problems(client: httpx.AsyncClient) -> None:
    assert_problem(await client.get("/nowhere"), 404, "not-found")
    assert_problem(await client.delete(f"{BASE}/notes"), 405, "method-not-allowed")


async def test_a_slash_too_many_is_an_unknown_path(client: httpx.AsyncClient) -> None:
    for path in ("/healthz/", "/metrics/", f"{BASE}/notes/", f"{BASE}/notes//", f"{BASE}/nested/", f"{BASE}/nested/a/"):
        assert_problem(await client.get(path), 404, "not-found")
    assert_problem(await client.post(f"{BASE}/notes/", json={"name": "a"}), 404, "not-found")


@pytest.mark.parametrize(
    ("path", "unknown", "has"),
    [
        ("clock?nwo=1", ["query.nwo"], "it has none"),
        ("clock?b&a=", ["query.a", "query.b"], "it has none"),
        ("nested?name=x&nam=y", ["query.nam"], "it has name"),
        ("nested/x?name=y", ["query.name"], "it has none"),
        (f"clock?{'x' * 1000}=1", [f"query.{'x' * 100}"], "it has none"),
        ("nested?name=x&name=x", ["query.name"], "it has name"),
        ("kinds?kind=a&kind=b&name=c&name=", ["query.name"], "it has kind, name"),
    ],
)
async def test_query_parameters_that_a_route_does_not_have_or_takes_once_are_named(
    client: httpx.AsyncClient, path: str, unknown: list[str], has: str
) -> None:
    response = await client.get(f"/api/v1/ml/{path}")
    assert response.status_code == 422
    problem = response.json()
    assert problem["detail"] == f"The query is not of this route's parameters; {has}"
    assert [error["location"] for error in problem["errors"]] == unknown


async def test_a_query_parameter_that_a_route_has_is_taken(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/v1/ml/nested?name=x")).json() == "x"
    assert (await client.get("/api/v1/ml/kinds?kind=a&name=c&kind=b")).json() == ["a", "b", "c"]


async def test_a_bug_is_a_500_that_tells_nothing(client: httpx.AsyncClient) -> None:
    response = await client.get(f"{BASE}/bug")
    assert_problem(response, 500, "internal-error")
    assert "hunter2" not in response.text


async def test_a_problem_carries_its_extensions(client: httpx.AsyncClient) -> None:
    response = await client.get(f"{BASE}/conflict")
    assert_problem(response, 409, "conflict")
    assert response.json()["version"] == 3


async def test_a_correlation_id_is_kept_and_a_hostile_one_replaced(client: httpx.AsyncClient) -> None:
    kept = await client.get("/healthz", headers={"X-Correlation-ID": "run-17.a"})
    assert kept.headers["x-correlation-id"] == "run-17.a"
    for hostile in ("a b", "x" * 65, '"; drop', ""):
        made = await client.get("/healthz", headers={"X-Correlation-ID": hostile})
        assert len(made.headers["x-correlation-id"]) == 32


class TestBodyLimit:
    @pytest.fixture
    async def small(
        self, make_settings: MakeSettings, database_url: str, auth: Auth
    ) -> AsyncIterator[httpx.AsyncClient]:
        make_table(database_url)
        settings = make_settings(ServiceSettings, max_body_bytes=1024)
        async with running(demo_app(settings), auth(Role.TRADER)) as client:
            yield client

    async def test_an_announced_length_beyond_the_limit_is_a_413(self, small: httpx.AsyncClient) -> None:
        assert_problem(await small.post(f"{BASE}/notes", json={"name": "a" * 1024}), 413, "payload-too-large")

    async def test_a_body_of_unknown_length_is_cut_off(self, small: httpx.AsyncClient) -> None:
        async def endless() -> AsyncIterator[bytes]:
            for _ in range(100):
                yield b" " * 100

        response = await small.post(
            f"{BASE}/notes",
            content=endless(),
            headers={"transfer-encoding": "chunked", "content-type": "application/json"},
        )
        assert_problem(response, 413, "payload-too-large")

    async def test_a_chunked_body_within_the_limit_passes(self, small: httpx.AsyncClient) -> None:
        async def chunks() -> AsyncIterator[bytes]:
            yield b'{"name":'
            yield b'"a"}'

        response = await small.post(
            f"{BASE}/notes",
            content=chunks(),
            headers={"transfer-encoding": "chunked", "content-type": "application/json"},
        )
        assert response.status_code == 200

    async def test_the_limit_itself_passes(self, small: httpx.AsyncClient) -> None:
        body = b'{"name":"' + b"a" * (1024 - 11) + b'"}'
        assert len(body) == 1024
        response = await small.post(f"{BASE}/notes", content=body, headers={"content-type": "application/json"})
        assert response.status_code == 200


@contextmanager
def hanging(program: str, folder: Path) -> Iterator[None]:
    """Have the server of a folder, and its workers, hang."""
    found = leftovers(program, folder)
    assert found
    try:
        for pid in found:
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in found:
            send(pid, signal.SIGCONT)


class TestFaults:
    async def test_a_database_down_at_start_is_a_503_until_it_is_back(
        self, own_postgres: EmbeddedPostgres, make_settings: MakeSettings, auth: Auth
    ) -> None:
        url = own_postgres.start()
        make_table(url)
        own_postgres.stop()
        async with running(demo_app(make_settings(ServiceSettings, database_url=url)), auth(Role.TRADER)) as client:
            assert (await client.get("/healthz")).status_code == 200
            ready = await client.get("/readyz")
            assert_problem(ready, 503, "dependency-unavailable")
            assert ready.json()["dependencies"]["database"] == {"ok": False, "detail": "PostgreSQL does not answer"}
            assert_problem(await client.post(f"{BASE}/notes", json={"name": "a"}), 503, "dependency-unavailable")
            assert own_postgres.start() == url
            assert (await client.get("/readyz")).status_code == 200
            assert (await client.post(f"{BASE}/notes", json={"name": "a"})).status_code == 200

    async def test_a_database_lost_while_running_comes_back_by_itself(
        self, own_postgres: EmbeddedPostgres, make_settings: MakeSettings, auth: Auth
    ) -> None:
        url = own_postgres.start()
        make_table(url)
        async with running(demo_app(make_settings(ServiceSettings, database_url=url)), auth(Role.TRADER)) as client:
            assert (await client.post(f"{BASE}/notes", json={"name": "a"})).status_code == 200
            own_postgres.stop()
            assert_problem(await client.post(f"{BASE}/notes", json={"name": "b"}), 503, "dependency-unavailable")
            assert (await client.get("/readyz")).status_code == 503
            own_postgres.start()
            assert (await client.get(f"{BASE}/notes")).json() == ["a"]
            assert (await client.get("/readyz")).status_code == 200

    async def test_a_database_that_hangs_is_given_up_in_time_and_comes_back_by_itself(
        self, own_postgres: EmbeddedPostgres, make_settings: MakeSettings, auth: Auth, tmp_path: Path
    ) -> None:
        url = own_postgres.start()
        make_table(url)

        async def timed(call: Awaitable[httpx.Response]) -> tuple[httpx.Response, float]:
            begin = time.monotonic()
            return await call, time.monotonic() - begin

        async with running(demo_app(make_settings(ServiceSettings, database_url=url)), auth(Role.TRADER)) as client:
            assert (await client.post(f"{BASE}/notes", json={"name": "a"})).status_code == 200
            with hanging("postgres", tmp_path):
                (read, one), (written, two), *probes = await asyncio.gather(
                    timed(client.get(f"{BASE}/notes")),
                    timed(client.post(f"{BASE}/notes", json={"name": "b"})),
                    *(timed(client.get("/readyz")) for _ in range(3)),
                )
                assert_problem(read, 503, "dependency-unavailable")
                assert_problem(written, 503, "dependency-unavailable")
                assert "stored" not in read.json()["detail"]
                assert "stored whole or not at all" in written.json()["detail"]
                assert max(one, two) < 20
                # The connections that were open are given up by now; new ones are not made either.
                probes += [await timed(client.get("/readyz"))]
            for probe, seconds in probes:
                assert_problem(probe, 503, "dependency-unavailable")
                assert seconds < 4
                assert not probe.json()["dependencies"]["database"]["ok"]
                assert probe.json()["dependencies"]["redis"]["ok"]
            assert (await client.post(f"{BASE}/notes", json={"name": "c"})).status_code == 200
            assert (await client.get("/readyz")).status_code == 200
            assert "a" in (await client.get(f"{BASE}/notes")).json()

    async def test_a_redis_that_hangs_is_named_in_time(
        self, own_valkey: EmbeddedValkey, make_settings: MakeSettings, database_url: str, tmp_path: Path
    ) -> None:
        async with running(demo_app(make_settings(ServiceSettings, redis_url=own_valkey.start()))) as client:
            assert (await client.get("/readyz")).status_code == 200
            begin = time.monotonic()
            with hanging("valkey-server", tmp_path):
                ready = await client.get("/readyz")
            assert time.monotonic() - begin < 4
            assert ready.json()["dependencies"]["redis"] == {"ok": False, "detail": "no answer within 3 s"}

    async def test_a_lost_redis_is_named_and_comes_back(
        self, own_valkey: EmbeddedValkey, make_settings: MakeSettings, database_url: str, auth: Auth
    ) -> None:
        url = own_valkey.start()
        async with running(demo_app(make_settings(ServiceSettings, redis_url=url)), auth(Role.TRADER)) as client:
            assert (await client.get(f"{BASE}/redis")).status_code == 200
            own_valkey.stop()
            assert_problem(await client.get(f"{BASE}/redis"), 503, "dependency-unavailable")
            ready = await client.get("/readyz")
            assert ready.json()["dependencies"]["redis"] == {"ok": False, "detail": "Redis does not answer"}
            assert ready.json()["dependencies"]["database"]["ok"]
            assert own_valkey.start() == url
            assert (await client.get(f"{BASE}/redis")).status_code == 200

    async def test_tables_of_another_revision_are_not_ready(
        self, make_settings: MakeSettings, database_url: str, auth: Auth
    ) -> None:
        with psycopg.connect(plain(database_url), autocommit=True) as connection:
            connection.execute("UPDATE ml.alembic_version SET version_num = 'older'")
        async with running(demo_app(make_settings(ServiceSettings))) as client:
            detail = (await client.get("/readyz")).json()["dependencies"]["database"]["detail"]
            assert detail.startswith("at revision older")
            with psycopg.connect(plain(database_url), autocommit=True) as connection:
                connection.execute("DROP TABLE ml.alembic_version")
            detail = (await client.get("/readyz")).json()["dependencies"]["database"]["detail"]
            assert detail == "not migrated; run `keelson migrate`"


async def test_a_check_that_cannot_even_be_ended_is_not_waited_for() -> None:
    release = asyncio.Event()

    async def stubborn() -> str | None:
        while not release.is_set():
            with suppress(asyncio.CancelledError):
                await release.wait()
        raise RuntimeError("too late for anybody")

    async def well() -> str | None:
        return None

    app = FastAPI()
    app.include_router(health_router("x", {"stubborn": stubborn, "well": well}))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
        begin = time.monotonic()
        ready = await client.get("/readyz")
    release.set()
    assert time.monotonic() - begin < 4
    assert ready.json()["dependencies"] == {
        "stubborn": {"ok": False, "detail": "no answer within 3 s"},
        "well": {"ok": True, "detail": None},
    }


def test_a_route_without_a_role_does_not_start() -> None:
    router = APIRouter()

    @router.get("/open")
    async def get_open() -> None: ...

    with pytest.raises(RuntimeError, match="/api/v1/x/open names no role"):
        create_app(name="x", settings=AppSettings(), routers=[router])


def test_every_error_is_in_the_openapi_document(make_settings: MakeSettings) -> None:
    urls = {"database_url": "postgresql://nowhere/x", "redis_url": "redis://nowhere"}
    document = demo_app(make_settings(ServiceSettings, **urls)).openapi()
    responses = document["paths"][f"{BASE}/notes"]["post"]["responses"]
    assert set(responses) == {"200", "400", "401", "403", "408", "409", "413", "415", "422", "500", "503"}
    assert "application/problem+json" in responses["422"]["content"]
    assert "ProblemDocument" in document["components"]["schemas"]
    assert "FieldProblem" in document["components"]["schemas"]
