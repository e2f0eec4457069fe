"""`WS /stream`: a snapshot, then every change, to whoever may read and in the order of time."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.typing import Subprotocol

from services.marketdata.settings import MarketdataSettings
from shared.roles import Role
from tests.conftest import MakeSettings
from tests.harness import Tokens
from tests.integration.marketdata.streams import PATH, Served, mark, prices, stream_of, until

pytestmark = pytest.mark.integration


@pytest.fixture
async def served(make_settings: MakeSettings, tokens: Tokens) -> AsyncIterator[Served]:
    settings = make_settings(
        MarketdataSettings, marketdata_stream_heartbeat_seconds=0.3, marketdata_streams=3, marketdata_stream_symbols=5
    )
    async with stream_of(settings, tokens) as found:
        yield found


async def test_a_snapshot_is_followed_by_changes(served: Served) -> None:
    await served.publish(mark("A", 0), mark("A", 1), mark("B", 0, severity="critical"))
    async with served.reader("A,B,BTC/USDT") as reader:
        snapshot = await reader.next()
        assert snapshot["type"] == "snapshot"
        assert [(each["symbol"], each["price"], each["usable"]) for each in snapshot["marks"]] == [
            ("A", "2", True),
            ("B", "1", False),
        ]
        assert {each["held_in"] for each in snapshot["marks"]} == {"redis"}
        assert snapshot["unknown"] == ["BTC/USDT"]
        await served.publish(mark("BTC/USDT", 5), mark("C", 5), mark("B", 6, severity="warning"))
        found = await reader.marks(2)
    assert [(each["symbol"], each["price"], each["severity"], each["usable"], each["skipped"]) for each in found] == [
        ("BTC/USDT", "6", "ok", True, 0),
        ("B", "7", "warning", True, 0),
    ]
    await until(lambda: served.live.hub.listening == 0)


async def test_a_reader_that_keeps_up_sees_every_mark_in_order(served: Served) -> None:
    async with served.reader("A,B") as reader:
        await reader.next_of("snapshot")
        receiving = asyncio.create_task(reader.marks(2_000, 30))
        # More in one read of the stream than may wait.
        for number in range(0, 1_000, 500):
            await served.publish(*(mark(symbol, n) for n in range(number, number + 500) for symbol in "AB"))
        found = await receiving
    for symbol in "AB":
        assert list(prices(found, symbol)) == list(range(1, 1_001))
    assert {each["skipped"] for each in found} == {0}


async def test_a_late_mark_changes_nothing_and_a_simulation_is_apart(served: Served) -> None:
    await served.publish(mark("A", 9))
    async with served.reader("A") as live, served.reader("A", "&simulation_id=s1") as simulated:
        assert (await live.next_of("snapshot"))["marks"][0]["price"] == "10"
        assert (await simulated.next_of("snapshot"))["unknown"] == ["A"]
        await served.publish(mark("A", 3), mark("A", 1, simulation_id="s1"), mark("A", 10))
        assert [each["price"] for each in await live.marks(1)] == ["11"]
        found = await simulated.marks(1)
        assert (found[0]["price"], found[0]["simulation_id"]) == ("2", "s1")


async def test_silence_is_told_from_death(served: Served) -> None:
    async with served.reader("A") as reader:
        await reader.next_of("snapshot")
        beats = [await reader.next() for _ in range(3)]
    assert [(each["type"], each["live"], each["skipped"]) for each in beats] == [("heartbeat", True, 0)] * 3


async def test_one_reader_too_many_is_refused_until_another_has_left(served: Served) -> None:
    async with served.reader("A"), served.reader("A"), served.reader("A") as third:
        with pytest.raises(InvalidStatus) as refused:
            async with served.reader("A"):
                pass
        response = refused.value.response
        assert (response.status_code, response.headers["retry-after"]) == (503, "1")
        problem = json.loads(response.body)
        assert "TRADING_MARKETDATA_STREAMS" in problem["detail"]
        assert problem["correlation_id"] == response.headers["x-correlation-id"]
        await third.socket.close()
        await until(lambda: served.live.hub.listening == 2)
        async with served.reader("A") as again:
            await again.next_of("snapshot")


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("", "query.symbols"),
        ("symbols=", "query.symbols"),
        ("symbols=a b", "query.symbols"),
        ("symbols=A,B,C,D,E,F", "query.symbols"),
        ("symbols=A&symbols=B", "query.symbols"),
        ("symbols=A&simulation_id=%20", "query.simulation_id"),
        ("symbols=A&token=secret", "query.token"),
    ],
)
async def test_bad_parameters_are_refused_before_the_handshake(served: Served, query: str, named: str) -> None:
    url = served.url.replace("http", "ws", 1) + f"{PATH}?{query.replace(' ', '%20')}"
    with pytest.raises(InvalidStatus) as refused:
        await connect(url, proxy=None, additional_headers=served.tokens.auth(Role.VIEWER))
    assert refused.value.response.status_code == 422
    assert json.loads(refused.value.response.body)["errors"][0]["location"] == named
    assert served.live.hub.listening == 0


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"additional_headers": {"Authorization": "Bearer kl_unknown"}},
        {"additional_headers": {"Authorization": "Basic YTpi"}},
        {"subprotocols": [Subprotocol("bearer")]},
        {"subprotocols": [Subprotocol("bearer"), Subprotocol("nonsense")]},
    ],
)
async def test_whoever_has_no_key_is_refused_before_the_handshake(served: Served, options: dict[str, object]) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with served.reader("A", **{"additional_headers": {}, **options}):
            pass
    response = refused.value.response
    assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
    assert json.loads(response.body)["type"] == "urn:keelson:problem:unauthenticated"
    assert served.live.hub.listening == 0


@pytest.mark.parametrize(("query", "key", "status"), [("symbols=a b", None, 422), ("symbols=A", "kl_unknown", 401)])
async def test_a_refused_handshake_is_no_error_of_ours(
    served: Served, caplog: pytest.LogCaptureFixture, query: str, key: str | None, status: int
) -> None:
    url = served.url.replace("http", "ws", 1) + f"{PATH}?{query.replace(' ', '%20')}"
    headers = {"Authorization": f"Bearer {key}"} if key else served.tokens.auth(Role.VIEWER)
    with caplog.at_level(logging.INFO):
        for _ in range(5):
            with pytest.raises(InvalidStatus) as refused:
                await connect(url, proxy=None, additional_headers=headers)
            assert refused.value.response.status_code == status
        await asyncio.sleep(0.3)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR or record.exc_info] == []
    # It is told all the same, as any request is.
    assert [record for record in caplog.records if record.name == "keelson.http"]


async def test_a_browser_sends_its_key_as_a_subprotocol_and_never_gets_it_back(served: Served) -> None:
    token = served.tokens.by_role[Role.TRADER]
    offered = [Subprotocol("bearer"), Subprotocol(token)]
    async with served.reader("A", additional_headers={}, subprotocols=offered) as reader:
        assert (await reader.next())["type"] == "snapshot"
        assert reader.socket.subprotocol == "bearer"
        assert reader.socket.response is not None
        assert token not in str(reader.socket.response.headers)


async def test_every_connection_has_a_correlation_id(served: Served) -> None:
    headers = {**served.tokens.auth(Role.VIEWER), "X-Correlation-ID": "desk-7"}
    async with served.reader("A", additional_headers=headers) as reader:
        assert reader.socket.response is not None
        assert reader.socket.response.headers["x-correlation-id"] == "desk-7"
    async with served.reader("A") as reader:
        assert reader.socket.response is not None
        assert len(reader.socket.response.headers["x-correlation-id"]) == 32


async def test_a_reader_that_speaks_is_told_that_nothing_is_heard(served: Served) -> None:
    async with served.reader("A") as reader:
        await reader.next_of("snapshot")
        await reader.socket.send("subscribe B")
        with pytest.raises(ConnectionClosedError) as closed:
            await reader.next_of("the end")
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1003
    assert served.live.hub.listening == 0


async def test_who_may_no_longer_read_is_cut_off(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.marketdata.live.session._AUTHORISE_SECONDS", 0.2)
    async with served.reader("A") as reader:
        await reader.next_of("snapshot")
        kept = served.tokens.file.read_text()
        try:
            await asyncio.sleep(0.5)
            served.tokens.file.write_text('{"keys": []}')
            with pytest.raises(ConnectionClosedError) as closed:
                await reader.next_of("the end")
        finally:
            served.tokens.file.write_text(kept)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4401
