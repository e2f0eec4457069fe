"""A whole folder taken in: twice, killed, stopped, with the service away, and nothing lost or doubled."""

import asyncio
import gzip
import shutil
import signal
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from cli.training.sample import SAMPLE
from services.marketdata.formats.dataset import BadRow
from services.marketdata.formats.discover import discover_all
from shared.roles import Role
from tests.harness import Tokens
from tests.integration.marketdata.client import BASE
from tests.integration.marketdata.conftest import Serve
from tests.integration.marketdata.ingesting import Desk, Running, empty, held

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

COINS = "binance_BTCUSDT_1m_2024-12.csv.gz"
STREAM = "binance_futures_btcusdt_stream_20240808.jsonl.gz"
MINUTES = ("--batch-rows", "100")


@pytest.fixture
def coins(tmp_path: Path) -> Path:
    """A folder of four days of minutes, 5,760 in all."""
    (tmp_path / "data").mkdir()
    shutil.copy(SAMPLE / COINS, tmp_path / "data")
    return tmp_path / "data"


def records_of(folder: Path) -> dict[str, tuple[int, int]]:
    """Return how many records each dataset of a folder has, and how many rows that none can be made of."""
    found = {}
    for dataset in discover_all(folder):
        bad: list[BadRow] = []
        found[dataset.name] = (sum(1 for _ in dataset.records(bad.append)), len(bad))
    return found


async def test_the_sample_twice(desk: Desk, database_url: str) -> None:
    records = records_of(SAMPLE)
    first = (await desk.ingest(SAMPLE)).json
    assert {name: (told["sent"], told["bad_rows"]) for name, told in first["datasets"].items()} == records
    assert first["complete"]
    assert {told["ending"] for told in first["datasets"].values()} == {"taken"}
    rows = sum(count for count, _ in records.values())
    summed = first["total"]
    assert (summed["sent"], summed["stored"], summed["rejected"], summed["revised"]) == (rows, rows, 0, 0)
    after_one = held(database_url)
    assert sum(after_one.values()) == rows
    assert not list(desk.state.iterdir())
    second = (await desk.ingest(SAMPLE)).json
    assert held(database_url) == after_one
    summed = second["total"]
    assert (summed["sent"], summed["stored"], summed["unchanged"]) == (rows, 0, rows)
    assert {name: (told["sent"], told["bad_rows"]) for name, told in second["datasets"].items()} == records
    vix = second["datasets"]["index-vix-1d"]
    assert vix["bad_rows"] == 7
    assert "vix_daily_2014_2019.csv:13: no value of vix" in vix["first_bad_rows"][0]


async def test_killed_in_the_middle_it_goes_on_where_it_was(desk: Desk, coins: Path, database_url: str) -> None:
    running = await desk.start(coins, *MINUTES)
    await running.until(lambda: running.sent() >= 1_000)
    running.send_signal(signal.SIGKILL)
    await running.end()
    before = running.sent()
    assert 1_000 <= before < 5_760
    told = await desk.ingest(coins, *MINUTES)
    assert f"going on after {before:,} rows" in told.err
    (found,) = told.json["datasets"].values()
    assert (found["sent_before"], found["sent"], found["revised"], found["rejected"]) == (before, 5_760, 0, 0)
    assert found["stored"] + found["unchanged"] == 5_760
    # What was being sent may have been stored and not confirmed.
    assert found["unchanged"] in (0, 100)
    assert sum(held(database_url).values()) == 5_760


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
async def test_stopped_it_ends_cleanly_between_two_batches(
    desk: Desk, coins: Path, database_url: str, how: signal.Signals
) -> None:
    running = await desk.start(coins, *MINUTES)
    await running.until(lambda: running.sent() >= 500)
    running.send_signal(how)
    told = await running.end()
    assert told.code == 130
    assert "Traceback" not in told.err
    assert f"go on with: keelson ingest {coins}" in told.err
    (found,) = told.json["datasets"].values()
    assert found["ending"] == "stopped"
    assert 500 <= found["sent"] < 5_760
    assert sum(held(database_url).values()) == found["sent"] == running.sent()
    (again,) = (await desk.ingest(coins)).json["datasets"].values()
    assert (again["sent_before"], again["stored"], again["unchanged"]) == (found["sent"], 5_760, 0)


async def test_again_sends_all_of_it(desk: Desk, coins: Path) -> None:
    running = await desk.start(coins, *MINUTES)
    await running.until(lambda: running.sent() >= 500)
    running.send_signal(signal.SIGTERM)
    before = (await running.end()).json["total"]["sent"]
    (found,) = (await desk.ingest(coins, "--again")).json["datasets"].values()
    assert (found["sent_before"], found["stored"], found["unchanged"]) == (0, 5_760 - before, before)


async def test_rows_that_the_suite_has_lost_are_sent_again(desk: Desk, coins: Path, database_url: str) -> None:
    running = await desk.start(coins, *MINUTES)
    await running.until(lambda: running.sent() >= 1_000)
    running.send_signal(signal.SIGKILL)
    await running.end()
    # Not in this thread: the service that it waits for runs here.
    await asyncio.to_thread(empty, database_url)
    told = await desk.ingest(coins, *MINUTES)
    assert "rows of binance.spot, of which" in told.err
    (found,) = told.json["datasets"].values()
    assert (found["sent_before"], found["sent"]) == (0, 5_760)
    assert sum(held(database_url).values()) == 5_760


async def test_the_service_may_be_started_again_in_the_middle(
    serve: Serve, tokens: Tokens, coins: Path, tmp_path: Path, database_url: str
) -> None:
    async with serve() as url:
        desk = Desk(url, tokens.by_role[Role.SERVICE], tmp_path / "var")
        running = await desk.start(coins, *MINUTES)
        await running.until(lambda: running.sent() >= 1_000)
    await running.said("trying again")
    assert running.running
    async with serve(urlsplit(url).port):
        told = await running.end()
    assert told.code == 0, told.err
    assert told.json["total"]["sent"] == 5_760
    assert sum(held(database_url).values()) == 5_760


async def test_while_the_service_is_away_it_can_be_stopped(
    serve: Serve, tokens: Tokens, coins: Path, tmp_path: Path
) -> None:
    async with serve() as url:
        pass
    running: Running = await Desk(url, tokens.by_role[Role.SERVICE], tmp_path / "var").start(coins)
    await running.said("trying again")
    running.send_signal(signal.SIGTERM)
    async with asyncio.timeout(15):
        told = await running.end()
    assert told.code == 130


@pytest.mark.parametrize("most", [20_000, 300_000])
async def test_a_server_that_takes_shorter_bodies_gets_them(
    serve: Serve, tokens: Tokens, tmp_path: Path, database_url: str, most: int
) -> None:
    async with serve(max_body_bytes=most) as url:
        desk = Desk(url, tokens.by_role[Role.SERVICE], tmp_path / "var")
        only = ("--only", "binance-btcusdt-1m", "--only", "lean-equity-goog-quotes")
        told = (await desk.ingest(SAMPLE, *only)).json
        assert told["total"]["stored"] == 5_760 + 260
        assert sum(held(database_url).values()) == 5_760 + 260


async def test_one_dataset_that_is_refused_keeps_no_other_from_being_taken(
    desk: Desk, coins: Path, database_url: str
) -> None:
    # The same trade at two prices: refused as a whole where strict, else named.
    lines = [f"1570752011620,{number},,sell,1,1,1" for number in range(20)]
    text = "\n".join(["timestamp,id,type,side,price,amount,cost", *lines, "1570752011620,19,,sell,2,1,1"])
    (coins / "binance_XRPUSDT_trades.csv").write_text(text)
    told = await desk.ingest(coins, "--strict", code=1)
    found = told.json["datasets"]
    assert not told.json["complete"]
    assert found["binance-btcusdt-1m"]["ending"] == "taken"
    assert found["binance-xrpusdt-trades"]["ending"] == "failed"
    assert "422" in found["binance-xrpusdt-trades"]["error"]
    assert sum(held(database_url).values()) == 5_760
    told = await desk.ingest(coins)
    found = told.json["datasets"]
    assert found["binance-btcusdt-1m"]["ending"] == "taken before"
    assert (found["binance-xrpusdt-trades"]["stored"], found["binance-xrpusdt-trades"]["rejected"]) == (20, 1)
    assert "differs from row 19" in told.err


async def test_a_damaged_day_is_told_as_failed_and_the_others_are_taken(
    desk: Desk, tmp_path: Path, database_url: str
) -> None:
    data = tmp_path / "data"
    shutil.copytree(SAMPLE / "lean" / "index", data / "lean" / "index")
    days = sorted(data.rglob("*_trade.zip"))
    whole = days[1].read_bytes()
    days[1].write_bytes(whole[: len(whole) // 2])
    told = await desk.ingest(data, code=1)
    (found,) = told.json["datasets"].values()
    rows = sum(held(database_url).values())
    assert (found["ending"], found["stored"], found["bad_rows"]) == ("failed", rows, 0)
    assert rows > 0
    assert [days[1].name in each for each in found["lost_files"]] == [True]
    assert f"taken in without 1 of its files, which cannot be read: {days[1]}" in told.err
    # Again it is told again, and with the file mended all is there.
    assert (await desk.ingest(data, code=1)).json["total"]["stored"] == rows
    days[1].write_bytes(whole)
    told = await desk.ingest(data)
    (found,) = told.json["datasets"].values()
    assert (found["ending"], found["unchanged"], found["lost_files"]) == ("taken", rows, [])
    assert sum(held(database_url).values()) > rows


async def test_a_table_in_no_order_is_taken_whole_and_one_without_zones_not_at_all(
    desk: Desk, tmp_path: Path, database_url: str
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    head = "symbol,interval,ts,open,high,low,close,volume"
    days = [f"{day:02}T00:00:00" for day in range(20, 0, -1)]
    (data / "newest.csv").write_text("\n".join([head, *(f"ACME,1d,2026-02-{day}Z,1,1,1,1,1" for day in days)]))
    rows = [f"LOCAL,1d,2026-02-{day}{'' if day < '05' else 'Z'},1,1,1,1,1" for day in reversed(days)]
    (data / "local.csv").write_text("\n".join([head, *rows]))
    told = await desk.ingest(data, code=1)
    found = told.json["datasets"]
    assert (found["newest.csv-acme-1d"]["stored"], found["newest.csv-acme-1d"]["bad_rows"]) == (20, 0)
    assert (found["local.csv-local-1d"]["ending"], found["local.csv-local-1d"]["sent"]) == ("failed", 0)
    assert f"{data / 'local.csv'}:2: '2026-02-01T00:00:00' has no offset" in told.err
    assert sum(held(database_url).values()) == 20


async def test_without_a_key_that_may_feed_nothing_is_tried_twice(
    url: str, tokens: Tokens, coins: Path, tmp_path: Path
) -> None:
    desk = Desk(url, tokens.by_role[Role.VIEWER], tmp_path / "var")
    told = await desk.ingest(coins, code=1)
    assert "403" in told.err


async def test_where_a_symbol_is_traded_is_said_unless_an_officer_said_it(desk: Desk, url: str, tokens: Tokens) -> None:
    async with httpx.AsyncClient(base_url=url + BASE) as http:
        officer = tokens.auth(Role.RISK_OFFICER)
        said = await http.put("/symbols/VIX", json={"calendar": "XNAS", "price_limit": 0.5}, headers=officer)
        assert said.status_code == 200
        only = ("--only", "index-vix-1d", "--only", "index-spx-1d")
        told = await desk.ingest(SAMPLE, *only)
        assert "VIX keeps the calendar XNAS" in told.err
        found = {name: (await http.get(f"/symbols/{name}", headers=officer)).json() for name in ("VIX", "SPX")}
    assert (found["VIX"]["calendar"], found["VIX"]["price_limit"]) == ("XNAS", 0.5)
    assert found["SPX"]["calendar"] == "XNYS"


async def test_days_beyond_the_limit_of_their_market_are_found(
    desk: Desk, url: str, tokens: Tokens, market_data: Path
) -> None:
    told = (await desk.ingest(market_data, "--only", "sse-600519-1d")).json["datasets"]["sse-600519-1d"]
    async with httpx.AsyncClient(base_url=url + BASE, headers=tokens.auth(Role.VIEWER)) as http:
        assert (await http.get("/symbols/600519")).json()["price_limit"] == 0.1
        found = (await http.get("/quality/issues?symbol=600519&code=price_limit")).json()["items"]
    assert sum(issue["count"] for issue in found) == 2
    assert told["flagged"] >= 2


async def test_what_the_checks_of_a_raw_stream_find_is_said_at_its_end(desk: Desk, tmp_path: Path) -> None:
    lines = gzip.decompress((SAMPLE / STREAM).read_bytes()).splitlines(keepends=True)
    updates = [place for place, line in enumerate(lines) if b'"depthUpdate"' in line]
    folder = tmp_path / "data"
    folder.mkdir()
    del lines[updates[len(updates) // 2]]
    (folder / STREAM).write_bytes(gzip.compress(b"".join(lines)))
    (folder / COINS).write_bytes((SAMPLE / COINS).read_bytes())
    told = await desk.ingest(folder)
    found = {
        name.rpartition("-")[2]: {each["code"]: each for each in told["stream_findings"]}
        for name, told in told.json["datasets"].items()
    }
    codes = {name: set(each) for name, each in found.items()}
    skew = {"clock_skew"}
    assert codes == {"trades": skew, "quotes": skew, "books": {*skew, "sequence_break"}, "1m": set()}
    for name in ("trades", "quotes", "books"):
        issue = found[name]["clock_skew"]
        assert (issue["severity"], issue["stands"]) == ("critical", True)
        assert issue["details"]["median_seconds"] == pytest.approx(-1.27, abs=0.01)
        assert f"binance-futures-btcusdt-{name}: clock_skew: critical, 1.2" in told.err
    # Each message counts once, of the twentieth of its stream on.
    assert sum(found[name]["clock_skew"]["messages"] for name in codes if name != "1m") == len(lines) - 1 - 3 * 19
    assert "binance-futures-btcusdt-books: sequence_break: critical, 1 updates, last_id " in told.err
    assert "1 message, stands at the end" in told.err
