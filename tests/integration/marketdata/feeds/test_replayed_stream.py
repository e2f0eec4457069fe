"""A recorded raw stream replayed by the service: what its checks find of the messages stands as issues."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from cli.paths import ROOT
from services.marketdata.settings import MarketdataSettings
from shared.roles import Role
from tests.conftest import MakeSettings
from tests.harness import Tokens
from tests.integration.marketdata.client import BASE, Client, client_of

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

NAME = "binance_futures_btcusdt_stream_20240808.jsonl.gz"
LINES = gzip.decompress((ROOT / "data" / "sample" / NAME).read_bytes()).decode().splitlines()
SOURCES = {"binance.futures": "tick", "binance.futures.quotes": "order_book", "binance.futures.books": "order_book"}
Replay = Callable[..., Any]


def data(line: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(line.partition(" ")[2])
    return found.get("data", found)


UPDATES = [place for place, line in enumerate(LINES) if data(line).get("e") == "depthUpdate"]
SNAPSHOT = next(place for place, line in enumerate(LINES) if "lastUpdateId" in data(line))


def said(line: str, **fields: Any) -> str:
    """Return a line with fields of its message changed."""
    document = json.loads(line.partition(" ")[2])
    document.get("data", document).update(fields)
    return f"{line.partition(' ')[0]} {json.dumps(document)}"


@pytest.fixture
def replay(make_settings: MakeSettings, tokens: Tokens, tmp_path: Path) -> Replay:
    """What serves marketdata with a source that replays these lines, under any name of what the folder holds."""

    @asynccontextmanager
    async def serve(lines: list[str], name: str = "stream", **more: Any) -> AsyncIterator[Client]:
        (tmp_path / NAME).write_bytes(gzip.compress("\n".join(lines).encode()))
        settings = make_settings(
            MarketdataSettings,
            primary_source=f"replay.{name}",
            marketdata_replay_folder=tmp_path,
            marketdata_replay_speed=0,
            **more,
        )
        async with client_of(settings, tokens) as client:
            yield client

    return serve


async def issues_of(client: Client, name: str = "stream") -> dict[tuple[str, str], dict[str, Any]]:
    """Return the issues of a replay by source and code, once nothing changes any more; each is there once."""

    async def look() -> list[dict[str, Any]]:
        return await client.all(f"/quality/issues?simulation_id=replay.{name}")

    before, same = None, 0
    async with asyncio.timeout(60):
        while same < 20:
            found = await look()
            same = same + 1 if found and found == before else 0
            before = found
            await asyncio.sleep(0.1)
    assert before is not None
    by_key = {(issue["source"], issue["code"]): issue for issue in before}
    assert len(by_key) == len(before)
    return by_key


SKEW = {(source, "clock_skew") for source in SOURCES}


async def test_the_clock_skew_is_found_in_each_of_its_streams_and_nothing_else(replay: Replay) -> None:
    async with replay(LINES) as client:
        found = await issues_of(client)
        assert found.keys() == SKEW
        for (source, _), issue in found.items():
            assert (issue["symbol"], issue["subject"]) == ("BTCUSDT", SOURCES[source])
            assert (issue["severity"], issue["ended_at"]) == ("critical", None)
            assert issue["value"] == pytest.approx(1.27, abs=0.01)
            assert issue["details"]["median_seconds"] == pytest.approx(-1.27, abs=0.01)
            assert issue["simulation_id"] == "replay.stream"
        # Every message from the twentieth of each stream on, and none of them twice; a snapshot has no part in it.
        assert sum(issue["count"] for issue in found.values()) == len(LINES) - 1 - 3 * 19
        # The report is of live data alone.
        assert (await client.get("/quality/report"))["recent_issues"] == []
        assert await client.all("/quality/issues") == []


@pytest.mark.parametrize("name", ["binance-futures-btcusdt-books", "binance-futures-btcusdt", "stream"])
async def test_an_update_that_is_missing_is_found_whatever_is_replayed_of_the_stream(replay: Replay, name: str) -> None:
    gone = UPDATES[len(UPDATES) // 2]
    async with replay(LINES[:gone] + LINES[gone + 1 :], name) as client:
        found = await issues_of(client, name)
        sources = {"binance.futures.books"} if name.endswith("books") else set(SOURCES)
        broken = ("binance.futures.books", "sequence_break")
        assert found.keys() == {(source, "clock_skew") for source in sources} | {broken}
        issue = found[broken]
        assert (issue["subject"], issue["severity"], issue["count"]) == ("order_book", "critical", 1)
        assert issue["details"]["previous_id"] == data(LINES[gone])["u"]
        # No snapshot makes it good: it stands, though no book follows that could show it.
        assert issue["ended_at"] is None


@pytest.mark.parametrize("last", [True, False])
async def test_a_snapshot_ends_the_break(replay: Replay, last: bool) -> None:
    gone, later = UPDATES[-60], UPDATES[-30]
    following = data(LINES[UPDATES[-29]])
    snapshot = said(LINES[SNAPSHOT], lastUpdateId=following["pu"], E=following["E"], T=following["T"])
    snapshot = f"{LINES[later].partition(' ')[0]} {snapshot.partition(' ')[2]}"
    lines = [*LINES[:gone], *LINES[gone + 1 : later + 1], snapshot, *([] if last else LINES[later + 1 :])]
    async with replay(lines, "binance-futures-btcusdt-books") as client:
        found = await issues_of(client, "binance-futures-btcusdt-books")
    issue = found["binance.futures.books", "sequence_break"]
    assert issue["ended_at"] is not None
    assert issue["count"] == 1
    assert found["binance.futures.books", "clock_skew"]["ended_at"] is None


async def test_what_rows_and_messages_both_show_is_one_issue_counted_once(replay: Replay) -> None:
    quotes = [place for place, line in enumerate(LINES) if data(line).get("e") == "bookTicker"]
    lines = list(LINES)
    # All over the stream, and so in several batches.
    for place in quotes[100::400]:
        lines[place] = said(lines[place], b="70000.00")
    crossed = len(quotes[100::400])
    assert crossed > 3
    async with replay(lines, "binance-futures-btcusdt-quotes") as client:
        found = await issues_of(client, "binance-futures-btcusdt-quotes")
    # A price between a bid and an ask that are crossed is none to the checks of messages; to those of rows it is.
    codes = {code for _, code in found}
    assert codes == {"clock_skew", "quote_crossed", "price_outlier"}
    for code in ("quote_crossed", "price_outlier"):
        assert found["binance.futures.quotes", code]["count"] == crossed


async def test_only_messages_show_a_negative_quantity_that_no_book_can_hold(replay: Replay) -> None:
    place = UPDATES[10]
    lines = [*LINES[:place], said(LINES[place], b=[["61000.00", "-1.000"]]), *LINES[place + 1 :]]
    async with replay(lines) as client:
        found = await issues_of(client)
    assert found.keys() == SKEW | {("binance.futures.books", "quantity_negative")}


async def test_the_bands_of_the_service_are_those_of_its_streams(
    replay: Replay, make_settings: MakeSettings, tokens: Tokens
) -> None:
    async with client_of(make_settings(MarketdataSettings), tokens) as client:
        body = {
            "thresholds": [{"symbol": "BTCUSDT", "code": "clock_skew", "warning": 1, "critical": 5}],
            "reason": "its clock is known to be ahead",
        }
        headers = tokens.auth(Role.RISK_OFFICER)
        response = await client.http.put(f"{BASE}/quality/thresholds", json=body, headers=headers)
        assert response.status_code == 200, response.text
    async with replay(LINES) as client:
        found = await issues_of(client)
    assert {issue["severity"] for issue in found.values()} == {"warning"}
    assert found.keys() == SKEW


async def test_what_is_too_old_to_be_stored_is_checked_all_the_same(replay: Replay) -> None:
    async with replay(LINES, marketdata_keep_ticks_days=30, marketdata_keep_order_books_days=30) as client:
        found = await issues_of(client)
        assert found.keys() == SKEW
        assert await client.all("/feeds?simulation_id=replay.stream") == []
