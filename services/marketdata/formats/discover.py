"""Recognise what a folder of market data holds, by the layout and the names of its files."""

import re
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import get_args
from zoneinfo import ZoneInfo

from services.marketdata.formats import binance_klines, lean_bars, lean_option, nse_chain
from services.marketdata.formats.dataset import Dataset, DatasetKind, FormatError, Record, Report
from services.marketdata.formats.lean import MARKETS
from shared.schemas.instruments import AssetClass, Instrument
from shared.schemas.marketdata import INTERVAL_LENGTH, Interval

_BINANCE = re.compile(rf"^binance_([A-Z0-9]{{5,20}})_({'|'.join(get_args(Interval))})(_[^.]*)?\.csv(\.gz)?$")
_NSE = re.compile(r"^nse_([a-z0-9]{2,20})_option_chain[^.]*\.csv(\.gz)?$")
_QUOTE_CURRENCIES = ("USDT", "USDC", "FDUSD", "BTC", "ETH", "EUR")
# The exchange's filters of the symbols known here; of others nothing coarser than its smallest unit is assumed.
_BINANCE_STEPS = {"BTCUSDT": (Decimal("0.01"), Decimal("0.00001"))}
_SMALLEST = (Decimal("0.00000001"), Decimal("0.00000001"))


def discover(folder: Path) -> list[Dataset]:
    """Return the datasets of a folder, by name; files of other formats are left alone.

    Raises FormatError if the folder holds none, or a file's name promises a format and is malformed.
    """
    if not folder.is_dir():
        raise FormatError(f"{folder}: no such folder")
    found = [*_lean_bars(folder), *_lean_options(folder), *_binance(folder), *_nse(folder)]
    if not found:
        raise FormatError(
            f"{folder}: no data recognised: neither lean/, binance_*.csv.gz nor nse_*_option_chain*.csv.gz"
        )
    return sorted(found, key=lambda dataset: dataset.name)


def preferred(datasets: Sequence[Dataset]) -> list[Dataset]:
    """Return the datasets without the coarser bars of a symbol that also has finer ones."""
    finest: dict[str, Interval] = {}
    for dataset in datasets:
        if dataset.interval is not None:
            best = finest.get(dataset.symbol, dataset.interval)
            finest[dataset.symbol] = min(best, dataset.interval, key=lambda interval: INTERVAL_LENGTH[interval])
    return [d for d in datasets if d.interval is None or d.interval == finest[d.symbol]]


def _lean_bars(folder: Path) -> Iterator[Dataset]:
    for kind, asset_class, exponent in (
        ("equity", AssetClass.EQUITY, lean_bars.EQUITY_EXPONENT),
        ("index", AssetClass.INDEX, lean_bars.INDEX_EXPONENT),
    ):
        for name, market in MARKETS.items():
            for place in _folders(folder / "lean" / kind / name / "minute"):
                files = tuple(sorted(place.glob("*_trade.zip")))
                if not files:
                    continue
                zone, symbol = ZoneInfo(market.timezone), place.name.upper()
                yield Dataset(
                    name=f"lean-{kind}-{place.name}-1m",
                    kind=DatasetKind.BARS,
                    symbol=symbol,
                    source=f"lean.{kind}.{name}",
                    timezone=zone,
                    interval="1m",
                    instrument=_instrument(symbol, market.currency, asset_class, market.tick_size),
                    files=files,
                    read=_reader(lean_bars.read_days, files, symbol=symbol, zone=zone, exponent=exponent),
                )


def _lean_options(folder: Path) -> Iterator[Dataset]:
    for name, market in MARKETS.items():
        for place in _folders(folder / "lean" / "option" / name / "minute"):
            days = lean_option.option_days(place, folder / "lean" / "equity" / name / "minute" / place.name)
            if not days:
                continue
            zone, symbol = ZoneInfo(market.timezone), place.name.upper()
            yield Dataset(
                name=f"lean-option-{place.name}",
                kind=DatasetKind.STATES,
                symbol=symbol,
                source=f"lean.option.{name}",
                timezone=zone,
                interval=None,
                instrument=_instrument(symbol, market.currency, AssetClass.EQUITY, market.tick_size),
                files=tuple(file for day in days for file in day.files),
                read=_reader(lean_option.read_states, days, symbol=symbol, zone=zone),
            )


def _binance(folder: Path) -> Iterator[Dataset]:
    groups: dict[tuple[str, Interval], list[Path]] = {}
    for path in sorted(folder.glob("binance_*")):
        match = _BINANCE.match(path.name)
        interval = next((i for i in get_args(Interval) if match and i == match[2]), None)
        if match and interval and _quote_currency(match[1]):
            groups.setdefault((match[1], interval), []).append(path)
    for (symbol, interval), paths in groups.items():
        tick, lot = _BINANCE_STEPS.get(symbol, _SMALLEST)
        yield Dataset(
            name=f"binance-{symbol.lower()}-{interval}",
            kind=DatasetKind.BARS,
            symbol=symbol,
            source="binance.spot",
            timezone=ZoneInfo("UTC"),
            interval=interval,
            instrument=_instrument(symbol, _quote_currency(symbol), AssetClass.CRYPTO, tick, lot),
            files=tuple(paths),
            read=_reader(binance_klines.read_klines, paths, symbol=symbol, interval=interval),
        )


def _nse(folder: Path) -> Iterator[Dataset]:
    groups: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("nse_*")):
        match = _NSE.match(path.name)
        if match:
            groups.setdefault(match[1].upper(), []).append(path)
    india = MARKETS["india"]
    for symbol, paths in groups.items():
        yield Dataset(
            name=f"nse-option-{symbol.lower()}",
            kind=DatasetKind.STATES,
            symbol=symbol,
            source="nse.option_chain",
            timezone=ZoneInfo(india.timezone),
            interval=None,
            instrument=_instrument(symbol, india.currency, AssetClass.INDEX, india.tick_size),
            files=tuple(paths),
            read=_reader(nse_chain.read_chains, paths, symbol=symbol),
        )


def _instrument(
    symbol: str, currency: str, asset_class: AssetClass, tick: Decimal, lot: Decimal = Decimal(1)
) -> Instrument:
    # An index is traded through its future, on margin; one unit of it is one lot here.
    margined = asset_class is AssetClass.INDEX
    return Instrument(
        symbol=symbol, currency=currency, asset_class=asset_class, tick_size=tick, lot_size=lot, margined=margined
    )


def _reader(
    parse: Callable[..., Iterator[Record]], sources: Sequence[object], **options: object
) -> Callable[[Report], Iterator[Record]]:
    bound = partial(parse, tuple(sources), **options)
    return lambda report: bound(report=report)


def _quote_currency(symbol: str) -> str:
    return next((c for c in _QUOTE_CURRENCIES if symbol.endswith(c) and symbol != c), "")


def _folders(parent: Path) -> list[Path]:
    return sorted(path for path in parent.iterdir() if path.is_dir()) if parent.is_dir() else []
