"""Recognise what a folder of market data holds, by the layout and the names of its files."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from services.marketdata.formats.dataset import AnyRecord, Dataset, FormatError, R_co
from services.marketdata.formats.found_binance import (
    binance_bars,
    binance_funding_rates,
    binance_streams,
    binance_ticks,
)
from services.marketdata.formats.found_lean import lean_coins, lean_minutes, lean_options, lean_quotes_of_minutes
from services.marketdata.formats.found_tables import days_of_indices, days_of_shares, nse_chains, tables_of_bars
from shared.schemas.marketdata import INTERVAL_LENGTH, Interval

_DATA = frozenset({".csv", ".gz", ".parquet", ".zip"})
_TRADED: tuple[Callable[[Path], Iterator[Dataset]], ...] = (lean_minutes, lean_options, binance_bars, nse_chains)
_ALL: tuple[Callable[[Path], Iterator[Dataset[AnyRecord]]], ...] = (
    *_TRADED,
    lean_quotes_of_minutes,
    lean_coins,
    binance_ticks,
    binance_funding_rates,
    binance_streams,
    days_of_indices,
    days_of_shares,
    tables_of_bars,
)


def discover(folder: Path) -> list[Dataset]:
    """Return the datasets of a folder that can be traded on within the day, by name: intraday bars and chains.

    Files of other formats are left alone. Raises FormatError if the folder holds none, or a file's name promises
    a format and is malformed.
    """
    found = _found(folder, _TRADED)
    if not found:
        raise FormatError(
            f"{folder}: no data recognised: neither lean/, binance_*.csv.gz nor nse_*_option_chain*.csv.gz"
        )
    return found


def discover_all(folder: Path) -> list[Dataset[AnyRecord]]:
    """Return every dataset of a folder, by name; raises FormatError as `discover` does."""
    found = _found(folder, _ALL)
    if not found:
        raise FormatError(f"{folder}: no data recognised: no file of a known name, and no table of bars")
    return found


def left_alone(folder: Path, datasets: Sequence[Dataset[AnyRecord]]) -> list[Path]:
    """Return the tables and archives of a folder that belong to none of its datasets, in order."""
    taken = {file for dataset in datasets for file in dataset.files}
    return sorted(path for path in folder.rglob("*") if path.suffix in _DATA and path not in taken and path.is_file())


def preferred(datasets: Sequence[Dataset]) -> list[Dataset]:
    """Return the datasets without the coarser bars of a symbol that also has finer ones."""
    finest: dict[str, Interval] = {}
    for dataset in datasets:
        if dataset.interval is not None:
            best = finest.get(dataset.symbol, dataset.interval)
            finest[dataset.symbol] = min(best, dataset.interval, key=lambda interval: INTERVAL_LENGTH[interval])
    return [d for d in datasets if d.interval is None or d.interval == finest[d.symbol]]


def _found(folder: Path, finders: Sequence[Callable[[Path], Iterator[Dataset[R_co]]]]) -> list[Dataset[R_co]]:
    if not folder.is_dir():
        raise FormatError(f"{folder}: no such folder")
    return sorted((dataset for finder in finders for dataset in finder(folder)), key=lambda dataset: dataset.name)
