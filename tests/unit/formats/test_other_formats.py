"""Trades, funding rates, daily bars and best quotes: what a row means, and rows that break the format."""

import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from services.marketdata.formats import binance_funding, binance_trades, daily_csv, lean_crypto, lean_quotes
from services.marketdata.formats.dataset import BadRow, FormatError
from services.marketdata.formats.discover import discover, discover_all
from shared.schemas.market_events import Aggressor, FundingRate, OrderBook, Tick
from shared.schemas.marketdata import Bar

pytestmark = pytest.mark.unit

NIFTY = ",".join(daily_csv.NIFTY.header)
SSE = ",".join(daily_csv.SSE.header)
TRADES = ",".join(binance_trades.HEADER)
FUNDING = ",".join(binance_funding.HEADER)
SHANGHAI, KOLKATA, NEW_YORK = ZoneInfo("Asia/Shanghai"), ZoneInfo("Asia/Kolkata"), ZoneInfo("America/New_York")


def rows_of(
    read: Callable[..., Iterator[Any]], tmp_path: Path, *lines: str, **options: Any
) -> tuple[list[Any], list[BadRow]]:
    path = tmp_path / "file.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    bad: list[BadRow] = []
    return list(read([path], report=bad.append, **options)), bad


def days(tmp_path: Path, layout: daily_csv.Layout, zone: ZoneInfo, *lines: str) -> tuple[list[Bar], list[BadRow]]:
    header = ",".join(layout.header)
    return rows_of(daily_csv.read_days, tmp_path, header, *lines, symbol="AAA", zone=zone, layout=layout)


def test_a_chinese_day_begins_at_midnight_in_shanghai(tmp_path: Path) -> None:
    (bar,), bad = days(tmp_path, daily_csv.SSE, SHANGHAI, "2012年3月21日,205.1,207.8,209.0,203.86,2950000.0,-0.0128")
    assert bar == Bar(
        symbol="AAA",
        interval="1d",
        ts=datetime(2012, 3, 20, 16, tzinfo=UTC),
        open=Decimal("207.8"),
        high=Decimal("209.0"),
        low=Decimal("203.86"),
        close=Decimal("205.1"),
        volume=Decimal(2950000),
    )
    assert bad == []


def test_an_indian_day_begins_at_half_past_six_utc_in_both_spellings(tmp_path: Path) -> None:
    rows, bad = days(
        tmp_path,
        daily_csv.NIFTY,
        KOLKATA,
        "03-01-2000,1482.15,1592.9,1482.15,1592.2,25.91,4.63,0.95",
        "05-Jan-24,21705.75,21749.6,21629.2,21710.8,0,0,-",
    )
    assert [bar.ts for bar in rows] == [
        datetime(2000, 1, 2, 18, 30, tzinfo=UTC),
        datetime(2024, 1, 4, 18, 30, tzinfo=UTC),
    ]
    assert [bar.volume for bar in rows] == [0, 0]
    assert bad == []


def test_an_american_day_begins_at_midnight_in_new_york_in_winter_and_summer(tmp_path: Path) -> None:
    rows, _ = days(
        tmp_path, daily_csv.SP500, NEW_YORK, "1999-01-04,1,2,0.5,1.5,1.5,877000000", "1999-07-06,1,2,0.5,1.5,1.5,7"
    )
    assert [bar.ts.hour for bar in rows] == [5, 4]
    assert rows[0].volume == Decimal(877000000)


def test_a_level_a_day_is_a_bar_that_stays_there_and_a_day_without_one_is_reported(tmp_path: Path) -> None:
    rows, bad = days(tmp_path, daily_csv.VIX, NEW_YORK, "2014-01-17,12.44", "2014-01-20,", "2014-01-21,12.87")
    assert [(b.open, b.high, b.low, b.close, b.volume) for b in rows] == [
        (Decimal(v), Decimal(v), Decimal(v), Decimal(v), Decimal(0)) for v in ("12.44", "12.87")
    ]
    assert [(b.line, b.reason) for b in bad] == [(3, "no value of vix")]


@pytest.mark.parametrize(
    ("layout", "row"),
    [
        (daily_csv.SSE, "2012-03-22,1,1,1,1,1,0"),
        (daily_csv.SSE, "2012年3月32日,1,1,1,1,1,0"),
        (daily_csv.SSE, "2012年3月22日x,1,1,1,1,1,0"),
        (daily_csv.SSE, "2012年3月22日,1,1,1,1,-5,0"),
        (daily_csv.SSE, "2012年3月22日,1,NaN,1,1,1,0"),
        (daily_csv.SSE, "2012年3月22日,1,1,1"),
        (daily_csv.SSE, "2012年3月21日,1,1,1,1,1,0"),
        (daily_csv.NIFTY, "32-01-2001,1,1,1,1,1,1,1"),
        (daily_csv.NIFTY, "05-Jan-2024x,1,1,1,1,1,1,1"),
        (daily_csv.NIFTY, "05-13-2024,1,1,1,1,1,1,1"),
        (daily_csv.NIFTY, "٠٣-٠١-٢٠٠٠,1,1,1,1,1,1,1"),
        (daily_csv.SP500, "1999-1-5,1,1,1,1,1,1"),
        (daily_csv.SP500, "1999-01-05,1e999,1,1,1,1,1"),
    ],
)
def test_a_broken_day_is_reported_and_the_rest_is_read(tmp_path: Path, layout: daily_csv.Layout, row: str) -> None:
    good = {
        daily_csv.SSE: ("2012年3月21日,1,1,1,1,1,0", "2012年3月23日,1,1,1,1,1,0"),
        daily_csv.NIFTY: ("03-01-2000,1,1,1,1,1,1,1", "05-02-2024,1,1,1,1,1,1,1"),
        daily_csv.SP500: ("1999-01-04,1,1,1,1,1,1", "1999-01-06,1,1,1,1,1,1"),
    }[layout]
    rows, bad = days(tmp_path, layout, SHANGHAI, good[0], row, good[1])
    assert len(rows) == 2
    assert [b.line for b in bad] == [3]


def test_a_trade_has_its_own_id_and_side_and_several_may_be_of_one_moment(tmp_path: Path) -> None:
    rows, bad = rows_of(
        binance_trades.read_trades,
        tmp_path,
        TRADES,
        "1570752011620,13519807,,sell,0.00141342,23.0,0.03250866",
        "1570752011620,13519808,,buy,0.00141266,54.0,0.07628364",
        "1570752011621,13519809,,,1,1,1",
        symbol="XRPETH",
    )
    assert rows[0] == Tick(
        symbol="XRPETH",
        ts=datetime(2019, 10, 11, 0, 0, 11, 620000, tzinfo=UTC),
        trade_id="13519807",
        price=Decimal("0.00141342"),
        quantity=Decimal(23),
        aggressor=Aggressor.SELL,
    )
    assert [tick.aggressor for tick in rows] == [Aggressor.SELL, Aggressor.BUY, None]
    assert bad == []


@pytest.mark.parametrize(
    "row",
    [
        "1570752011619,1,,sell,1,1,1",
        "-1570752011620,1,,sell,1,1,1",
        "99999999999999999999,1,,sell,1,1,1",
        "1570752011620,not an id,,sell,1,1,1",
        "1570752011620,1,,both,1,1,1",
        "1570752011620,1,,sell,one,1,1",
        "1570752011620,1,,sell,1,1",
    ],
)
def test_a_broken_trade_is_reported_and_the_rest_is_read(tmp_path: Path, row: str) -> None:
    good = "1570752011620,7,,sell,1,1,1"
    rows, bad = rows_of(binance_trades.read_trades, tmp_path, TRADES, good, row, good, symbol="XRPETH")
    assert len(rows) == 2
    assert [b.line for b in bad] == [3]


def test_a_funding_rate_is_the_open_of_its_candle_at_the_very_millisecond(tmp_path: Path) -> None:
    rows, bad = rows_of(
        binance_funding.read_funding,
        tmp_path,
        FUNDING,
        "2021-11-18 00:00:00.017+00:00,0.0001,0.0,0.0,0.0,0.0",
        "2021-11-18 08:00:00.007+00:00,-0.0021933400000000002,0.0,0.0,0.0,0.0",
        "2021-11-18 16:00:00.011,0.0001,0.0,0.0,0.0,0.0",
        symbol="XRPUSDT",
        interval_hours=8,
    )
    assert rows == [
        FundingRate(
            symbol="XRPUSDT",
            ts=datetime(2021, 11, 18, 0, 0, 0, 17000, tzinfo=UTC),
            rate=Decimal("0.0001"),
            interval_hours=8,
        ),
        FundingRate(
            symbol="XRPUSDT",
            ts=datetime(2021, 11, 18, 8, 0, 0, 7000, tzinfo=UTC),
            rate=Decimal("-0.00219334"),
            interval_hours=8,
        ),
    ]
    assert [(b.line, "no offset" in b.reason) for b in bad] == [(4, True)]


def test_lean_funding_is_in_utc_and_has_no_header(tmp_path: Path) -> None:
    rows, bad = rows_of(
        lean_crypto.read_funding,
        tmp_path,
        "20201229 00:00:00,0.00020030",
        "20201229,1",
        "2020122x 08:00:00,1",
        symbol="BTCUSD",
    )
    assert [(r.ts, r.rate, r.interval_hours) for r in rows] == [
        (datetime(2020, 12, 29, tzinfo=UTC), Decimal("0.0002003"), 8)
    ]
    assert [b.line for b in bad] == [2, 3]


def test_lean_days_of_a_coin_are_utc_days_and_their_volume_is_rounded(tmp_path: Path) -> None:
    path = tmp_path / "btcusd_trade.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "btcusd.csv", "20180813 00:00,6316,6544.99,6139.57,6253.67,10178.431466441317\n20180813 00:00,1,1,1,1,1\n"
        )
    bad: list[BadRow] = []
    (bar,) = lean_crypto.read_days([path], symbol="BTCUSD", report=bad.append)
    assert (bar.ts, bar.interval, bar.volume) == (datetime(2018, 8, 13, tzinfo=UTC), "1d", Decimal("10178.4314664413"))
    assert [(b.line, "the same time" in b.reason) for b in bad] == [(2, True)]


def test_a_zip_of_days_with_several_members_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "btcusd_trade.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", "")
        archive.writestr("b.csv", "")
    with pytest.raises(FormatError, match="2 members instead of one"):
        list(lean_crypto.read_days([path], symbol="BTCUSD", report=lambda bad: None))


def test_a_quote_bar_is_the_best_bid_and_ask_at_the_end_of_its_minute(tmp_path: Path) -> None:
    path = tmp_path / "20151224_quote.zip"
    lines = (
        "34200000,7260000,7260000,7260000,7265000,200,7640000,7640000,7640000,7645000,100",
        "34260000,,,,,,7640000,7640000,7503000,7503000,300",
        "34320000,1,2,3",
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("20151224_goog_minute_quote.csv", "\n".join(lines))
    bad: list[BadRow] = []
    rows = list(lean_quotes.read_quotes([path], symbol="GOOG", zone=NEW_YORK, report=bad.append))
    assert rows == [
        OrderBook(
            symbol="GOOG",
            ts=datetime(2015, 12, 24, 14, 31, tzinfo=UTC),
            bids=[(Decimal("726.5"), Decimal(200))],
            asks=[(Decimal("764.5"), Decimal(100))],
        ),
        OrderBook(
            symbol="GOOG",
            ts=datetime(2015, 12, 24, 14, 32, tzinfo=UTC),
            bids=[],
            asks=[(Decimal("750.3"), Decimal(300))],
        ),
    ]
    assert [b.line for b in bad] == [3]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("sp500_daily.csv", "Date,Close\n"),
        ("vix_daily.csv", ""),
        ("sse_600519_daily.csv", NIFTY),
        ("nifty50_index_daily.csv", SSE),
        ("binance_XRPETH_trades.csv", FUNDING),
        ("binance_XRPUSDT_funding_8h.csv", TRADES),
    ],
)
def test_a_name_that_promises_another_format_is_an_error_that_names_the_file(
    tmp_path: Path, name: str, text: str
) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    (found,) = discover_all(tmp_path)
    with pytest.raises(FormatError, match=rf"{name}:1: the header is not"):
        list(found.records(lambda bad: None))


def test_what_cannot_be_traded_on_within_the_day_is_found_only_where_all_is_asked_for(tmp_path: Path) -> None:
    for name in ("sp500_daily.csv", "binance_XRPETH_trades.csv.gz", "binance_futures_btcusdt_stream_1.jsonl.gz"):
        (tmp_path / name).write_text("", encoding="utf-8")
    with pytest.raises(FormatError, match="no data recognised"):
        discover(tmp_path)
    assert [d.name for d in discover_all(tmp_path)] == [
        "binance-futures-btcusdt-books",
        "binance-futures-btcusdt-quotes",
        "binance-futures-btcusdt-trades",
        "binance-xrpeth-trades",
        "index-spx-1d",
    ]


def test_a_folder_with_nothing_at_all_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "notes.csv").write_text("a,b\n")
    with pytest.raises(FormatError, match="no data recognised"):
        discover_all(tmp_path)
