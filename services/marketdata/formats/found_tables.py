"""Recognise option chains of NSE, days of single instruments, and tables of bars."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

from services.marketdata.formats import bars_table, daily_csv, nse_chain
from services.marketdata.formats.daily_csv import Layout
from services.marketdata.formats.dataset import Dataset, DatasetKind
from services.marketdata.formats.found import ALWAYS_OPEN, SMALLEST, grouped, instrument, quote_currency, reader
from services.marketdata.formats.lean import MARKETS
from shared.schemas.instruments import AssetClass

_NSE = re.compile(r"^nse_([a-z0-9]{2,20})_option_chain[^.]*\.csv(\.gz)?$")
_SHARES = re.compile(r"^sse_(\d{6})_daily[^.]*\.csv(\.gz)?$")
_TABLE = re.compile(r"^[^.]+\.(csv|csv\.gz|parquet)$")
# ISO 4217 for no currency: a table of bars does not say which.
_NO_CURRENCY = "XXX"
_CENT = Decimal("0.01")
# Trading Rules of the Shanghai Stock Exchange: 10 % a day, 20 % on the STAR Market. The 5 % of shares under special
# treatment no code tells; whoever knows them sets them.
_STAR = ("688", "689")
_MAIN_BOARD_LIMIT, _STAR_LIMIT = 0.1, 0.2


@dataclass(frozen=True, slots=True)
class _Index:
    glob: str
    name: str
    symbol: str
    source: str
    timezone: str
    calendar: str
    currency: str
    tick: Decimal
    layout: Layout


_INDICES = (
    _Index(
        "nifty50_index_daily*.csv*",
        "nse-index-nifty50-1d",
        "NIFTY50",
        "nse.index",
        "Asia/Kolkata",
        "XNSE",
        "INR",
        MARKETS["india"].tick_size,
        daily_csv.NIFTY,
    ),
    _Index(
        "sp500_daily*.csv*",
        "index-spx-1d",
        "SPX",
        "index.daily",
        "America/New_York",
        "XNYS",
        "USD",
        _CENT,
        daily_csv.SP500,
    ),
    _Index(
        "vix_daily*.csv*", "index-vix-1d", "VIX", "index.daily", "America/New_York", "XNYS", "USD", _CENT, daily_csv.VIX
    ),
)


def nse_chains(folder: Path) -> Iterator[Dataset]:
    """Yield the option chains of NSE."""
    india = MARKETS["india"]
    for name, paths in grouped(folder, "nse_*", _underlying).items():
        symbol = name.upper()
        yield Dataset(
            name=f"nse-option-{name}",
            kind=DatasetKind.STATES,
            symbol=symbol,
            source="nse.option_chain",
            timezone=ZoneInfo(india.timezone),
            calendar=india.calendar,
            interval=None,
            instrument=instrument(symbol, india.currency, AssetClass.INDEX, india.tick_size),
            files=tuple(paths),
            read=reader(nse_chain.read_chains, paths, symbol=symbol),
        )


def days_of_indices(folder: Path) -> Iterator[Dataset]:
    """Yield daily bars of the indices known here."""
    for index in _INDICES:
        files = tuple(sorted(folder.glob(index.glob)))
        if not files:
            continue
        zone = ZoneInfo(index.timezone)
        yield Dataset(
            name=index.name,
            kind=DatasetKind.BARS,
            symbol=index.symbol,
            source=index.source,
            timezone=zone,
            calendar=index.calendar,
            interval="1d",
            instrument=instrument(index.symbol, index.currency, AssetClass.INDEX, index.tick),
            files=files,
            read=reader(daily_csv.read_days, files, symbol=index.symbol, zone=zone, layout=index.layout),
        )


def days_of_shares(folder: Path) -> Iterator[Dataset]:
    """Yield daily bars of shares listed in Shanghai, which are bought by the hundred."""
    zone = ZoneInfo("Asia/Shanghai")
    for code, paths in grouped(folder, "sse_*", _share).items():
        yield Dataset(
            name=f"sse-{code}-1d",
            kind=DatasetKind.BARS,
            symbol=code,
            source="sse.equity",
            timezone=zone,
            calendar="XSHG",
            interval="1d",
            instrument=instrument(code, "CNY", AssetClass.EQUITY, _CENT, Decimal(100)),
            files=tuple(paths),
            read=reader(daily_csv.read_days, paths, symbol=code, zone=zone, layout=daily_csv.SSE),
            price_limit=_STAR_LIMIT if code.startswith(_STAR) else _MAIN_BOARD_LIMIT,
        )


def tables_of_bars(folder: Path) -> Iterator[Dataset]:
    """Yield the bars of every symbol and interval in the folder's tables, known by their header."""
    for path in sorted(folder.iterdir()):
        if not _TABLE.match(path.name) or not path.is_file() or not bars_table.is_bars_table(path):
            continue
        listed = bars_table.series(path)
        for index, (symbol, interval) in enumerate(listed):
            stem = path.name.partition(".")[0]
            coin = quote_currency(symbol)
            yield Dataset(
                name=f"{path.name}-{symbol.lower()}-{interval}",
                kind=DatasetKind.BARS,
                symbol=symbol,
                source=_source(stem),
                timezone=ZoneInfo("UTC"),
                calendar=ALWAYS_OPEN if coin else None,
                interval=interval,
                instrument=instrument(
                    symbol, coin or _NO_CURRENCY, AssetClass.CRYPTO if coin else AssetClass.EQUITY, SMALLEST, SMALLEST
                ),
                files=(path,),
                # Rows of no series are told of once.
                read=reader(bars_table.read_bars, [path], symbol=symbol, interval=interval, strays=index == 0),
            )


def _source(stem: str) -> str:
    return f"file.{re.sub('[^A-Za-z0-9._:-]', '-', stem)}"[:64]


def _underlying(path: Path) -> str | None:
    match = _NSE.match(path.name)
    return match[1] if match else None


def _share(path: Path) -> str | None:
    match = _SHARES.match(path.name)
    return match[1] if match else None
