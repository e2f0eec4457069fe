"""Labels, the purged split and the hash of the training data."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from cli.training.rows import HORIZON, Row, data_hash, labelled_rows, split
from cli.training.sample import SAMPLE
from services.marketdata.formats.dataset import Dataset, known_at
from services.marketdata.formats.discover import discover
from shared.schemas.marketdata import Bar
from shared.schemas.orders import Side
from strategies.desk import StrategyDesk
from strategies.features import FEATURE_NAMES
from strategies.signal import Signal

pytestmark = pytest.mark.unit

START = datetime(2024, 1, 2, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def row(minute: int, outcome_after: int = 30, dataset: str = "a", label: int = 1) -> Row:
    moment = START + minute * MINUTE
    return Row(dataset, "s", moment, moment + outcome_after * MINUTE, (0.5,) * len(FEATURE_NAMES), label)


def nifty() -> Dataset:
    return next(d for d in discover(SAMPLE) if d.name == "lean-index-nifty50-1m")


def test_labels_are_the_sign_of_the_move_from_the_next_open_to_the_thirtieth_close() -> None:
    records = [r for r in nifty().records() if isinstance(r, Bar)]
    desk = StrategyDesk()
    expected = []
    for index, bar in enumerate(records):
        signal = desk.on_record(bar)
        if isinstance(signal, Signal) and index + HORIZON < len(records):
            move = records[index + HORIZON].close - records[index + 1].open
            right = move > 0 if signal.side is Side.BUY else move < 0
            expected.append((signal.ts_event, known_at(records[index + HORIZON]), int(right)))
    assert len(expected) == 17
    assert [(r.ts_event, r.known_at, r.label) for r in labelled_rows([nifty()])] == expected


def test_signals_without_an_outcome_yet_are_left_out() -> None:
    records = list(nifty().records())
    last = labelled_rows([nifty()])[-1]
    cut = next(i for i, r in enumerate(records) if known_at(r) == last.known_at)
    shorter = replace(nifty(), read=lambda report: iter(records[:cut]))
    assert [r.ts_event for r in labelled_rows([shorter])] == [r.ts_event for r in labelled_rows([nifty()])][:-1]


def test_the_last_part_of_each_dataset_validates() -> None:
    rows = [row(i * 100, dataset=name) for i in range(10) for name in ("a", "b")]
    training, validation = split(rows)
    assert [(r.dataset, r.ts_event) for r in validation] == [
        (name, START + i * 100 * MINUTE) for name in ("a", "b") for i in (7, 8, 9)
    ]
    assert len(training) == 14


def test_rows_whose_outcome_reaches_into_validation_are_purged() -> None:
    rows = [row(i * 10) for i in range(10)]
    training, validation = split(rows)
    assert [r.ts_event for r in validation] == [START + i * 10 * MINUTE for i in (7, 8, 9)]
    # An outcome known at minute 70, when validation begins, is not later than it and stays.
    assert [r.ts_event for r in training] == [START + i * 10 * MINUTE for i in range(5)]


def test_no_training_outcome_of_the_sample_overlaps_validation() -> None:
    training, validation = split(labelled_rows(discover(SAMPLE)))
    for earlier in training:
        peers = [r.ts_event for r in validation if (r.dataset, r.strategy_id) == (earlier.dataset, earlier.strategy_id)]
        assert all(earlier.known_at <= later for later in peers)


def test_a_group_too_small_to_split_trains_only() -> None:
    assert split([row(0), row(100), row(200)]) == ([row(0), row(100), row(200)], [])


def test_the_hash_depends_on_every_feature_label_and_part() -> None:
    base = [row(0), row(100)]
    hashes = {
        data_hash(base, []),
        data_hash(base[:1], base[1:]),
        data_hash([base[0], row(100, label=0)], []),
        data_hash([base[0], replace(base[1], features=(0.500001, *base[1].features[1:]))], []),
        data_hash(base[::-1], []),
    }
    assert len(hashes) == 5
    assert data_hash(base, []) == data_hash(list(base), [])
