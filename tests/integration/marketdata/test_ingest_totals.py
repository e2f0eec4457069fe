"""Totals served of what was taken in equal those of the raw files; all rows of the full folder are there."""

import csv
import io
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import httpx
import pytest

from cli.training.sample import SAMPLE
from shared.roles import Role
from tests.harness import Tokens
from tests.integration.marketdata import sums
from tests.integration.marketdata.client import BASE
from tests.integration.marketdata.ingesting import Desk, held

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

COINS = "binance_BTCUSDT_1m_2024-12.csv.gz"


async def served(url: str, tokens: Tokens, symbol: str, interval: str, source: str) -> list[dict[str, str]]:
    """Return all bars of an interval as the service gives them."""
    query = {"symbol": symbol, "interval": interval, "source": source}
    async with httpx.AsyncClient(base_url=url + BASE, timeout=60) as http:
        headers = {**tokens.auth(Role.VIEWER), "Accept": "text/csv"}
        answer = await http.get("/bars", params=query, headers=headers)
    assert answer.status_code == 200, answer.text
    assert "X-Next-Cursor" not in answer.headers
    return list(csv.DictReader(io.StringIO(answer.text)))


def amounts(row: dict[str, str]) -> tuple[Decimal | int | None, ...]:
    prices = (Decimal(row[name]) for name in ("open", "high", "low", "close", "volume"))
    return (*prices, Decimal(row["amount"]) if row["amount"] else None, int(row["bars"]))


async def equal_sums(
    url: str, tokens: Tokens, symbol: str, source: str, minutes: list[sums.Minute], hours: sums.Hours
) -> int:
    """Hold every total that is served against that of the raw rows; return how many minutes were too bad to count."""
    sent = await served(url, tokens, symbol, "1m", source)
    assert [datetime.fromisoformat(row["ts"]) for row in sent] == [minute.ts for minute in minutes]
    doubted = {datetime.fromisoformat(row["ts"]) for row in sent if row["severity"] == "critical"}
    usable = [minute for minute in minutes if minute.ts not in doubted]
    for interval in ("5m", "1h", "1d"):
        rows = await served(url, tokens, symbol, interval, source)
        rows = [row for row in rows if row["bars"]]
        expected = sums.totals(usable, interval, hours)
        assert {datetime.fromisoformat(row["ts"]): amounts(row) for row in rows} == expected
        assert len(rows) == len(expected) > 1 or interval == "1d"
    return len(doubted)


@pytest.mark.parametrize(
    ("name", "symbol", "source", "files", "hours"),
    [
        ("binance-btcusdt-1m", "BTCUSDT", "binance.spot", COINS, sums.COIN),
        ("lean-index-nifty50-1m", "NIFTY50", "lean.index.india", "lean/index/india/minute/nifty50", sums.NSE),
        ("lean-equity-goog-1m", "GOOG", "lean.equity.usa", "lean/equity/usa/minute/goog", sums.NEW_YORK),
    ],
)
async def test_totals_of_the_sample_are_those_of_its_raw_rows(
    desk: Desk, url: str, tokens: Tokens, name: str, symbol: str, source: str, files: str, hours: sums.Hours
) -> None:
    await desk.ingest(SAMPLE, "--only", name)
    minutes = list(raw_minutes(SAMPLE / files, hours))
    assert await equal_sums(url, tokens, symbol, source, minutes, hours) < len(minutes) / 1_000


def raw_minutes(files: Path, hours: sums.Hours) -> list[sums.Minute]:
    if hours is sums.COIN:
        return list(sums.klines(files))
    price = Decimal(1) if hours is sums.NSE else Decimal("0.0001")
    return list(sums.lean(files.glob("*_trade.zip"), hours.zone, price))


# What the README of the folder says there is; of the rows of the VIX 46 are of holidays and empty.
FULL = {
    "binance-btcusdt-1m": 30_000,
    "binance-btcusdt-15m": 34_945,
    "binance-futures-btcusdt-trades": 21_313,
    "binance-xrpeth-trades": 12_477,
    "binance-xrpusdt-funding-8h": 91,
    "index-spx-1d": 5_031,
    "index-vix-1d": 1_305 - 46,
    "lean-crypto-coinbase-btcusd-1d": 1_318,
    "lean-cryptofuture-binance-btcusd-funding": 12,
    "lean-equity-goog-1m": 227,
    "lean-equity-goog-quotes": 260,
    "lean-index-nifty50-1m": 1_509,
    "nse-index-nifty50-1d": 6_082,
    "sse-600519-1d": 1_942,
}


async def test_the_full_folder_twice(
    desk: Desk, url: str, tokens: Tokens, market_data: Path, database_url: str
) -> None:
    only = [word for name in FULL for word in ("--only", name)]
    first = (await desk.ingest(market_data, *only)).json
    assert first["complete"]
    after_one = held(database_url)
    assert {name: told["sent"] for name, told in first["datasets"].items()} == FULL
    assert {name: told["stored"] for name, told in first["datasets"].items()} == FULL
    assert sum(after_one.values()) == sum(FULL.values())
    second = (await desk.ingest(market_data, *only)).json
    assert held(database_url) == after_one
    assert (second["total"]["stored"], second["total"]["unchanged"]) == (0, sum(FULL.values()))
    minutes = list(sums.klines(market_data / COINS))
    assert len(minutes) == 30_000
    assert await equal_sums(url, tokens, "BTCUSDT", "binance.spot", minutes, sums.COIN) <= 3
    days = raw_minutes(market_data / "lean/index/india/minute/nifty50", sums.NSE)
    assert await equal_sums(url, tokens, "NIFTY50", "lean.index.india", days, sums.NSE) <= 1


async def test_every_snapshot_of_the_full_chains(desk: Desk, market_data: Path, database_url: str) -> None:
    told = (await desk.ingest(market_data, "--only", "nse-option-nifty")).json["datasets"]["nse-option-nifty"]
    assert (told["sent"], told["stored"], told["rejected"]) == (370, 370, 0)
    assert held(database_url) == {("market_state", "nse.option_chain", 1): 370}
