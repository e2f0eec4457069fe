from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from tests.harness import Tokens
from tests.integration.gateway.desk import Desk, Upstream, desk_of, served
from tests.integration.risk.processes import RiskProcess, Start


@pytest.fixture
def start(tokens: Tokens, tmp_path: Path, redis_url: str) -> Start:
    """Make risk as a process of its own on this test's Valkey."""

    def make(**settings: object) -> RiskProcess:
        return RiskProcess(str(settings.pop("database_url")), redis_url, tokens, tmp_path, **settings)

    return make


@pytest.fixture(scope="module")
def upstreams() -> Iterator[dict[str, tuple[Upstream, str]]]:
    risk, ml = Upstream("risk"), Upstream("ml")
    with served(risk) as risk_url, served(ml) as ml_url:
        yield {"risk": (risk, risk_url), "ml": (ml, ml_url)}


@pytest.fixture(scope="module")
def running_desk(upstreams: dict[str, tuple[Upstream, str]]) -> Iterator[Desk]:
    with desk_of(upstreams) as found:
        yield found


@pytest.fixture
def desk(running_desk: Desk) -> Iterator[Desk]:
    """The desk, with nothing seen yet and a client without cookies."""
    running_desk.risk.forget()
    running_desk.ml.forget()
    with httpx.Client(base_url=running_desk.client.base_url, trust_env=False) as client:
        yield replace(running_desk, client=client)
