"""Marks through the one port of a running suite, as they are posted."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from shared.roles import Role
from tests.e2e.conftest import RunningSuite

pytestmark = pytest.mark.e2e
PATH = "/api/v1/marketdata"


def test_a_posted_bar_is_a_mark_on_the_stream(suite: RunningSuite) -> None:
    url = f"{suite.url.replace('http', 'ws', 1)}{PATH}/stream?symbols=E2E/LIVE&simulation_id=e2e-live"
    with suite.client(Role.SERVICE) as client:
        key = client.headers["Authorization"]
        with pytest.raises(InvalidStatus, match="401"):
            connect(url, proxy=None)
        with connect(url, proxy=None, additional_headers={"Authorization": key}) as socket:
            assert json.loads(socket.recv(10))["unknown"] == ["E2E/LIVE"]
            ts = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=5)
            prices = {"open": "5", "high": "6", "low": "4", "close": "5.5", "volume": "1"}
            bar = {"symbol": "E2E/LIVE", "interval": "1m", "ts": ts.isoformat(), **prices}
            body = {"source": "test", "simulation_id": "e2e-live", "bars": [bar]}
            assert client.post(f"{PATH}/bars", json=body).status_code == 200
            message = {"type": "heartbeat"}
            while message["type"] == "heartbeat":
                message = json.loads(socket.recv(10))
        assert (message["type"], message["mark"]["price"], message["skipped"]) == ("mark", "5.5", 0)
        found = client.get(f"{PATH}/marks/E2E/LIVE?simulation_id=e2e-live").json()
        assert (found["price"], found["held_in"]) == ("5.5", "redis")
