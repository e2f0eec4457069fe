"""LEAN minute files: local time, scaled prices, members of archives, rows that break the format."""

import zipfile
from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from services.marketdata.formats.dataset import BadRow, FormatError, refuse
from services.marketdata.formats.discover import discover, discover_all
from services.marketdata.formats.lean import local_moment, session_of
from services.marketdata.formats.lean_bars import parse_bars, read_day
from services.marketdata.formats.reading import numbered
from shared.schemas.marketdata import Bar, MarketState

pytestmark = pytest.mark.unit

NEW_YORK, KOLKATA = ZoneInfo("America/New_York"), ZoneInfo("Asia/Kolkata")
HALF_PAST_NINE = str((9 * 60 + 30) * 60 * 1000)
GOOD = f"{HALF_PAST_NINE},7503000,7504000,7502000,7503500,27"


def parse(lines: Iterable[str], bad: list[BadRow] | None = None) -> list[Bar]:
    report = refuse if bad is None else bad.append
    rows = numbered(lines, "day.csv")
    return list(parse_bars(rows, session=date(2015, 12, 24), symbol="GOOG", zone=NEW_YORK, exponent=-4, report=report))


def write_zip(path: Path, members: dict[str, str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return path


def read(path: Path, bad: list[BadRow]) -> list[Bar]:
    return list(read_day(path, symbol="NIFTY50", zone=KOLKATA, exponent=0, report=bad.append))


@pytest.mark.parametrize(
    ("day", "zone", "utc"),
    [
        (date(2015, 3, 6), NEW_YORK, datetime(2015, 3, 6, 14, 30, tzinfo=UTC)),
        (date(2015, 3, 8), NEW_YORK, datetime(2015, 3, 8, 13, 30, tzinfo=UTC)),
        (date(2015, 11, 1), NEW_YORK, datetime(2015, 11, 1, 14, 30, tzinfo=UTC)),
        (date(2019, 1, 1), KOLKATA, datetime(2019, 1, 1, 4, 0, tzinfo=UTC)),
    ],
)
def test_half_past_nine_is_wall_clock_time_also_when_the_clocks_change(
    day: date, zone: ZoneInfo, utc: datetime
) -> None:
    assert local_moment(day, HALF_PAST_NINE, zone) == utc


def test_a_time_the_clocks_skipped_is_refused() -> None:
    with pytest.raises(ValueError, match="does not exist"):
        local_moment(date(2015, 3, 8), str(150 * 60 * 1000), NEW_YORK)


@pytest.mark.parametrize("text", ["", "-1", "86400000", "9.5", "noon", "9" * 5000, "１"])
def test_what_is_no_time_of_day_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="milliseconds since midnight"):
        local_moment(date(2015, 3, 6), text, NEW_YORK)


@pytest.mark.parametrize(
    "row",
    [
        "34260000,1,2,3",
        "34260000,1,2,3,4,5,6",
        "34260000,x,7504000,7502000,7503500,27",
        "34260000,NaN,7504000,7502000,7503500,27",
        "34260000,1e99,7504000,7502000,7503500,27",
        "34260000,,7504000,7502000,7503500,27",
        "34260000,7503000,7504000,7502000,7503500,-1",
        "soon,7503000,7504000,7502000,7503500,27",
    ],
)
def test_a_broken_row_is_reported_with_its_line_and_the_rest_is_read(row: str) -> None:
    bad: list[BadRow] = []
    later = GOOD.replace(HALF_PAST_NINE, "34320000")
    assert [bar.close for bar in parse([GOOD, row, later], bad)] == [Decimal("750.35")] * 2
    assert [(b.file, b.line) for b in bad] == [("day.csv", 2)]


def test_without_a_listener_a_broken_row_raises_naming_file_and_line() -> None:
    with pytest.raises(FormatError, match=r"^day\.csv:2: 1 columns"):
        parse([GOOD, "garbage"])


def test_the_same_minute_twice_and_time_running_back_are_reported() -> None:
    bad: list[BadRow] = []
    assert len(parse([GOOD, GOOD, GOOD.replace(HALF_PAST_NINE, "34140000")], bad)) == 1
    assert [b.line for b in bad] == [2, 3]
    assert "the same time" in bad[0].reason
    assert "earlier" in bad[1].reason


def test_bars_that_break_ohlc_bounds_are_kept_for_the_quality_gate() -> None:
    assert parse([f"{HALF_PAST_NINE},7503000,1,9999999,0,0"])[0].high == Decimal("0.0001")


def test_a_copy_under_the_next_date_is_left_out_in_silence(tmp_path: Path) -> None:
    row = "33300000,10,11,9,10,0"
    path = write_zip(tmp_path / "20190101_trade.zip", {"20190102_a.csv": row, "20190101_a.csv": row})
    bad: list[BadRow] = []
    assert [bar.ts for bar in read(path, bad)] == [datetime(2019, 1, 1, 3, 45, tzinfo=UTC)]
    assert bad == []


def test_other_rows_under_another_date_are_reported_not_mixed_in(tmp_path: Path) -> None:
    members = {"20190102_a.csv": "33300000,20,21,19,20,0", "20190101_a.csv": "33300000,10,11,9,10,0"}
    bad: list[BadRow] = []
    assert [bar.open for bar in read(write_zip(tmp_path / "20190101_trade.zip", members), bad)] == [Decimal(10)]
    assert [(b.line, b.file.rpartition("!")[2]) for b in bad] == [(0, "20190102_a.csv")]


def test_a_zip_without_a_member_of_its_date_is_an_error(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "20190101_trade.zip", {"20190102_a.csv": "33300000,20,21,19,20,0"})
    with pytest.raises(FormatError, match=r"20190101_trade\.zip: 0 members"):
        read(path, [])


def test_a_file_that_is_no_zip_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "20190101_trade.zip"
    path.write_bytes(b"not a zip")
    with pytest.raises(FormatError, match=r"20190101_trade\.zip: cannot be read"):
        read(path, [])


def test_a_member_damaged_in_transit_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "20190101_trade.zip", {"20190101_a.csv": "33300000,10,11,9,10,0\n"})
    path.write_bytes(path.read_bytes().replace(b"33300000", b"33300001"))
    with pytest.raises(FormatError, match="CRC"):
        read(path, [])


DAY = {"1": "33300000,10,11,9,10,0", "2": "33300000,20,21,19,20,0", "3": "33300000,30,31,29,30,0"}


def nifty(folder: Path, kind: str = "index/india/minute/nifty50", name: str = "trade") -> list[Path]:
    """Write three days of one row each."""
    where = folder / "lean" / kind
    return [write_zip(where / f"2019010{n}_{name}.zip", {f"2019010{n}_a.csv": row}) for n, row in DAY.items()]


@pytest.mark.parametrize("damage", [b"", b"not a zip", b"CRC"])
def test_a_damaged_day_is_lost_and_those_around_it_are_read(tmp_path: Path, damage: bytes) -> None:
    second = nifty(tmp_path)[1]
    second.write_bytes(second.read_bytes().replace(b"33300000", b"33300001") if damage == b"CRC" else damage)
    (dataset,) = discover(tmp_path)
    bad: list[BadRow] = []
    found = list(dataset.records(bad.append, whole=False))
    # Not a row of it, as nobody knows which ones are right.
    assert [bar.open for bar in found if isinstance(bar, Bar)] == [Decimal(10), Decimal(30)]
    assert [(Path(each.file), each.line, each.lost) for each in bad] == [(second, 0, True)]
    assert str(bad[0]).count(str(second)) == 1
    # Whoever needs all of it, such as a replay, is told so instead.
    with pytest.raises(FormatError, match=r"20190102_trade\.zip: "):
        list(dataset.records(bad.append))
    with pytest.raises(FormatError, match=r"20190102_trade\.zip: "):
        list(dataset.records(whole=False))


def test_a_bad_row_of_a_day_is_no_lost_file(tmp_path: Path) -> None:
    write_zip(nifty(tmp_path)[1], {"20190102_a.csv": "33300000,20,21,19,20"})
    (dataset,) = discover(tmp_path)
    bad: list[BadRow] = []
    assert len(list(dataset.records(bad.append, whole=False))) == 2
    assert [(each.line, each.lost) for each in bad] == [(1, False)]
    with pytest.raises(FormatError, match=r"20190102_a\.csv:1: 5 columns"):
        list(dataset.records(whole=False))


@pytest.mark.parametrize("damaged", ["option/usa/minute/goog/20151223_openinterest_american.zip",
                                     "equity/usa/minute/goog/20151223_trade.zip"])  # fmt: skip
def test_a_day_of_chains_is_lost_with_any_of_its_files(tmp_path: Path, damaged: str) -> None:
    contract = "goog_minute_quote_american_call_7500000_20160115.csv"
    for day in ("20151222", "20151223", "20151224"):
        place = tmp_path / "lean" / "option" / "usa" / "minute" / "goog"
        quote = f"{HALF_PAST_NINE},1,1,1,10000,5,1,1,1,11000,5"
        write_zip(place / f"{day}_quote_american.zip", {f"{day}_{contract}": quote})
        members = {f"{day}_{contract.replace('quote', 'openinterest')}": f"{HALF_PAST_NINE},9"}
        write_zip(place / f"{day}_openinterest_american.zip", members)
        spots = tmp_path / "lean" / "equity" / "usa" / "minute" / "goog" / f"{day}_trade.zip"
        write_zip(spots, {f"{day}_goog_minute_trade.csv": GOOD})
    (tmp_path / "lean" / damaged).write_bytes(b"damaged")
    (dataset,) = (each for each in discover(tmp_path) if each.name == "lean-option-goog")
    bad: list[BadRow] = []
    found = list(dataset.records(bad.append, whole=False))
    days = [state.timestamp.day for state in found if isinstance(state, MarketState) and state.timestamp]
    assert days == [22, 24]
    assert [(Path(each.file), each.lost) for each in bad] == [(tmp_path / "lean" / damaged, True)]


def test_a_damaged_day_of_quotes_is_lost_alone(tmp_path: Path) -> None:
    place = tmp_path / "lean" / "equity" / "usa" / "minute" / "goog"
    for day in ("20151222", "20151223", "20151224"):
        quote = f"{HALF_PAST_NINE},1,1,1,10000,5,1,1,1,11000,5"
        write_zip(place / f"{day}_quote.zip", {f"{day}_goog_minute_quote.csv": quote})
    (place / "20151223_quote.zip").write_bytes(b"damaged")
    (dataset,) = (each for each in discover_all(tmp_path) if each.name == "lean-equity-goog-quotes")
    bad: list[BadRow] = []
    assert len(list(dataset.records(bad.append, whole=False))) == 2
    assert [(Path(each.file).name, each.lost) for each in bad] == [("20151223_quote.zip", True)]


def test_a_member_that_is_not_text_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "20190101_trade.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("20190101_a.csv", b"\xff\xfe\x00")
    with pytest.raises(FormatError, match="UTF-8"):
        read(path, [])


def test_a_member_that_would_unpack_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.marketdata.formats.reading.MAX_MEMBER_BYTES", 10)
    path = write_zip(tmp_path / "20190101_trade.zip", {"20190101_a.csv": "33300000,10,11,9,10,0"})
    with pytest.raises(FormatError, match="unpacks to more than 10 bytes"):
        read(path, [])


def test_a_name_without_a_date_is_an_error() -> None:
    with pytest.raises(FormatError, match="does not begin with a date"):
        session_of(Path("20191301_trade.zip"))


QUOTE = "20151224_goog_minute_quote_american_{}_{}_20160115.csv"


def option_folder(root: Path, quotes: dict[str, str], **others: dict[str, str]) -> Path:
    place = root / "lean/option/usa/minute/goog"
    write_zip(place / "20151224_quote_american.zip", quotes)
    for kind, members in others.items():
        write_zip(place / f"20151224_{kind}_american.zip", members)
    return root


def option_states(root: Path, bad: list[BadRow]) -> list[MarketState]:
    return [r for r in discover(root)[-1].records(bad.append) if isinstance(r, MarketState)]


def test_a_quote_stands_until_the_next_and_an_empty_side_is_not_quoted(tmp_path: Path) -> None:
    call = "34200000,,,,,0,96000,96000,5000,5000,19\n34320000,100,100,100,200,7,,,,,0\n"
    put = "34260000,300,300,300,300,1,400,400,400,400,2\n"
    quotes = {QUOTE.format("call", 7500000): call, QUOTE.format("put", 7500000): put}
    states = option_states(option_folder(tmp_path, quotes), bad := [])
    assert bad == []
    assert [s.timestamp.strftime("%H:%M") for s in states if s.timestamp] == ["14:31", "14:32", "14:33"]
    chains = [[(q.right.value, q.bid, q.ask) for q in s.option_chain or []] for s in states]
    assert chains[0] == [("C", None, Decimal("0.5"))]
    assert chains[1] == [("C", None, Decimal("0.5")), ("P", Decimal("0.03"), Decimal("0.04"))]
    assert chains[2] == [("C", Decimal("0.02"), None), ("P", Decimal("0.03"), Decimal("0.04"))]


def test_a_state_without_underlying_or_open_interest_says_so_by_absence(tmp_path: Path) -> None:
    quotes = {QUOTE.format("call", 7500000): "34200000,1,1,1,1,1,2,2,2,2,1\n"}
    (state,) = option_states(option_folder(tmp_path, quotes), [])
    assert (state.spot_price, state.total_call_oi, state.total_put_oi) == (None, None, None)


def test_a_state_holds_nothing_known_only_later(tmp_path: Path) -> None:
    name = QUOTE.format("call", 7500000)
    quotes = {name: "34200000,1,1,1,1,1,2,2,2,2,1\n34260000,1,1,1,1,1,2,2,2,2,1\n"}
    # One is published at 09:31 sharp, when the first state is made, the other a millisecond after it.
    interest = {
        name.replace("quote", "openinterest"): "34260000,5\n",
        name.replace("quote", "openinterest").replace("7500000", "7600000"): "34260001,7\n",
    }
    trades = {name.replace("quote", "trade"): "34260000,9,9,9,90000,1\n"}
    states = option_states(option_folder(tmp_path, quotes, openinterest=interest, trade=trades), [])
    assert [s.total_call_oi for s in states] == [Decimal(5), Decimal(12)]
    assert [(s.option_chain or [])[0].last_price for s in states] == [None, Decimal(9)]


def test_bad_option_rows_and_names_are_reported_and_the_rest_is_read(tmp_path: Path) -> None:
    good = "34200000,1,1,1,1,1,2,2,2,2,1\n"
    quotes = {
        QUOTE.format("call", 7500000): good + "34260000,1,1\nlate,1,1,1,1,1,2,2,2,2,1\n34200000,1,1,1,1,1,2,2,2,2,1\n",
        QUOTE.format("put", 0): good,
        QUOTE.format("straddle", 7500000): good,
        QUOTE.format("call", 7600000).replace("20151224", "20151223"): good,
    }
    states = option_states(option_folder(tmp_path, quotes), bad := [])
    assert [len(s.option_chain or []) for s in states] == [1, 1]
    assert sorted(b.line for b in bad) == [0, 0, 1, 2, 3, 4]
