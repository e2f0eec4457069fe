"""The whole data folder: every file is read, and holds as many rows as its README says."""

from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

from services.marketdata.formats.dataset import AnyRecord, BadRow, Dataset, known_at
from services.marketdata.formats.discover import discover, discover_all
from shared.schemas.market_events import OrderBook, Tick
from shared.schemas.marketdata import Bar

FULL = Path(__file__).parents[4] / "shared" / "data"
pytestmark = [
    pytest.mark.unit,
    pytest.mark.skipif(not FULL.is_dir(), reason="the full data folder ../shared/data is not here"),
]

# Records and bad rows of each dataset; those whose reading takes long are counted elsewhere.
COUNTS = {
    "binance-btcusdt-1m": (30_000, 0),
    "binance-btcusdt-15m": (34_945, 0),
    "binance-xrpeth-trades": (12_477, 0),
    "binance-xrpusdt-funding-8h": (91, 0),
    "binance-futures-btcusdt-trades": (21_313, 0),
    "binance-futures-btcusdt-quotes": (66_089, 0),
    # The snapshot, and all but the six updates before it.
    "binance-futures-btcusdt-books": (6_546, 0),
    "index-spx-1d": (5_031, 0),
    # Of 1,305 rows those of holidays are empty.
    "index-vix-1d": (1_259, 46),
    "lean-crypto-coinbase-btcusd-1d": (1_318, 0),
    "lean-cryptofuture-binance-btcusd-funding": (12, 0),
    "lean-equity-goog-1m": (227, 0),
    "lean-equity-goog-quotes": (260, 0),
    "lean-index-nifty50-1m": (1_509, 0),
    "nse-index-nifty50-1d": (6_082, 0),
    "sse-600519-1d": (1_942, 0),
}
COUNTED_ELSEWHERE = {"lean-option-goog", "nse-option-nifty"}


@cache
def datasets() -> dict[str, Dataset[AnyRecord]]:
    return {d.name: d for d in discover_all(FULL)}


@cache
def read(name: str) -> tuple[list[AnyRecord], list[BadRow]]:
    bad: list[BadRow] = []
    return list(datasets()[name].records(bad.append)), bad


def bars(name: str) -> list[Bar]:
    return [r for r in read(name)[0] if isinstance(r, Bar)]


def test_every_file_belongs_to_a_dataset() -> None:
    assert datasets().keys() == COUNTS.keys() | COUNTED_ELSEWHERE
    named = {file for d in datasets().values() for file in d.files}
    assert named == {path for path in FULL.rglob("*") if path.is_file() and path.name != "README.md"}


def test_replay_and_training_see_what_they_always_did() -> None:
    assert [d.name for d in discover(FULL)] == [
        "binance-btcusdt-15m",
        "binance-btcusdt-1m",
        "lean-equity-goog-1m",
        "lean-index-nifty50-1m",
        "lean-option-goog",
        "nse-option-nifty",
    ]


@pytest.mark.parametrize("name", sorted(COUNTS))
def test_the_rows_are_those_of_the_readme_in_order_and_of_one_instrument(name: str) -> None:
    records, bad = read(name)
    assert (len(records), len(bad)) == COUNTS[name]
    assert {record.symbol for record in records} == {datasets()[name].symbol}
    times = [known_at(record) for record in records]
    strictly = isinstance(records[0], Bar)
    assert all(a < b or (a == b and not strictly) for a, b in pairwise(times))


@pytest.mark.parametrize("name", sorted(n for n in COUNTS if n.endswith("-1d")))
def test_days_begin_at_midnight_where_the_exchange_is(name: str) -> None:
    zone = datasets()[name].timezone
    assert {bar.ts.astimezone(zone).time().isoformat() for bar in bars(name)} == {"00:00:00"}


def test_every_dataset_names_its_calendar() -> None:
    assert Counter(d.calendar for d in datasets().values()) == {"24x7": 9, "XNSE": 3, "XNYS": 5, "XSHG": 1}


def test_the_amount_of_a_candlestick_lies_between_its_prices() -> None:
    # Money over volume is an average price; the volume of some bars is rounded.
    for bar in bars("binance-btcusdt-15m"):
        assert bar.amount is not None
        assert bar.low * bar.volume * Decimal("0.999") <= bar.amount <= bar.high * bar.volume * Decimal("1.001")


def test_the_change_of_an_a_share_is_that_of_its_close_so_three_moves_are_beyond_the_limit() -> None:
    closes = [bar.close for bar in bars("sse-600519-1d")]
    moves = [float(b / a - 1) for a, b in pairwise(closes)]
    assert sum(abs(move) > 0.1005 for move in moves) == 3
    rows = (FULL / "sse_600519_daily_2012_2020_with_faults.csv").read_text(encoding="utf-8").split("\n")[2:]
    said = [float(row.split(",")[6]) for row in rows if row]
    assert max(abs(a - b) for a, b in zip(moves, said, strict=True)) < 0.0006


def test_the_first_and_last_rows_are_those_of_the_files() -> None:
    nifty, share = bars("nse-index-nifty50-1d"), bars("sse-600519-1d")
    assert (nifty[0].ts, nifty[0].close) == (datetime(2000, 1, 2, 18, 30, tzinfo=UTC), Decimal("1592.2"))
    assert (nifty[-1].ts, nifty[-1].close) == (datetime(2024, 6, 13, 18, 30, tzinfo=UTC), Decimal("23465.6"))
    assert (share[-1].ts, share[-1].close) == (datetime(2020, 3, 19, 16, tzinfo=UTC), Decimal("1035.28"))


def test_ids_of_the_trades_of_the_stream_follow_each_other() -> None:
    ids = [int(t.trade_id) for t in read("binance-futures-btcusdt-trades")[0] if isinstance(t, Tick)]
    assert all(b == a + 1 for a, b in pairwise(ids))


def test_the_kept_book_agrees_with_every_best_quote_of_the_same_update() -> None:
    quotes = {q.sequence: q for q in read("binance-futures-btcusdt-quotes")[0] if isinstance(q, OrderBook)}
    books = [b for b in read("binance-futures-btcusdt-books")[0] if isinstance(b, OrderBook)]
    both = [(b, quotes[b.sequence]) for b in books if b.sequence in quotes]
    assert len(both) > 600
    assert all((b.bids[0], b.asks[0]) == (q.bids[0], q.asks[0]) for b, q in both)
    assert all(len(b.bids) == len(b.asks) == 20 for b in books)
