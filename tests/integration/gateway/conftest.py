from pathlib import Path

import pytest

from tests.harness import Tokens
from tests.integration.risk.processes import RiskProcess, Start


@pytest.fixture
def start(tokens: Tokens, tmp_path: Path, redis_url: str) -> Start:
    """Make risk as a process of its own on this test's Valkey."""

    def make(**settings: object) -> RiskProcess:
        return RiskProcess(str(settings.pop("database_url")), redis_url, tokens, tmp_path, **settings)

    return make
