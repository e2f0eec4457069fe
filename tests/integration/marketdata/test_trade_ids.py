"""One trade id at several moments: one trade, however it comes."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from services.marketdata.settings import MarketdataSettings
from tests.conftest import MakeSettings
from tests.harness import Tokens
from tests.integration.marketdata.client import START, Client, client_of

pytestmark = pytest.mark.integration


@pytest.fixture
async def client(make_settings: MakeSettings, tokens: Tokens) -> AsyncIterator[Client]:
    async with client_of(make_settings(MarketdataSettings), tokens) as found:
        yield found


def tick(number: str, second: float, symbol: str = "X", quantity: str = "1") -> dict[str, Any]:
    ts = (START + timedelta(seconds=second)).isoformat()
    return {"symbol": symbol, "ts": ts, "trade_id": number, "price": "100", "quantity": quantity}


async def send(client: Client, *ticks: dict[str, Any], source: str = "test", **fields: Any) -> dict[int, list[str]]:
    answer = await client.post("/ticks", {"source": source, "simulation_id": "s1", "ticks": list(ticks), **fields})
    return {each["index"]: [issue["code"] for issue in each["issues"]] for each in answer["verdicts"]}


FOUND = ["duplicate_conflicting"]


async def volume(client: Client) -> str:
    (hour,) = (await client.get("/trade-volume/hourly?symbol=X&simulation_id=s1"))["items"]
    return str(hour["volume"])


async def test_within_a_batch(client: Client) -> None:
    assert await send(client, tick("1", 0), tick("2", 1), tick("1", 2)) == {2: FOUND}
    # Of another symbol it is another trade.
    assert await send(client, tick("1", 3, "Y")) == {}
    assert await volume(client) == "2"


async def test_across_batches_and_sources(client: Client) -> None:
    assert await send(client, *(tick(str(n), n) for n in range(100))) == {}
    late = [tick(str(n), 200 + n) for n in (10, 99, 100)]
    assert await send(client, *late) == {0: FOUND, 1: FOUND}
    assert await volume(client) == "101"
    # Sent again all is judged as it was: the first ones are right, and those that came later are not.
    assert await send(client, *(tick(str(n), n) for n in range(100))) == {}
    assert await send(client, *late) == {0: FOUND, 1: FOUND}
    # Of an earlier moment it is no less the same.
    assert await send(client, tick("50", -100), tick("new", -99)) == {0: FOUND}
    assert await send(client, *late, source="other") == {}
    assert await send(client, *late, simulation_id="s2") == {}


async def test_beyond_the_trades_that_are_looked_through_nothing_is_known(client: Client) -> None:
    assert await send(client, *(tick(str(n), n / 10) for n in range(1_500))) == {}
    assert await send(client, tick("499", 1_000), tick("500", 1_001)) == {1: FOUND}
