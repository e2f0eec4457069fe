"""Recognise files of Binance by their names."""

import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import get_args
from zoneinfo import ZoneInfo

from services.marketdata.core.stream.messages import Stream
from services.marketdata.formats import binance_funding, binance_klines, binance_stream, binance_trades
from services.marketdata.formats.dataset import Dataset, DatasetKind, RawStream
from services.marketdata.formats.found import (
    ALWAYS_OPEN,
    SMALLEST,
    grouped,
    instrument,
    perpetual,
    quote_currency,
    raw_reader,
    reader,
)
from shared.schemas.instruments import AssetClass, Instrument
from shared.schemas.market_events import FundingRate, OrderBook, Tick
from shared.schemas.marketdata import Interval

_UTC = ZoneInfo("UTC")
_KLINES = re.compile(rf"^binance_([A-Z0-9]{{5,20}})_({'|'.join(get_args(Interval))})(_[^.]*)?\.csv(\.gz)?$")
_TRADES = re.compile(r"^binance_([A-Z0-9]{5,20})_trades(_[^.]*)?\.csv(\.gz)?$")
_FUNDING = re.compile(r"^binance_([A-Z0-9]{5,20})_funding_(\d{1,2})h(_[^.]*)?\.csv(\.gz)?$")
_STREAM = re.compile(r"^binance_futures_([a-z0-9]{5,20})_stream(_[^.]*)?\.jsonl(\.gz)?$")
# The exchange's filters of the symbols known here.
_STEPS = {"BTCUSDT": (Decimal("0.01"), Decimal("0.00001"))}
_FUTURES_STEPS = {"BTCUSDT": (Decimal("0.1"), Decimal("0.001"))}
_ANY_STEP = (SMALLEST, SMALLEST)


def binance_bars(folder: Path) -> Iterator[Dataset]:
    """Yield candlesticks of the spot market."""
    groups: dict[tuple[str, Interval], list[Path]] = {}
    for path in sorted(folder.glob("binance_*")):
        match = _KLINES.match(path.name)
        interval = next((i for i in get_args(Interval) if match and i == match[2]), None)
        if match and interval and quote_currency(match[1]):
            groups.setdefault((match[1], interval), []).append(path)
    for (symbol, interval), paths in groups.items():
        yield Dataset(
            name=f"binance-{symbol.lower()}-{interval}",
            kind=DatasetKind.BARS,
            symbol=symbol,
            source="binance.spot",
            timezone=_UTC,
            calendar=ALWAYS_OPEN,
            interval=interval,
            instrument=_spot(symbol),
            files=tuple(paths),
            read=reader(binance_klines.read_klines, paths, symbol=symbol, interval=interval),
        )


def binance_ticks(folder: Path) -> Iterator[Dataset[Tick]]:
    """Yield trades of the spot market."""
    for symbol, paths in grouped(folder, "binance_*", lambda path: _symbol(_TRADES, path)).items():
        yield Dataset(
            name=f"binance-{symbol.lower()}-trades",
            kind=DatasetKind.TICKS,
            symbol=symbol,
            source="binance.spot",
            timezone=_UTC,
            calendar=ALWAYS_OPEN,
            interval=None,
            instrument=_spot(symbol),
            files=tuple(paths),
            read=reader(binance_trades.read_trades, paths, symbol=symbol),
        )


def binance_funding_rates(folder: Path) -> Iterator[Dataset[FundingRate]]:
    """Yield the funding rates of perpetuals; the hours between them are in the file's name."""
    for path in sorted(folder.glob("binance_*")):
        match = _FUNDING.match(path.name)
        if match is None or not quote_currency(match[1]):
            continue
        symbol, hours = match[1], int(match[2])
        yield Dataset(
            name=f"binance-{symbol.lower()}-funding-{hours}h",
            kind=DatasetKind.FUNDING_RATES,
            symbol=symbol,
            source="binance.futures",
            timezone=_UTC,
            calendar=ALWAYS_OPEN,
            interval=None,
            instrument=perpetual(symbol, quote_currency(symbol)),
            files=(path,),
            read=reader(binance_funding.read_funding, [path], symbol=symbol, interval_hours=hours),
        )


def binance_streams(folder: Path) -> Iterator[Dataset[Tick | OrderBook]]:
    """Yield what raw messages of the futures stream make: trades, best quotes and books, each a source of its own.

    An update of the book and of its best quote may bear one id and moment, so that one source cannot hold both.
    """
    for symbol, paths in grouped(folder, "binance_futures_*", lambda path: _symbol(_STREAM, path)).items():
        for name, kind, source, stream, parse in (
            ("trades", DatasetKind.TICKS, "binance.futures", Stream.TRADES, binance_stream.read_trades),
            ("quotes", DatasetKind.ORDER_BOOKS, "binance.futures.quotes", Stream.QUOTES, binance_stream.read_quotes),
            ("books", DatasetKind.ORDER_BOOKS, "binance.futures.books", Stream.DEPTH, binance_stream.read_books),
        ):
            yield Dataset(
                name=f"binance-futures-{symbol.lower()}-{name}",
                kind=kind,
                symbol=symbol,
                source=source,
                timezone=_UTC,
                calendar=ALWAYS_OPEN,
                interval=None,
                instrument=perpetual(symbol, quote_currency(symbol), *_FUTURES_STEPS.get(symbol, _ANY_STEP)),
                files=tuple(paths),
                read=reader(parse, paths, symbol=symbol),
                raw=RawStream(stream, raw_reader(parse, paths, symbol=symbol)),
            )


def _symbol(pattern: re.Pattern[str], path: Path) -> str | None:
    match = pattern.match(path.name)
    symbol = match[1].upper() if match else ""
    return symbol if quote_currency(symbol) else None


def _spot(symbol: str) -> Instrument:
    return instrument(symbol, quote_currency(symbol), AssetClass.CRYPTO, *_STEPS.get(symbol, _ANY_STEP))
