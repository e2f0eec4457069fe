from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

import httpx
import psycopg
import pytest
from fastapi import FastAPI

from services.ml.main import create
from services.ml.settings import MlSettings
from shared.clock import ManualClock
from shared.roles import Role
from tests.conftest import MakeSettings
from tests.harness import plain, running
from tests.integration.ml.bodies import MODELS, upload

Auth = Callable[[Role], dict[str, str]]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2024, 5, 1, 12, tzinfo=UTC))


@pytest.fixture
def app(make_settings: MakeSettings, clock: ManualClock) -> FastAPI:
    return create(make_settings(MlSettings), clock)


@pytest.fixture
async def client(app: FastAPI, auth: Auth) -> AsyncIterator[httpx.AsyncClient]:
    """A client that speaks as another service."""
    async with running(app, auth(Role.SERVICE)) as client:
        yield client


@pytest.fixture
async def champion(client: httpx.AsyncClient) -> httpx.AsyncClient:
    """The client, with edge 1.0.0 registered as champion."""
    assert (await client.post(MODELS, json=upload())).status_code == 201
    answer = await client.put(f"{MODELS}/edge/aliases/champion", json={"version": "1.0.0"})
    assert answer.status_code == 200, answer.text
    return client


@pytest.fixture
def execute(database_url: str) -> Callable[..., list[tuple[object, ...]]]:
    """Run a statement behind the service's back and return its rows."""

    def run(statement: str, *values: object) -> list[tuple[object, ...]]:
        with psycopg.connect(plain(database_url), autocommit=True) as connection:
            cursor = connection.execute(statement.encode(), values)
            return cursor.fetchall() if cursor.description else []

    return run
