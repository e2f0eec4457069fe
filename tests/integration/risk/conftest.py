from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from services.risk.main import create
from services.risk.settings import RiskSettings
from shared.clock import Clock
from shared.roles import Role
from tests.conftest import MakeSettings
from tests.harness import Tokens, running
from tests.integration.risk.client import RiskClient, until
from tests.integration.risk.processes import RiskProcess, Start

Running = Callable[..., AbstractAsyncContextManager[RiskClient]]


@pytest.fixture
def run_risk(make_settings: MakeSettings, auth: Callable[[Role], dict[str, str]]) -> Running:
    """Run the service on this test's servers; the client speaks as a service until told otherwise."""

    @asynccontextmanager
    async def run(*, ready: bool = True, clock: Clock | None = None, **overrides: object) -> AsyncIterator[RiskClient]:
        app = create(make_settings(RiskSettings, **overrides), clock)
        async with running(app, auth(Role.SERVICE)) as http:
            client = RiskClient(http, auth, app)
            if ready:
                await until(client.ready)
            yield client

    return run


@pytest.fixture
async def risk(run_risk: Running) -> AsyncIterator[RiskClient]:
    async with run_risk() as client:
        await client.set_up()
        yield client


@pytest.fixture
def start(request: pytest.FixtureRequest, tokens: Tokens, tmp_path: Path) -> Start:
    """Make the service as a process of its own, on this test's servers unless others are named."""

    def make(**settings: object) -> RiskProcess:
        urls = [settings.pop(name, None) or request.getfixturevalue(name) for name in ("database_url", "redis_url")]
        return RiskProcess(*urls, tokens, tmp_path, **settings)

    return make
