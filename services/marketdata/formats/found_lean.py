"""Recognise files of the LEAN layout."""

from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

from services.marketdata.formats import lean_bars, lean_crypto, lean_option, lean_quotes
from services.marketdata.formats.dataset import Dataset, DatasetKind
from services.marketdata.formats.found import (
    ALWAYS_OPEN,
    SMALLEST,
    folders,
    instrument,
    perpetual,
    quote_currency,
    reader,
)
from services.marketdata.formats.lean import MARKETS
from shared.schemas.instruments import AssetClass
from shared.schemas.market_events import FundingRate, OrderBook
from shared.schemas.marketdata import Bar

_UTC = ZoneInfo("UTC")
_CRYPTO_MARKETS = ("binance", "coinbase")
_DAYS_SUFFIX = "_trade.zip"


def lean_minutes(folder: Path) -> Iterator[Dataset]:
    """Yield the minute bars of equities and indices."""
    for kind, asset_class, exponent in (
        ("equity", AssetClass.EQUITY, lean_bars.EQUITY_EXPONENT),
        ("index", AssetClass.INDEX, lean_bars.INDEX_EXPONENT),
    ):
        for name, market in MARKETS.items():
            for place in folders(folder / "lean" / kind / name / "minute"):
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
                    calendar=market.calendar,
                    interval="1m",
                    instrument=instrument(symbol, market.currency, asset_class, market.tick_size),
                    files=files,
                    read=reader(lean_bars.read_days, files, symbol=symbol, zone=zone, exponent=exponent),
                )


def lean_options(folder: Path) -> Iterator[Dataset]:
    """Yield the option chains."""
    for name, market in MARKETS.items():
        for place in folders(folder / "lean" / "option" / name / "minute"):
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
                calendar=market.calendar,
                interval=None,
                instrument=instrument(symbol, market.currency, AssetClass.EQUITY, market.tick_size),
                files=tuple(file for day in days for file in day.files),
                read=reader(lean_option.read_states, days, symbol=symbol, zone=zone),
            )


def lean_quotes_of_minutes(folder: Path) -> Iterator[Dataset[OrderBook]]:
    """Yield the best bids and asks of equities."""
    for name, market in MARKETS.items():
        for place in folders(folder / "lean" / "equity" / name / "minute"):
            files = tuple(sorted(place.glob("*_quote.zip")))
            if not files:
                continue
            zone, symbol = ZoneInfo(market.timezone), place.name.upper()
            yield Dataset(
                name=f"lean-equity-{place.name}-quotes",
                kind=DatasetKind.ORDER_BOOKS,
                symbol=symbol,
                source=f"lean.equity.{name}",
                timezone=zone,
                calendar=market.calendar,
                interval=None,
                instrument=instrument(symbol, market.currency, AssetClass.EQUITY, market.tick_size),
                files=files,
                read=reader(lean_quotes.read_quotes, files, symbol=symbol, zone=zone),
            )


def lean_coins(folder: Path) -> Iterator[Dataset[Bar | FundingRate]]:
    """Yield days of coins and the funding rates of their perpetuals."""
    for market in _CRYPTO_MARKETS:
        for path in sorted((folder / "lean" / "crypto" / market / "daily").glob(f"*{_DAYS_SUFFIX}")):
            coin = path.name.removesuffix(_DAYS_SUFFIX)
            symbol = coin.upper()
            currency = _currency(symbol)
            if not currency:
                continue
            yield Dataset(
                name=f"lean-crypto-{market}-{coin}-1d",
                kind=DatasetKind.BARS,
                symbol=symbol,
                source=f"lean.crypto.{market}",
                timezone=_UTC,
                calendar=ALWAYS_OPEN,
                interval="1d",
                instrument=instrument(symbol, currency, AssetClass.CRYPTO, SMALLEST, SMALLEST),
                files=(path,),
                read=reader(lean_crypto.read_days, [path], symbol=symbol),
            )
        for path in sorted((folder / "lean" / "cryptofuture" / market / "margin_interest").glob("*.csv")):
            symbol = path.stem.upper()
            currency = _currency(symbol)
            if not currency:
                continue
            yield Dataset(
                name=f"lean-cryptofuture-{market}-{path.stem}-funding",
                kind=DatasetKind.FUNDING_RATES,
                symbol=symbol,
                source=f"lean.cryptofuture.{market}",
                timezone=_UTC,
                calendar=ALWAYS_OPEN,
                interval=None,
                instrument=perpetual(symbol, currency),
                files=(path,),
                read=reader(lean_crypto.read_funding, [path], symbol=symbol),
            )


def _currency(symbol: str) -> str:
    return quote_currency(symbol) or ("USD" if symbol.endswith("USD") else "")
