"""The bundled sample: what its README says of it, and what the readers make of it."""

import gzip
import hashlib
import importlib.util
import re
import zipfile
import zlib
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest

from cli.training.sample import SAMPLE
from services.marketdata.formats.dataset import Dataset, DatasetKind, known_at
from services.marketdata.formats.discover import discover, preferred
from shared.schemas.instruments import AssetClass
from shared.schemas.marketdata import Bar, MarketState, OptionRight

pytestmark = pytest.mark.unit

FULL = Path(__file__).parents[4] / "shared" / "data"
needs_full_data = pytest.mark.skipif(not FULL.is_dir(), reason="the full data folder ../shared/data is not here")


def dataset(name: str, folder: Path = SAMPLE) -> Dataset:
    return next(d for d in discover(folder) if d.name == name)


def bars(name: str) -> list[Bar]:
    return [r for r in dataset(name).records() if isinstance(r, Bar)]


def states(name: str) -> list[MarketState]:
    return [r for r in dataset(name).records() if isinstance(r, MarketState)]


def make_sample() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_sample", SAMPLE.parent / "make_sample.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def readme_hashes() -> dict[str, str]:
    text = (SAMPLE / "README.md").read_text(encoding="utf-8")
    return {name: digest for digest, name in re.findall(r"^([0-9a-f]{64})  (\S+)$", text, re.MULTILINE)}


def content(path: Path) -> object:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            return {name: archive.read(name) for name in archive.namelist()}
    packed = path.read_bytes()
    return gzip.decompress(packed) if path.suffix == ".gz" else packed


def test_the_readme_names_every_file_with_its_hash() -> None:
    files = {str(p.relative_to(SAMPLE)): p for p in SAMPLE.rglob("*") if p.is_file() and p.name != "README.md"}
    hashes = readme_hashes()
    assert hashes.keys() == files.keys()
    assert hashes == {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}


def test_the_sample_is_small() -> None:
    assert sum(p.stat().st_size for p in SAMPLE.rglob("*") if p.is_file()) < 1_000_000


@needs_full_data
def test_the_script_makes_the_sample_again(tmp_path: Path) -> None:
    make_sample().make(FULL, tmp_path)
    made = {str(p.relative_to(tmp_path)): p for p in tmp_path.rglob("*") if p.is_file()}
    assert made.keys() == {name for name in readme_hashes() if not name.startswith("LICENSE")}
    for name, path in made.items():
        assert content(path) == content(SAMPLE / name)
        if zlib.ZLIB_RUNTIME_VERSION == "1.2.13":
            assert path.read_bytes() == (SAMPLE / name).read_bytes()


def test_the_sample_holds_four_datasets_by_name() -> None:
    found = discover(SAMPLE)
    assert [(d.name, d.kind, d.symbol, d.interval, d.timezone.key) for d in found] == [
        ("binance-btcusdt-1m", DatasetKind.BARS, "BTCUSDT", "1m", "UTC"),
        ("lean-equity-goog-1m", DatasetKind.BARS, "GOOG", "1m", "America/New_York"),
        ("lean-index-nifty50-1m", DatasetKind.BARS, "NIFTY50", "1m", "Asia/Kolkata"),
        ("lean-option-goog", DatasetKind.STATES, "GOOG", None, "America/New_York"),
    ]
    assert preferred(found) == found


def test_instruments_say_what_risk_must_know() -> None:
    btc, goog, nifty = (
        dataset(n).instrument for n in ("binance-btcusdt-1m", "lean-option-goog", "lean-index-nifty50-1m")
    )
    assert (btc.asset_class, btc.currency, str(btc.tick_size), str(btc.lot_size), btc.margined) == (
        AssetClass.CRYPTO,
        "USDT",
        "0.01",
        "0.00001",
        False,
    )
    assert (goog.asset_class, goog.currency, str(goog.tick_size), str(goog.lot_size), goog.margined) == (
        AssetClass.EQUITY,
        "USD",
        "0.01",
        "1",
        False,
    )
    assert (nifty.asset_class, nifty.currency, str(nifty.tick_size), str(nifty.lot_size), nifty.margined) == (
        AssetClass.INDEX,
        "INR",
        "0.05",
        "1",
        True,
    )


def test_both_goog_datasets_name_the_same_instrument() -> None:
    assert dataset("lean-equity-goog-1m").instrument == dataset("lean-option-goog").instrument


def test_nifty_days_are_read_once_though_each_zip_holds_them_twice() -> None:
    rows = bars("lean-index-nifty50-1m")
    per_day = {day: sum(1 for bar in rows if bar.ts.date() == day) for day in {bar.ts.date() for bar in rows}}
    assert per_day == {date(2019, 1, 1): 378, date(2019, 1, 2): 377, date(2019, 1, 3): 377, date(2019, 1, 4): 377}
    assert len({bar.ts for bar in rows}) == 1509


def test_nifty_first_and_last_bar() -> None:
    rows = bars("lean-index-nifty50-1m")
    # 32,820,000 ms = 09:07 in Kolkata = 03:37 UTC; 55,800,000 ms = 15:30 = 10:00 UTC.
    assert rows[0] == Bar(
        symbol="NIFTY50",
        interval="1m",
        ts=datetime(2019, 1, 1, 3, 37, tzinfo=UTC),
        open=Decimal("10881.7"),
        high=Decimal("10881.7"),
        low=Decimal("10881.7"),
        close=Decimal("10881.7"),
        volume=Decimal(0),
    )
    assert (rows[-1].ts, rows[-1].close) == (datetime(2019, 1, 4, 10, 0, tzinfo=UTC), Decimal("10727.35"))


def test_goog_prices_are_unscaled_and_times_are_new_york_winter() -> None:
    rows = bars("lean-equity-goog-1m")
    # 34080000,7503000,7503000,7503000,7503000,27: 09:28 in New York is 14:28 UTC in December.
    assert len(rows) == 227
    assert (rows[0].ts, rows[0].open, rows[0].volume) == (
        datetime(2015, 12, 24, 14, 28, tzinfo=UTC),
        Decimal("750.3"),
        Decimal(27),
    )
    assert (rows[-1].ts, rows[-1].close) == (datetime(2015, 12, 24, 21, 11, tzinfo=UTC), Decimal("748.37"))


def test_binance_bars_start_a_minute_before_their_close_time() -> None:
    rows = bars("binance-btcusdt-1m")
    # Its close time reads 2024-12-02 01:00:59.999+01:00; 97,185.17 is the exchange's opening price of 2 December UTC.
    assert len(rows) == 4 * 24 * 60
    assert (rows[0].ts, rows[0].open) == (datetime(2024, 12, 2, tzinfo=UTC), Decimal("97185.17"))
    assert (rows[-1].ts, rows[-1].close) == (datetime(2024, 12, 5, 23, 59, tzinfo=UTC), Decimal("96945.63"))
    assert rows[0].volume == Decimal("21.26193")


def test_option_states_hold_the_chain_with_its_open_interest() -> None:
    rows = states("lean-option-goog")
    assert len(rows) == 211
    first = rows[0]
    assert (first.timestamp, first.spot_price) == (datetime(2015, 12, 24, 14, 31, tzinfo=UTC), Decimal("748.54"))
    assert (first.total_call_oi, first.total_put_oi) == (Decimal(28020), Decimal(25483))
    assert first.option_chain is not None
    assert len(first.option_chain) == 286
    assert {q.expiry for q in first.option_chain} == {
        date(2015, 12, 24),
        date(2015, 12, 31),
        date(2016, 1, 8),
        date(2016, 1, 15),
    }
    assert all(Decimal(705) <= q.strike <= Decimal(795) for q in first.option_chain)
    assert rows[-1].timestamp == datetime(2015, 12, 24, 18, 1, tzinfo=UTC)


def test_an_option_state_quotes_what_the_file_has_for_that_minute() -> None:
    with zipfile.ZipFile(SAMPLE / "lean/option/usa/minute/goog/20151224_quote_american.zip") as archive:
        line = archive.read("20151224_goog_minute_quote_american_call_7500000_20160115.csv").decode().split()[0]
    stamp, *_, bid, bid_size, _, _, _, ask, ask_size = line.split(",")
    assert stamp == "34200000"
    chain = states("lean-option-goog")[0].option_chain or []
    quote = next(
        q for q in chain if (q.expiry, q.strike, q.right) == (date(2016, 1, 15), Decimal(750), OptionRight.CALL)
    )
    assert (quote.bid, quote.ask) == (Decimal(bid) / 10_000, Decimal(ask) / 10_000)
    assert (quote.bid_quantity, quote.ask_quantity) == (Decimal(bid_size), Decimal(ask_size))


def test_the_spot_of_a_state_is_the_close_of_the_bar_that_ended_then() -> None:
    closes = {known_at(bar): bar.close for bar in bars("lean-equity-goog-1m")}
    compared = [(s.spot_price, closes[s.timestamp]) for s in states("lean-option-goog") if s.timestamp in closes]
    assert len(compared) > 200
    assert all(spot == close for spot, close in compared)


@pytest.mark.parametrize("name", [d.name for d in discover(SAMPLE)])
def test_records_are_in_time_order_and_can_be_read_again(name: str) -> None:
    source = dataset(name)
    first = [known_at(record) for record in source.records()]
    assert all(a < b for a, b in pairwise(first))
    assert [known_at(record) for record in source.records()] == first


def test_the_session_is_the_local_day_of_a_bar_start() -> None:
    nifty, btc = dataset("lean-index-nifty50-1m"), dataset("binance-btcusdt-1m")
    rows = list(btc.records())
    assert btc.session_date(rows[24 * 60 - 1]) == date(2024, 12, 2)
    assert known_at(rows[24 * 60 - 1]) == datetime(2024, 12, 3, tzinfo=UTC)
    assert [nifty.session_date(r) for r in nifty.records()][377:379] == [date(2019, 1, 1), date(2019, 1, 2)]


@needs_full_data
def test_the_full_folder_is_recognised_alike() -> None:
    found = discover(FULL)
    assert {d.name for d in found} >= {d.name for d in discover(SAMPLE)} | {"nse-option-nifty", "binance-btcusdt-15m"}
    assert "binance-btcusdt-15m" not in {d.name for d in preferred(found)}


@needs_full_data
def test_the_first_snapshot_of_the_nse_file_is_kept_though_it_is_empty() -> None:
    reported: list[str] = []
    first = next(iter(dataset("nse-option-nifty", FULL).records(lambda bad: reported.append(bad.reason))))
    assert reported == []
    assert isinstance(first, MarketState)
    assert (first.timestamp, first.spot_price, first.option_chain) == (
        datetime(2025, 10, 13, 9, 38, 51, tzinfo=UTC),
        None,
        [],
    )
