"""Binance candlesticks and NSE option chains: times, empty cells, rows and files that break the format."""

import gzip
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from services.marketdata.formats import binance_klines, nse_chain
from services.marketdata.formats.dataset import BadRow, FormatError
from services.marketdata.formats.discover import discover, preferred
from shared.schemas.marketdata import Bar, MarketState, OptionQuote, OptionRight

pytestmark = pytest.mark.unit

KLINES = ",".join(binance_klines.HEADER)
CHAIN = ",".join(nse_chain.HEADER)
EMPTY_LEG = "," * 7


def kline(close: str, price: str = "100") -> str:
    return f"{price},{price},{price},{price},1.5,150,3,{close}"


def klines(tmp_path: Path, *rows: str, header: str = KLINES) -> tuple[list[Bar], list[BadRow]]:
    path = tmp_path / "binance_BTCUSDT_1m_x.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    bad: list[BadRow] = []
    return list(binance_klines.read_klines([path], symbol="BTCUSDT", interval="1m", report=bad.append)), bad


def chain_row(
    stamp: str = "2025-10-13T10:00:00Z",
    *,
    spot: str = "25000",
    call: str = EMPTY_LEG,
    put: str = EMPTY_LEG,
    strike: str = "25000",
    expiry: str = "04-Nov-2025",
    symbol: str = "NIFTY",
) -> str:
    return f"{stamp},{symbol},{expiry},{strike},{spot},{call},{put}"


def chains(tmp_path: Path, *rows: str) -> tuple[list[MarketState], list[BadRow]]:
    path = tmp_path / "nse_nifty_option_chain.csv.gz"
    path.write_bytes(gzip.compress("\n".join([CHAIN, *rows]).encode()))
    bad: list[BadRow] = []
    return list(nse_chain.read_chains([path], symbol="NIFTY", report=bad.append)), bad


def test_the_start_is_the_close_plus_a_millisecond_less_the_interval(tmp_path: Path) -> None:
    rows, bad = klines(tmp_path, kline("2024-12-01 00:00:59.999000+01:00"))
    assert [bar.ts for bar in rows] == [datetime(2024, 11, 30, 23, 0, tzinfo=UTC)]
    assert bad == []


def test_bars_run_on_through_the_hour_the_clocks_show_twice(tmp_path: Path) -> None:
    rows, bad = klines(tmp_path, kline("2024-10-27 02:59:59.999+02:00"), kline("2024-10-27 02:00:59.999+01:00"))
    assert [bar.ts for bar in rows] == [
        datetime(2024, 10, 27, 0, 59, tzinfo=UTC),
        datetime(2024, 10, 27, 1, 0, tzinfo=UTC),
    ]
    assert bad == []


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (kline("2024-12-01 00:01:59.999"), "no offset"),
        (kline("2024-12-01 00:01:58.999+00:00"), "not the last millisecond of a 1m bar"),
        (kline("yesterday"), "isoformat"),
        (kline("2024-12-01 00:01:59.999+00:00", price="Infinity"), "not a number"),
        (kline("2024-12-01 00:00:59.999+00:00"), "the same time"),
        ("1,2,3", "3 columns"),
    ],
)
def test_a_broken_kline_is_reported_and_the_rest_is_read(tmp_path: Path, row: str, reason: str) -> None:
    good = [kline("2024-12-01 00:00:59.999+00:00"), kline("2024-12-01 00:02:59.999+00:00")]
    rows, bad = klines(tmp_path, good[0], row, good[1])
    assert len(rows) == 2
    assert [b.line for b in bad] == [3]
    assert reason in bad[0].reason


def test_another_header_is_an_error_that_names_file_and_line(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"binance_BTCUSDT_1m_x\.csv:1: the header"):
        klines(tmp_path, header="time,price")


def test_a_truncated_gzip_file_is_an_error_after_what_could_be_read(tmp_path: Path) -> None:
    path = tmp_path / "binance_BTCUSDT_1m.csv.gz"
    path.write_bytes(gzip.compress(f"{KLINES}\n{kline('2024-12-01 00:00:59.999+00:00')}\n".encode())[:-9])
    (found,) = discover(tmp_path)
    with pytest.raises(FormatError, match=r"csv\.gz: cannot be read"):
        list(found.records(lambda bad: None))


def test_empty_cells_are_absent_and_zeros_are_kept(tmp_path: Path) -> None:
    (state,), bad = chains(tmp_path, chain_row(call="0,,0,0,,,12.5,65", put="111,-6,19.88,6.4,1800,5.7,9.05,1650"))
    call, put = state.option_chain or []
    assert call == OptionQuote(
        expiry=date(2025, 11, 4),
        strike=Decimal(25000),
        right=OptionRight.CALL,
        open_interest=Decimal(0),
        implied_volatility=0.0,
        last_price=Decimal(0),
        ask=Decimal("12.5"),
        ask_quantity=Decimal(65),
    )
    assert (put.change_in_open_interest, put.implied_volatility, put.bid) == (Decimal(-6), 0.1988, Decimal("5.7"))
    assert (state.total_call_oi, state.total_put_oi, state.spot_price) == (Decimal(0), Decimal(111), Decimal(25000))
    assert bad == []


def test_a_snapshot_without_any_figure_is_a_state_with_nothing_in_it(tmp_path: Path) -> None:
    (state,), bad = chains(tmp_path, chain_row(spot=""))
    assert (state.spot_price, state.option_chain, state.total_call_oi, state.total_put_oi) == (None, [], None, None)
    assert bad == []


def test_fractional_open_interest_is_kept_to_ten_places(tmp_path: Path) -> None:
    (state,), _ = chains(tmp_path, chain_row(call="6.666666666666667,,,,,,,"))
    assert state.total_call_oi == Decimal("6.6666666667")


def test_several_spots_give_that_of_most_rows_and_a_report_and_keep_all_quotes(tmp_path: Path) -> None:
    leg = "5,,,,,,,"
    rows = [
        chain_row(spot=s, strike=k, call=leg) for s, k in (("0", "24000"), ("25000.5", "25000"), ("25000.50", "26000"))
    ]
    (state,), bad = chains(tmp_path, *rows)
    assert (state.spot_price, state.spot_prices) == (Decimal("25000.5"), [Decimal("25000.5"), Decimal(0)])
    assert len(state.option_chain or []) == 3
    assert [(b.line, b.reason.startswith("the underlying is 0,")) for b in bad] == [(2, True)]


def test_a_spot_of_zero_throughout_is_kept_for_the_quality_gate(tmp_path: Path) -> None:
    (state,), _ = chains(tmp_path, chain_row(spot="0"))
    assert state.spot_price == Decimal(0)


def test_identical_snapshots_at_two_times_are_both_kept(tmp_path: Path) -> None:
    states, bad = chains(tmp_path, chain_row(), chain_row("2025-10-13T10:05:00Z"))
    assert [s.timestamp for s in states] == [datetime(2025, 10, 13, 10, m, tzinfo=UTC) for m in (0, 5)]
    assert bad == []


@pytest.mark.parametrize(
    "row",
    [
        chain_row(call="many,,,,,,,"),
        chain_row(call="5,,NaN,,,,,"),
        chain_row(call="5,,,,,,,", strike="0"),
        chain_row(call="5,,,,,,,", expiry="31-Feb-2025"),
        chain_row(call="5,,,,,,,", expiry="2025-11-04"),
        chain_row(symbol="BANKNIFTY"),
        chain_row(spot="?"),
        "2025-10-13T10:00:00Z,NIFTY,short",
    ],
)
def test_a_broken_chain_row_is_reported_and_the_rest_of_the_snapshot_is_read(tmp_path: Path, row: str) -> None:
    (state,), bad = chains(tmp_path, chain_row(call="5,,,,,,,"), row)
    assert len(state.option_chain or []) == 1
    assert [b.line for b in bad] == [3]


def test_snapshots_without_a_time_or_out_of_order_are_reported(tmp_path: Path) -> None:
    states, bad = chains(
        tmp_path, chain_row(), chain_row("2025-10-13T10:01:00"), chain_row("later"), chain_row("2025-10-13T09:00:00Z")
    )
    assert len(states) == 1
    assert [b.line for b in bad] == [3, 4, 5]


def test_an_empty_or_missing_folder_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(FormatError, match="no data recognised"):
        discover(tmp_path)
    with pytest.raises(FormatError, match="no such folder"):
        discover(tmp_path / "absent")


def test_other_files_are_left_alone_and_the_finest_bars_are_preferred(tmp_path: Path) -> None:
    for name in (
        "binance_BTCUSDT_15m.csv",
        "binance_BTCUSDT_1m_a.csv",
        "binance_BTCUSDT_1m_b.csv",
        "binance_XRPUSDT_funding_8h.csv",
        "binance_XRPETH_trades.csv.gz",
        "binance_QQQQQQ_1m.csv",
        "sp500_daily.csv",
    ):
        (tmp_path / name).write_text(KLINES)
    found = discover(tmp_path)
    assert [d.name for d in found] == ["binance-btcusdt-15m", "binance-btcusdt-1m"]
    assert [len(d.files) for d in found] == [1, 2]
    assert [d.name for d in preferred(found)] == ["binance-btcusdt-1m"]
