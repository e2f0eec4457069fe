"""Labelled signals out of market data, and their split in time."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from services.marketdata.formats.dataset import Dataset, Record, Report, known_at
from shared.schemas.marketdata import Bar
from shared.schemas.orders import Side
from strategies.desk import StrategyDesk
from strategies.features import FEATURE_NAMES
from strategies.signal import Signal

HORIZON = 30
VALIDATION_SHARE = 0.3
# What a feature is rounded to before anything is fitted, so that the last bit of a logarithm does not show.
_PLACES = 6


class TrainingError(Exception):
    """The data do not allow a model."""


@dataclass(frozen=True, slots=True)
class Row:
    """A signal, when its outcome was known, and whether it was right (1) or not (0)."""

    dataset: str
    strategy_id: str
    ts_event: datetime
    known_at: datetime
    features: tuple[float, ...]
    label: int

    def text(self) -> str:
        """Return the row's canonical text."""
        cells = [f"{value:.{_PLACES}f}" for value in self.features]
        return ",".join([self.dataset, self.strategy_id, self.ts_event.isoformat(), *cells, str(self.label)])


@dataclass(frozen=True, slots=True)
class _Tick:
    opens: Decimal
    closes: Decimal
    known_at: datetime


def labelled_rows(datasets: Sequence[Dataset], on_bad_row: Report | None = None) -> list[Row]:
    """Return the labelled signals of both strategies, dataset by dataset.

    The label is 1 if the price moved with the signal's side from the record after it (a bar's open, a state's spot) to
    the 30th record after it (close, spot), which may be in the next session. Signals in the last 30 records have
    no outcome and are left out.
    """
    rows: list[Row] = []
    for dataset in datasets:
        rows.extend(_dataset_rows(dataset, on_bad_row))
    return rows


def _dataset_rows(dataset: Dataset, on_bad_row: Report | None) -> list[Row]:
    desk = StrategyDesk()
    ticks: list[_Tick] = []
    signals: list[tuple[int, Signal]] = []
    for record in dataset.records(on_bad_row):
        tick = _tick(record)
        if tick is None:
            continue
        ticks.append(tick)
        outcome = desk.on_record(record)
        if isinstance(outcome, Signal):
            signals.append((len(ticks) - 1, outcome))
    rows = []
    for index, signal in signals:
        if index + HORIZON >= len(ticks):
            continue
        entry, outcome_tick = ticks[index + 1].opens, ticks[index + HORIZON]
        gain = outcome_tick.closes - entry if signal.side is Side.BUY else entry - outcome_tick.closes
        rows.append(
            Row(
                dataset=dataset.name,
                strategy_id=signal.strategy_id,
                ts_event=signal.ts_event,
                known_at=outcome_tick.known_at,
                features=tuple(round(signal.features[name], _PLACES) + 0.0 for name in FEATURE_NAMES),
                label=int(gain > 0),
            )
        )
    return rows


def _tick(record: Record) -> _Tick | None:
    if isinstance(record, Bar):
        return _Tick(record.open, record.close, known_at(record))
    if record.spot_price is None or record.spot_price <= 0:
        return None
    return _Tick(record.spot_price, record.spot_price, known_at(record))


def split(rows: Iterable[Row]) -> tuple[list[Row], list[Row]]:
    """Return training and validation rows: of each dataset and strategy the last 30 % validate.

    Training rows whose outcome was known only after the first validation signal are purged, so that no label
    overlaps what the model is judged on.
    """
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.dataset, row.strategy_id), []).append(row)
    training: list[Row] = []
    validation: list[Row] = []
    for key in sorted(groups):
        group = sorted(groups[key], key=lambda row: row.ts_event)
        cut = len(group) - int(len(group) * VALIDATION_SHARE)
        later = group[cut:]
        training.extend(row for row in group[:cut] if not later or row.known_at <= later[0].ts_event)
        validation.extend(later)
    return training, validation


def data_hash(training: Sequence[Row], validation: Sequence[Row]) -> str:
    """Return the SHA-256 of the canonical text of both parts."""
    lines = [",".join(["part", "dataset", "strategy_id", "ts_event", *FEATURE_NAMES, "label"])]
    lines += [f"train,{row.text()}" for row in training] + [f"validation,{row.text()}" for row in validation]
    return hashlib.sha256(("\n".join(lines) + "\n").encode()).hexdigest()
