"""`WS /stream` when its readers are slow, silent or gone, and when Redis or the service itself goes."""

import asyncio
import base64
import os
import socket
import time
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from prometheus_client import REGISTRY
from redis.asyncio import Redis
from websockets.exceptions import ConnectionClosed

from services.marketdata.core.live.buffer import SLACK
from services.marketdata.settings import MarketdataSettings
from shared.embedded import EmbeddedValkey
from shared.events import MARKS_STREAM
from shared.roles import Role
from tests.conftest import MakeSettings
from tests.harness import Tokens
from tests.integration.marketdata.streams import PATH, Served, mark, stream_of, until

pytestmark = pytest.mark.integration
BURST = 2_000


@pytest.fixture
async def served(make_settings: MakeSettings, tokens: Tokens) -> AsyncIterator[Served]:
    # Long: how slow a reader is depends on the machine.
    settings = make_settings(
        MarketdataSettings, marketdata_stream_heartbeat_seconds=0.3, marketdata_stream_send_seconds=60
    )
    async with stream_of(settings, tokens) as found:
        yield found


def narrow(served: Served) -> dict[str, Any]:
    """Return the options of a reader for which little waits on its own side."""
    parts = urlsplit(served.url)
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect((parts.hostname, parts.port))
    return {"sock": connection, "max_queue": 1}


def stuck(served: Served, symbols: str = "A,B") -> socket.socket:
    """Open a stream and never read from it."""
    parts = urlsplit(served.url)
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(10)
    connection.connect((parts.hostname, parts.port))
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [
        f"GET {PATH}?symbols={symbols} HTTP/1.1",
        "Host: x",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {key}",
        f"Authorization: Bearer {served.tokens.by_role[Role.VIEWER]}",
    ]
    connection.sendall("\r\n".join([*lines, "", ""]).encode())
    return connection


def connections(served: Served) -> int:
    """Return how many connections the service has open."""
    port = f":{urlsplit(served.url).port:04X}"
    rows = [line.split() for line in Path("/proc/self/net/tcp").read_text().splitlines()[1:]]
    # The kernel's own, without a file of a process, have the inode 0.
    return sum(1 for row in rows if row[1].endswith(port) and row[3] != "0A" and row[9] != "0")


async def burst(served: Served, begin: int, end: int) -> int:
    """Publish marks of A and B, wait until they are delivered, and return the most that waited for a reader."""
    most = 0
    for number in range(begin, end, 100):
        await served.publish(*(mark(symbol, n) for n in range(number, number + 100) for symbol in "AB"))
        await asyncio.sleep(0)
        most = max([most, *(len(each.buffer) for each in served.subscriptions)])
    newest = mark("B", end - 1).ts_event
    await until(lambda: all(each.buffer._newest.get("B") == newest for each in served.subscriptions), 30)
    return most


async def test_a_slow_reader_gets_the_latest_and_is_told_what_it_missed(served: Served) -> None:
    counted = REGISTRY.get_sample_value("marketdata_stream_conflated_total") or 0
    async with served.reader("A,B", **narrow(served)) as slow, served.reader("A,B") as fast:
        await slow.next_of("snapshot")
        await fast.next_of("snapshot")
        reading = asyncio.create_task(fast.marks(2 * 5_000, 60))
        most = await burst(served, 0, 5_000)
        # How much of it was seen full depends on when it was looked at; that it was is told by what was skipped.
        assert most <= SLACK + 2
        assert {each["skipped"] for each in await reading} == {0}, "one reader's slowness is another's"
        read: list[dict[str, Any]] = []
        while sum(1 + each["skipped"] for each in read) < 2 * 5_000:
            read += await slow.marks(1)
        beat = await slow.next_of("heartbeat")
    for symbol in "AB":
        mine = [each for each in read if each["symbol"] == symbol]
        assert mine[-1]["price"] == "5000"
        assert sum(1 + each["skipped"] for each in mine) == 5_000
        assert [each["ts_event"] for each in mine] == sorted(each["ts_event"] for each in mine)
    skipped = sum(each["skipped"] for each in read)
    assert len(read) < 5_000
    assert beat["skipped"] == skipped
    assert (REGISTRY.get_sample_value("marketdata_stream_conflated_total") or 0) - counted == skipped


async def test_ten_times_the_burst_takes_no_more_memory(served: Served) -> None:
    with closing(stuck(served)), closing(stuck(served)):
        await until(lambda: served.live.hub.listening == 2)
        # What is filled once for all: buffers of the kernel and the transport, connections, caches.
        await burst(served, 0, 2 * BURST)
        tracemalloc.start()
        try:
            peaks = []
            for begin, end in ((4, 5), (5, 15)):
                before = tracemalloc.get_traced_memory()[0]
                tracemalloc.reset_peak()
                most = await burst(served, begin * BURST, end * BURST)
                assert most <= SLACK + 2
                peaks.append(tracemalloc.get_traced_memory()[1] - before)
        finally:
            tracemalloc.stop()
    # One read of the stream is 1,000 marks, and each of 20,000 that was kept would be 400 bytes at least.
    assert peaks[1] < peaks[0] + 3_000_000, peaks


async def test_who_does_not_take_a_message_in_time_is_let_go(make_settings: MakeSettings, tokens: Tokens) -> None:
    settings = make_settings(MarketdataSettings, marketdata_stream_send_seconds=0.5)
    async with stream_of(settings, tokens) as served:
        closed = REGISTRY.get_sample_value("marketdata_stream_closed_total", {"reason": "slow"}) or 0
        with closing(stuck(served)):
            async with served.reader("A,B", **narrow(served)) as slow:
                await until(lambda: served.live.hub.listening == 2)
                assert connections(served) == 2
                publishing = asyncio.create_task(burst(served, 0, 3_000))
                await until(lambda: served.live.hub.listening == 0)
                # At once: a connection that was let go is cut two seconds later, whatever is being published.
                with pytest.raises(ConnectionClosed) as told:
                    await slow.next_of("the end")
                await publishing
            assert told.value.rcvd is not None
            assert told.value.rcvd.code == 1013
            assert "come again" in told.value.rcvd.reason
            assert (REGISTRY.get_sample_value("marketdata_stream_closed_total", {"reason": "slow"}) or 0) == closed + 2
            # The other never reads that it was let go, and its connection is given up all the same.
            await until(lambda: connections(served) == 0)


async def test_a_reader_that_vanishes_leaves_nothing_behind(served: Served) -> None:
    for _ in range(20):
        async with served.reader("A") as reader:
            await reader.next()
            reader.socket.transport.abort()
    await until(lambda: served.live.hub.listening == 0)
    assert served.live.hub._readers == {}


async def test_a_reader_that_answers_no_ping_is_let_go(make_settings: MakeSettings, tokens: Tokens) -> None:
    settings = make_settings(MarketdataSettings)
    async with stream_of(settings, tokens, ws_ping_interval=0.2, ws_ping_timeout=0.3) as served:
        with closing(stuck(served)):
            await until(lambda: served.live.hub.listening == 1)
            await until(lambda: served.live.hub.listening == 0)


async def test_a_service_that_stops_says_so_and_waits_for_nobody(make_settings: MakeSettings, tokens: Tokens) -> None:
    settings = make_settings(MarketdataSettings)
    async with stream_of(settings, tokens, timeout_graceful_shutdown=30) as served:
        dead, connected = stuck(served), served.reader("A,B")
        reader = await connected.__aenter__()
        await until(lambda: served.live.hub.listening == 2)
        await reader.next_of("snapshot")
        reading = asyncio.create_task(reader.marks(100_000, 60))
        await burst(served, 0, 3_000)
        began = time.monotonic()
    assert time.monotonic() - began < 5
    with pytest.raises(ConnectionClosed) as told:
        await reading
    assert told.value.rcvd is not None
    assert told.value.rcvd.code == 1012
    await connected.__aexit__(None, None, None)
    dead.close()


async def test_readers_begin_again_once_redis_is_back(
    make_settings: MakeSettings, tokens: Tokens, own_valkey: EmbeddedValkey
) -> None:
    settings = make_settings(MarketdataSettings, redis_url=own_valkey.start(), marketdata_stream_heartbeat_seconds=0.2)
    async with stream_of(settings, tokens) as served:
        await served.publish(mark("A", 0))
        async with served.reader("A,B") as reader:
            assert (await reader.next_of("snapshot"))["marks"][0]["price"] == "1"
            own_valkey.stop()
            assert await reader.next_of("gap") == {"type": "gap", "reason": "redis_away"}
            assert (await reader.next_of("heartbeat"))["live"] is False
            async with served.reader("A") as late:
                # Nothing was stored: the database has no such symbol either.
                assert (await late.next())["unknown"] == ["A"]
                assert (await late.next())["reason"] == "redis_away"
            own_valkey.start()
            again = await reader.next_of("snapshot", "mark")
            assert (again["type"], again["marks"][0]["price"]) == ("snapshot", "1")
            await until(lambda: served.live.hub.live)
            await served.publish(mark("B", 1))
            assert [each["symbol"] for each in await reader.marks(1)] == ["B"]


async def test_a_reader_of_a_process_that_lags_begins_again_at_the_end(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.marketdata.live.reader._MOST_LAG_MS", -1)
    async with served.reader("A") as reader:
        await reader.next_of("snapshot")
        await served.publish(*(mark("A", number) for number in range(2_500)))
        assert (await reader.next_of("gap", "mark")) == {"type": "gap", "reason": "lagged"}
        snapshot = await reader.next_of("snapshot", "mark")
        assert snapshot["marks"][0]["price"] == "2500"
        await served.publish(mark("A", 2_500))
        assert [each["price"] for each in await reader.marks(1)] == ["2501"]


async def test_an_entry_that_nobody_can_read_stops_nothing(served: Served, redis_url: str) -> None:
    async with served.reader("A") as reader, Redis.from_url(redis_url) as redis:
        await reader.next_of("snapshot")
        await redis.xadd(MARKS_STREAM, {"data": "{}"})
        await redis.xadd(MARKS_STREAM, {"other": "x"})
        await served.publish(mark("A", 1))
        assert [each["price"] for each in await reader.marks(1)] == ["2"]
