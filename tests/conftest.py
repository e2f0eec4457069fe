"""Fixtures on real servers: one PostgreSQL and one Valkey for the run, a fresh database for each test."""

import gc
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import psycopg
import pytest

from shared.embedded import EmbeddedPostgres, EmbeddedValkey
from shared.roles import Role
from shared.timescale import Rung, rung_of
from tests.harness import (
    S,
    Tokens,
    close_to_connections,
    fresh_database,
    make_tokens,
    migrate_all,
    plain,
    start_postgres,
    start_valkey,
)

_TEMPLATE = "keelson_template"
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@dataclass(frozen=True)
class Template:
    """A database to copy, and what it can do."""

    name: str
    rung: Rung


def pytest_collection_finish() -> None:
    """Keep what was imported out of collections: it stays until the end, and there is much of it."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000)


class MakeSettings(Protocol):
    def __call__(self, cls: type[S], **overrides: Any) -> S: ...


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The session's PostgreSQL, with a migrated template database."""
    server = start_postgres(tmp_path_factory.mktemp("servers"))
    url = server.start()
    try:
        with psycopg.connect(plain(url), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {_TEMPLATE}".encode())
        migrate_all(url.rsplit("/", 1)[0] + f"/{_TEMPLATE}")
        yield url
    finally:
        server.stop()


@pytest.fixture
def database_url(postgres_url: str) -> Iterator[str]:
    """A fresh, migrated database of this test alone."""
    with fresh_database(postgres_url, _TEMPLATE) as url:
        yield url


@pytest.fixture(scope="session")
def valkey_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The session's Valkey."""
    server = start_valkey(tmp_path_factory.mktemp("servers"))
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture
def redis_url(valkey_url: str) -> str:
    """The session's Valkey, emptied for this test."""
    from redis import Redis

    with Redis.from_url(valkey_url) as client:
        client.flushall()
    return valkey_url


@pytest.fixture
def own_postgres(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    """A migrated PostgreSQL of this test alone, running, to be stopped and started by it."""
    server = start_postgres(tmp_path)
    try:
        migrate_all(server.start())
        yield server
    finally:
        server.stop()


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[EmbeddedValkey]:
    """A Valkey of this test alone, running, to be stopped and started by it."""
    server = start_valkey(tmp_path)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Tokens:
    """An API key for each role."""
    return make_tokens(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="session")
def auth(tokens: Tokens) -> Callable[[Role], dict[str, str]]:
    """The headers that make a request speak for a role."""
    return tokens.auth


@pytest.fixture
def make_settings(request: pytest.FixtureRequest, tokens: Tokens, tmp_path: Path) -> MakeSettings:
    """Settings of a service on this test's database and Valkey, unless overridden."""

    def make(cls: type[S], **overrides: Any) -> S:
        values = {
            "environment": "test",
            "log_level": "ERROR",
            "log_stdout": False,
            "api_keys_file": tokens.file,
            "service_token": tokens.by_role[Role.SERVICE],
        }
        for name in ("database_url", "redis_url"):
            if name not in overrides:
                values[name] = request.getfixturevalue(name)
        return cls(**{**values, "elasticsearch_fallback_file": tmp_path / "fallback.json", **overrides})

    return make


@pytest.fixture(scope="session")
def market_data() -> Path:
    """The folder of real market data; the test is skipped where it is not there."""
    if not DATA.is_dir():
        pytest.skip(f"no market data at {DATA}")
    return DATA


@pytest.fixture(scope="session")
def timescaledb_url() -> str:
    """A server of TimescaleDB, of either edition, whose superuser may make databases."""
    url = os.environ.get("KEELSON_TEST_TIMESCALEDB_URL")
    if not url:
        pytest.skip("no TimescaleDB: KEELSON_TEST_TIMESCALEDB_URL names no server")
    return url


@pytest.fixture(scope="session")
def timescaledb_template(timescaledb_url: str) -> Iterator[Template]:
    """A migrated database on TimescaleDB to copy, and what migrations found it to be."""
    with fresh_database(timescaledb_url, "template0") as url:
        migrate_all(url)
        with psycopg.connect(plain(url)) as connection:
            license_ = connection.execute("SELECT current_setting('timescaledb.license')").fetchone()
        close_to_connections(timescaledb_url, name := url.rsplit("/", 1)[1])
        assert license_ is not None
        yield Template(name, rung_of(license_[0]))


@pytest.fixture
def timescale_database_url(timescaledb_url: str, timescaledb_template: Template) -> Iterator[str]:
    """A fresh, migrated database on TimescaleDB."""
    with fresh_database(timescaledb_url, timescaledb_template.name) as url:
        yield url


@pytest.fixture
def aggregates_database_url(timescaledb_template: Template, request: pytest.FixtureRequest) -> str:
    """A fresh, migrated database on TimescaleDB's community edition."""
    if not timescaledb_template.rung.aggregates:
        pytest.skip(f"only TimescaleDB's community edition has it; the server is {timescaledb_template.rung}")
    url: str = request.getfixturevalue("timescale_database_url")
    return url


@pytest.fixture(params=["postgresql", "timescaledb"])
def series_database_url(request: pytest.FixtureRequest) -> str:
    """A fresh, migrated database on plain PostgreSQL, and one on TimescaleDB where there is a server of it."""
    name = "database_url" if request.param == "postgresql" else "timescale_database_url"
    url: str = request.getfixturevalue(name)
    return url
