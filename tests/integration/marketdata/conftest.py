"""A marketdata service over HTTP, and somebody who takes folders of data in."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from services.marketdata.main import create
from services.marketdata.settings import MarketdataSettings
from shared.roles import Role
from tests.conftest import MakeSettings
from tests.harness import Tokens, serving
from tests.integration.marketdata.ingesting import Desk
from tests.integration.marketdata.watched import Watched, watched

Serve = Callable[..., AbstractAsyncContextManager[str]]


@pytest.fixture
def serve(make_settings: MakeSettings) -> Serve:
    """What serves marketdata over HTTP, again where a port is named."""
    return lambda port=0, **settings: serving(create(make_settings(MarketdataSettings, **settings)), port)


@pytest.fixture
async def url(serve: Serve) -> AsyncIterator[str]:
    async with serve() as found:
        yield found


@pytest.fixture
def desk(url: str, tokens: Tokens, tmp_path: Path) -> Desk:
    return Desk(url, tokens.by_role[Role.SERVICE], tmp_path / "var")


@pytest.fixture
async def live(make_settings: MakeSettings, tokens: Tokens) -> AsyncIterator[Watched]:
    """A service whose time and monitor are in the test's hands."""
    settings = make_settings(MarketdataSettings, marketdata_monitor_seconds=60)
    async with watched(settings, tokens) as found:
        yield found
