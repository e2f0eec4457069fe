"""Records as requests: nothing lost, nothing changed, nothing longer than it may be."""

import gzip
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from cli.ingest.batches import Batch, Limits, Reading, batches, form_of
from cli.training.sample import SAMPLE
from services.marketdata.formats.dataset import AnyRecord, Dataset
from services.marketdata.formats.discover import discover_all
from services.marketdata.formats.reading import WATCH
from services.marketdata.rows.forms import ARROW, From
from services.marketdata.rows.kinds import BARS, FUNDING_RATES, ORDER_BOOKS, TICKS, RowKind
from services.marketdata.rows.read import read_rows
from shared.schemas.market_events import Aggressor, Tick
from shared.schemas.marketdata import MarketStateBatch

pytestmark = pytest.mark.unit

FLAT = {
    "binance-btcusdt-1m": BARS,
    "index-spx-1d": BARS,
    "binance-futures-btcusdt-trades": TICKS,
    "lean-cryptofuture-binance-btcusd-funding": FUNDING_RATES,
}
BOOKS = "lean-equity-goog-quotes"
CHAINS = "lean-option-goog"


def dataset(name: str) -> Dataset[AnyRecord]:
    return next(d for d in discover_all(SAMPLE) if d.name == name)


def read_back(kind: RowKind, batch: Batch) -> list[AnyRecord]:
    """Return what the server makes of a batch."""
    rows = read_rows(kind, batch.form.media_type, batch.body, From(batch.form.params.get("source"), None))
    assert not rows.columns.rejected
    found = []
    for row in rows.columns.table.to_pylist():
        for side in ("bids", "asks"):
            if side in row:
                row[side] = json.loads(row[side])
        found.append(kind.model.model_validate({k: v for k, v in row.items() if v is not None and v != -1}))
    return found  # type: ignore[return-value]


def sent(name: str, limits: Limits, **options: int) -> list[Batch]:
    chosen = dataset(name)
    return list(batches(chosen.records(lambda _: None), form_of(chosen, None, strict=False), limits, **options))


@pytest.mark.parametrize("name", sorted(FLAT))
def test_rows_that_go_as_columns_are_read_back_as_they_were(name: str) -> None:
    found = sent(name, Limits(rows=1_000))
    assert {batch.form.media_type for batch in found} == {ARROW}
    assert [row for batch in found for row in read_back(FLAT[name], batch)] == list(
        dataset(name).records(lambda _: None)
    )


def test_books_are_read_back_as_they_were() -> None:
    found = sent(BOOKS, Limits(bytes=5_000))
    assert len(found) > 2
    assert [row for batch in found for row in read_back(ORDER_BOOKS, batch)] == list(dataset(BOOKS).records())


def test_states_are_read_back_as_they_were() -> None:
    chosen = dataset(CHAINS)
    found = list(batches(first(chosen, 12), form_of(chosen, "s-1", strict=False), Limits(bytes=300_000)))
    assert len(found) > 1
    sent_batches = [MarketStateBatch.model_validate_json(batch.body) for batch in found]
    assert {(batch.source, batch.simulation_id) for batch in sent_batches} == {("lean.option.usa", "s-1")}
    assert [state for batch in sent_batches for state in batch.states] == list(first(chosen, 12))


def first(chosen: Dataset[AnyRecord], count: int) -> Iterator[AnyRecord]:
    return (record for record, _ in zip(chosen.records(), range(count), strict=False))


@pytest.mark.parametrize("name", ["binance-btcusdt-1m", "binance-futures-btcusdt-trades", BOOKS])
@pytest.mark.parametrize("most", [3_000, 40_000])
def test_no_body_is_longer_than_it_may_be(name: str, most: int) -> None:
    found = sent(name, Limits(bytes=most))
    # The form's own beginning and end come on top of the rows.
    assert max(len(batch.body) for batch in found) < most + 2_000
    assert sum(len(batch.pieces) for batch in found) == sum(1 for _ in dataset(name).records(lambda _: None))


def test_the_longest_trades_there_can_be_fit_too() -> None:
    chosen = dataset("binance-futures-btcusdt-trades")
    start = datetime(2024, 1, 1, tzinfo=UTC)
    trades = [
        Tick(
            symbol=f"{number:032}",
            ts=start + timedelta(microseconds=number),
            trade_id=f"{number:064}",
            price=Decimal("123456789012345678.1234567891"),
            quantity=Decimal("123456789012345678.1234567891"),
            aggressor=Aggressor.BUY,
        )
        for number in range(2_000)
    ]
    found = list(batches(trades, form_of(chosen, None, strict=False), Limits(bytes=100_000)))
    # Only the symbols, each of which is named once, come on top.
    assert max(len(batch.body) for batch in found) < 100_000 + 800 * 40


def test_there_are_no_more_rows_in_a_batch_than_asked_for() -> None:
    assert [len(batch.pieces) for batch in sent("index-spx-1d", Limits(rows=100))] == [100, 100, 50]


def test_what_was_sent_is_skipped() -> None:
    whole, rest = sent("index-spx-1d", Limits()), sent("index-spx-1d", Limits(), skip=120)
    assert [b.pieces for b in rest] == [whole[0].pieces[120:]]
    assert sent("index-spx-1d", Limits(), skip=250) == []


def test_the_halves_of_a_batch_are_the_batch() -> None:
    (whole,) = sent("index-spx-1d", Limits(rows=251))
    halves = whole.halves()
    assert [len(half.pieces) for half in halves] == [125, 125]
    assert [row for half in halves for row in read_back(BARS, half)] == read_back(BARS, whole)


def test_a_lower_limit_holds_from_the_next_batch_on() -> None:
    chosen, limits = dataset("binance-btcusdt-1m"), Limits(bytes=125_000)
    found = batches(chosen.records(), form_of(chosen, None, strict=False), limits)
    assert len(next(found).pieces) == 1_000
    limits.bytes = 12_500
    assert [len(next(found).pieces) for _ in range(3)] == [100, 100, 100]


def test_it_ends_where_it_is_stopped() -> None:
    chosen, stopped = dataset("index-spx-1d"), threading.Event()
    found = batches(chosen.records(), form_of(chosen, None, strict=False), Limits(rows=10), stopped=stopped)
    next(found)
    stopped.set()
    assert list(found) == []


def test_strict_is_asked_of_the_routes_that_know_it() -> None:
    assert form_of(dataset("index-spx-1d"), "s", strict=True).params == {
        "source": "index.daily",
        "simulation_id": "s",
        "mode": "strict",
    }
    assert form_of(dataset(BOOKS), None, strict=True).params == {"mode": "strict"}
    assert form_of(dataset(CHAINS), None, strict=True).params == {"mode": "strict"}


@pytest.mark.parametrize("name", ["binance-btcusdt-1m", CHAINS, "index-spx-1d"])
def test_how_much_has_been_read_grows_to_all_of_it(name: str) -> None:
    chosen = dataset(name)
    reading = Reading(chosen.files)
    token = WATCH.set(reading)
    try:
        form = form_of(chosen, None, strict=False)
        records = first(chosen, 5) if name == CHAINS else chosen.records()
        shares = [b.read for b in batches(records, form, Limits(rows=5), reading=lambda: reading.done)]
    finally:
        WATCH.reset(token)
    assert shares == sorted(shares)
    # The last lines, and a file's own end, are not told of.
    assert 0.85 < shares[-1] <= 1 or name == "index-spx-1d"


def test_a_long_file_is_told_of_as_it_is_read(tmp_path: Path) -> None:
    header = "open,high,low,close,volume,quote_volume,trades,close_datetime"
    start = datetime(2024, 1, 1, tzinfo=UTC)
    closes = (start + timedelta(minutes=n + 1, milliseconds=-1) for n in range(20_000))
    rows = [f"1,2,1,1.{number},{number},1,1,{close.isoformat()}" for number, close in enumerate(closes)]
    file = tmp_path / "binance_BTCUSDT_1m.csv.gz"
    file.write_bytes(gzip.compress("\n".join([header, *rows]).encode(), mtime=0))
    (chosen,) = discover_all(tmp_path)
    reading = Reading(chosen.files)
    token = WATCH.set(reading)
    try:
        form = form_of(chosen, None, strict=False)
        found = batches(chosen.records(), form, Limits(rows=2_000), reading=lambda: reading.done)
        shares = [batch.read for batch in found]
    finally:
        WATCH.reset(token)
    assert len(shares) == 10
    assert all(abs(share - (n + 1) / 10) < 0.12 for n, share in enumerate(shares))
