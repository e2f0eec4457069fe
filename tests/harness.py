"""What tests of several services share: servers, databases, settings, tokens, running apps."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import httpx
import psycopg
import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp

from shared.api_keys import create_key
from shared.embedded import EmbeddedPostgres, EmbeddedValkey
from shared.migrations import SERVICES, upgrade
from shared.roles import Role
from shared.settings import ServiceSettings

S = TypeVar("S", bound=ServiceSettings)


def plain(url: str) -> str:
    """Return a URL as psycopg itself takes it."""
    return url.replace("postgresql+psycopg://", "postgresql://")


def migrate_all(url: str) -> None:
    for service in SERVICES:
        upgrade(service, url)


@dataclass(frozen=True)
class Tokens:
    """An API key for each role, and the file services check them against."""

    file: Path
    by_role: dict[Role, str]

    def auth(self, role: Role) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.by_role[role]}"}


def make_tokens(folder: Path) -> Tokens:
    file = folder / "api-keys.json"
    return Tokens(file, {role: create_key(file, f"test-{role}", role) for role in Role})


@contextmanager
def fresh_database(server_url: str, template: str) -> Iterator[str]:
    """Yield the URL of a new copy of the template database, dropped afterwards."""
    name = f"t_{uuid4().hex[:12]}"
    with psycopg.connect(plain(server_url), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'.encode())
    try:
        yield server_url.rsplit("/", 1)[0] + f"/{name}"
    finally:
        with psycopg.connect(plain(server_url), autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


def close_to_connections(server_url: str, name: str) -> None:
    """Let nobody connect to a database any more, TimescaleDB's workers neither: it is copied while nobody uses it."""
    with psycopg.connect(plain(server_url), autocommit=True) as connection:
        connection.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false'.encode())
        connection.execute("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = %s", [name])


def start_postgres(folder: Path) -> EmbeddedPostgres:
    return EmbeddedPostgres(folder / "postgres", log_file=folder / "postgres.log", fast=True)


def start_valkey(folder: Path) -> EmbeddedValkey:
    return EmbeddedValkey(folder / "valkey", log_file=folder / "valkey.log")


@asynccontextmanager
async def running(app: FastAPI, headers: dict[str, str] | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """Run an app's lifespan and yield a client that calls it in this process."""
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://keelson", headers=headers) as client:
            yield client


class QuietServer(uvicorn.Server):
    """A server of this process that leaves its signals alone."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serving(app: ASGIApp, port: int = 0, **options: Any) -> AsyncIterator[str]:
    """Serve an app over HTTP on loopback and yield its URL."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    options = {"timeout_graceful_shutdown": 1, "proxy_headers": False, **options}
    config = uvicorn.Config(app, log_config=None, **options)
    server = QuietServer(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        while not server.started:
            assert not task.done(), "the app does not start"
            await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task
        listener.close()


@contextmanager
def frozen(url: str) -> Iterator[None]:
    """A PostgreSQL that hangs: its connections stay open, it takes new ones, and answers nobody."""
    with psycopg.connect(plain(url)) as connection:
        pids = [row[0] for row in connection.execute("SELECT pid FROM pg_stat_activity")]
    own = Path(f"/proc/{pids[0]}/stat").read_text().rpartition(")")[2].split()
    processes = [int(own[1]), *(pid for pid in pids if Path(f"/proc/{pid}").exists())]
    for pid in processes:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in processes:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
