"""What all that recognise files share: how a dataset found is put together."""

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from functools import partial
from pathlib import Path

from services.marketdata.formats.dataset import Hear, R_co, Report
from shared.schemas.instruments import AssetClass, Instrument

ALWAYS_OPEN = "24x7"
# Where nothing is known of an exchange's steps, nothing coarser than its smallest unit is assumed.
SMALLEST = Decimal("0.00000001")
_QUOTE_CURRENCIES = ("USDT", "USDC", "FDUSD", "BTC", "ETH", "EUR")


def instrument(
    symbol: str, currency: str, asset_class: AssetClass, tick: Decimal, lot: Decimal = Decimal(1)
) -> Instrument:
    """Return the instrument a dataset is of."""
    # An index is traded through its future, on margin; one unit of it is one lot here.
    margined = asset_class is AssetClass.INDEX
    return Instrument(
        symbol=symbol, currency=currency, asset_class=asset_class, tick_size=tick, lot_size=lot, margined=margined
    )


def perpetual(symbol: str, currency: str, tick: Decimal = SMALLEST, lot: Decimal = SMALLEST) -> Instrument:
    """Return a coin's perpetual future, which is traded on margin."""
    return Instrument(
        symbol=symbol,
        currency=currency,
        asset_class=AssetClass.CRYPTO,
        tick_size=tick,
        lot_size=lot,
        margined=True,
    )


def reader(
    parse: Callable[..., Iterator[R_co]], sources: Sequence[object], **options: object
) -> Callable[[Report], Iterator[R_co]]:
    """Return what reads the records of `sources`, given whom to report bad rows to."""
    bound = partial(parse, tuple(sources), **options)
    return lambda report: bound(report=report)


def raw_reader(
    parse: Callable[..., Iterator[R_co]], sources: Sequence[object], **options: object
) -> Callable[[Report, Hear], Iterator[R_co]]:
    """Return what reads the records of a stream, given whom to report bad rows to and who hears its messages."""
    bound = partial(parse, tuple(sources), **options)
    return lambda report, hear: bound(report=report, hear=hear)


def quote_currency(symbol: str) -> str:
    """Return the currency a coin's prices are in, by the end of its symbol; empty where it is none known."""
    return next((c for c in _QUOTE_CURRENCIES if symbol.endswith(c) and symbol != c), "")


def folders(parent: Path) -> list[Path]:
    """Return the folders of a folder by name; none of one that is not there."""
    return sorted(path for path in parent.iterdir() if path.is_dir()) if parent.is_dir() else []


def grouped(folder: Path, glob: str, key: Callable[[Path], str | None]) -> dict[str, list[Path]]:
    """Return the files of a folder by what `key` makes of them, both in order; None leaves a file out."""
    groups: dict[str, list[Path]] = {}
    for path in sorted(folder.glob(glob)):
        name = key(path)
        if name:
            groups.setdefault(name, []).append(path)
    return groups
