"""What is sent for each record: in one order, however records are batched."""

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cli.replay.account import looks_sound
from cli.replay.execution import fee
from cli.replay.timeline import Step
from services.marketdata.formats.dataset import Dataset
from shared.schemas.base import Severity
from shared.schemas.marketdata import Bar, IngestResult, RejectedRow, Verdict
from shared.schemas.orders import Side
from tests.unit.cli.recording import CASH, START, RecordingSuite, bar, dataset, instrument, replay, state

pytestmark = pytest.mark.unit


def wave(turns: list[int], *, broken: frozenset[int] = frozenset(), gap: frozenset[int] = frozenset()) -> list[Bar]:
    """Return bars of a price that runs up and down by turns; crosses follow each turn."""
    bars: list[Bar] = []
    price, minute, step = Decimal(1_000), 0, Decimal("0.5")
    for length in turns:
        for _ in range(length):
            opened, price = price + Decimal("0.1"), price + step
            bars.append(bar(minute, str(price), str(opened), broken=len(bars) in broken))
            minute += 1 + (1440 if len(bars) in gap else 0)
        step = -step
    return bars


TURNS = [70, 60, 60, 60]


def test_a_wave_makes_signals_orders_and_fills() -> None:
    suite, tally, _ = replay([dataset(wave(TURNS))])
    assert tally.bars == sum(TURNS)
    assert tally.signals >= 2
    assert tally.fills >= 1
    assert tally.signals == tally.scored == tally.dropped + tally.unsized + tally.approved + tally.denied
    assert suite.batches[0] > 1


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(1, 200),
    flushes=st.frozensets(st.integers(0, 250), max_size=60),
    broken=st.frozensets(st.integers(0, 249), max_size=20),
    gap=st.frozensets(st.integers(1, 249), max_size=3),
    deny=st.integers(0, 3),
)
def test_any_batching_gives_the_same_sequence_of_commands(
    rows: int, flushes: frozenset[int], broken: frozenset[int], gap: frozenset[int], deny: int
) -> None:
    data = [dataset(wave(TURNS, broken=broken, gap=gap), zone="America/New_York")]
    one_by_one, counted, plain = replay(data, rows=1, deny=deny)
    batched, counted_too, account = replay(data, rows=rows, flush_after=flushes, deny=deny)
    assert batched.sent == one_by_one.sent
    assert counted_too == counted
    assert account.book == plain.book
    assert max(batched.batches) <= rows


def test_an_order_is_sent_after_its_bar_and_filled_after_the_next_one() -> None:
    suite, _, _ = replay([dataset(wave(TURNS))])
    order = suite.of("order")[0]
    at = suite.sent.index(order)
    made = order[5]
    assert suite.sent[at - 2][0] == "record"
    assert suite.sent[at - 2][2] == made
    assert suite.sent[at - 1][0] == "predict"
    assert suite.sent[at + 1] == ("record", "aaa-1m", made + timedelta(minutes=1))
    fill = suite.sent[at + 2]
    assert fill[0] == "fill"
    assert fill[6] == made


def test_a_fill_is_at_the_next_open_with_the_fee_of_the_schedule() -> None:
    bars = wave(TURNS)
    suite, _, account = replay([dataset(bars)])
    order, fill = suite.of("order")[0], suite.of("fill")[0]
    opening = next(entry for entry in bars if entry.ts == order[5])
    assert fill[3:6] == (opening.open, order[4], fee(instrument(), opening.open, order[4]))
    assert account.book.equity != CASH


def test_a_denied_order_never_fills() -> None:
    suite, tally, account = replay([dataset(wave(TURNS))], deny=1)
    assert tally.denied == len(suite.of("order")) > 0
    assert dict(tally.denied_by_reason) == {"POSITION_LIMIT": tally.denied}
    assert not suite.of("fill")
    assert account.book.equity == CASH


def test_a_critical_bar_neither_fills_an_order_nor_reaches_the_strategy() -> None:
    bars = wave(TURNS)
    suite, _, _ = replay([dataset(bars)])
    made = suite.of("order")[0][5]
    broken = next(index for index, entry in enumerate(bars) if entry.ts == made)
    worse, tally, _ = replay([dataset(wave(TURNS, broken=frozenset({broken})))])
    assert worse.of("order")[0] == suite.of("order")[0]
    assert worse.of("fill")[0][6] == made + timedelta(minutes=1)
    assert tally.quality["critical"] == 1


def test_each_day_is_rolled_before_the_next_ones_first_record_and_the_last_at_the_end() -> None:
    suite, tally, _ = replay([dataset(wave([10], gap=frozenset({4})))])
    kinds = [(command[0], command[2]) for command in suite.sent]
    assert kinds[4] == ("roll", date(2024, 12, 3))
    assert kinds[-1] == ("roll", date(2024, 12, 4))
    assert tally.day_rollups == 2


def test_a_day_order_expires_with_its_session_and_one_of_a_market_without_nights_does_not() -> None:
    bars = wave(TURNS)
    made = replay([dataset(bars)])[0].of("order")[0][5]
    after = next(index for index, entry in enumerate(bars) if entry.ts == made)
    data = wave(TURNS, gap=frozenset({after}))
    nightly, counted, _ = replay([dataset(data, zone="America/New_York")])
    endless, _, _ = replay([dataset(data)])
    assert nightly.of("expire")[0][3] == "the session has ended"
    assert counted.expired >= 1
    assert endless.of("fill")[0][2].startswith(endless.of("order")[0][2])
    assert not [command for command in endless.of("expire") if command[3] == "the session has ended"]


def test_what_is_open_when_the_data_end_is_expired() -> None:
    bars = wave(TURNS)
    made = replay([dataset(bars)])[0].of("order")[0][5]
    cut = [entry for entry in bars if entry.ts < made]
    suite, tally, account = replay([dataset(cut)])
    assert [command[0] for command in suite.sent[-3:]] == ["order", "expire", "roll"]
    assert suite.sent[-2][3] == "the data end here"
    assert tally.expired == 1
    assert not account.book.pending


def test_replaying_again_sends_the_same_ids() -> None:
    assert replay([dataset(wave(TURNS))])[0].sent == replay([dataset(wave(TURNS))])[0].sent


def test_states_go_one_by_one_and_bars_before_them_first() -> None:
    states = [state(minute, "1000") for minute in (2, 4)]
    suite, tally, _ = replay([dataset(wave([6]), name="a"), dataset(states, name="b")])
    assert [(command[1], (command[2] - START) // timedelta(minutes=1)) for command in suite.of("record")] == [
        ("a", 1), ("a", 2), ("b", 2), ("a", 3), ("a", 4), ("b", 4), ("a", 5), ("a", 6)
    ]  # fmt: skip
    assert (tally.bars, tally.states, suite.batches) == (6, 2, [2, 1, 2, 1, 2])


def test_an_order_is_for_the_fraction_of_equity_its_confidence_asks_for() -> None:
    suite, _, _ = replay([dataset(wave(TURNS))])
    first = suite.of("order")[0]
    notional = first[4] * next(entry.close for entry in wave(TURNS) if entry.ts + timedelta(minutes=1) == first[5])
    assert Decimal("0.088") * CASH < notional <= Decimal("0.09") * CASH
    assert {order[3] for order in suite.of("order")} == set(Side)


def test_a_verdict_nobody_foresaw_takes_the_bar_back_from_the_strategy() -> None:
    # The gate objects to a bar whose own prices are in order; the strategies must end as if it had never been.
    bars = wave(TURNS)
    objected = 100

    class Objecting(RecordingSuite):
        def ingest(self, dataset: Dataset, steps: Sequence[Step]) -> IngestResult:
            result = super().ingest(dataset, steps)
            extra = [
                Verdict(index=index, symbol="AAA", ts=step.known_at, severity=Severity.CRITICAL)
                for index, step in enumerate(steps)
                if step.known_at == bars[objected].ts + timedelta(minutes=1)
            ]
            return result.model_copy(update={"verdicts": [*result.verdicts, *extra]})

    def signals(suite: RecordingSuite, data: list[Bar]) -> list[tuple[Any, ...]]:
        replay([dataset(data)], suite=suite)
        return suite.of("predict")

    without = [entry for index, entry in enumerate(bars) if index != objected]
    assert signals(Objecting(), bars) == signals(RecordingSuite(), without) != signals(RecordingSuite(), bars)


def test_a_signal_found_only_after_later_bars_were_sent_is_counted_and_not_traded() -> None:
    bars = wave(TURNS)
    crossing = replay([dataset(bars)])[0].of("order")[0][5]

    class Objecting(RecordingSuite):
        def ingest(self, dataset: Dataset, steps: Sequence[Step]) -> IngestResult:
            result = super().ingest(dataset, steps)
            extra = [
                Verdict(index=index, symbol="AAA", ts=step.known_at, severity=Severity.CRITICAL)
                for index, step in enumerate(steps)
                if step.known_at == crossing
            ]
            return result.model_copy(update={"verdicts": [*result.verdicts, *extra]})

    suite = Objecting()
    _, tally, _ = replay([dataset(bars)], suite=suite)
    assert crossing not in {order[5] for order in suite.of("order")}
    assert tally.signals == tally.late + tally.scored


def test_rejected_rows_are_counted_and_not_traded_on() -> None:
    class Rejecting(RecordingSuite):
        def ingest(self, dataset: Dataset, steps: Sequence[Step]) -> IngestResult:
            result = super().ingest(dataset, steps)
            refused = [RejectedRow(index=index, reason="too old") for index in range(len(steps))]
            return result.model_copy(update={"rejected": refused})

    suite = Rejecting()
    _, tally, account = replay([dataset(wave(TURNS))], suite=suite)
    assert tally.rejected == sum(TURNS)
    assert not tally.quality
    assert not suite.of("order")
    assert not account.book.marks


@pytest.mark.parametrize(
    ("close", "sound"), [("109.99", True), ("110", False), ("90.01", True), ("90", False), ("1000", False)]
)
def test_a_bar_far_from_the_price_before_ends_its_batch(close: str, sound: bool) -> None:
    assert looks_sound(bar(1, close), [Decimal(100)]) is sound
    suite, _, _ = replay([dataset([bar(0, "100"), bar(1, close), bar(2, close)])])
    assert suite.batches == ([3] if sound else [2, 1])


def test_a_bar_whose_prices_contradict_each_other_ends_its_batch() -> None:
    suite, _, _ = replay([dataset([bar(0, "100"), bar(1, "100", broken=True), bar(2, "100")])])
    assert suite.batches == [2, 1]
