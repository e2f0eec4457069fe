"""The recorded futures stream: what is wrong with it is found, nothing else is, and each seeded fault once."""

from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from cli.training.sample import SAMPLE
from services.marketdata.core.stream.issues import Change, Transition
from services.marketdata.core.stream.lane import Watch
from services.marketdata.core.stream.messages import DepthSnapshot, DepthUpdate, Message, Quote, Stream, Trade
from services.marketdata.core.stream.monitor import StreamMonitor
from services.marketdata.core.thresholds import DEFAULTS
from services.marketdata.formats.binance_stream import read_messages

pytestmark = pytest.mark.unit

NAME = "binance_futures_btcusdt_stream_20240808.jsonl.gz"
FULL = Path(__file__).parents[4] / "shared" / "data"
needs_full_data = pytest.mark.skipif(not FULL.is_dir(), reason="the full data folder ../shared/data is not here")
BEGAN, WORSENED, ENDED = Change.BEGAN, Change.WORSENED, Change.ENDED


@cache
def recorded(folder: Path) -> tuple[Message, ...]:
    bad: list[object] = []
    messages = tuple(message for _, message in read_messages([folder / NAME], symbol="BTCUSDT", report=bad.append))
    assert bad == []
    return messages


def watch(messages: "list[Message] | tuple[Message, ...]", tick: float = 0.1) -> tuple[list[Transition], StreamMonitor]:
    monitor = StreamMonitor({"BTCUSDT": Watch(DEFAULTS, tick)})
    return [t for message in messages for t in monitor.observe(message).transitions], monitor


def told(transitions: list[Transition]) -> list[tuple[Change, str, Stream, str]]:
    return [(t.change, t.standing.issue.code, t.standing.stream, t.standing.issue.severity.value) for t in transitions]


# What is really wrong with the recording, in all of its three streams.
SKEW = {(BEGAN, "clock_skew", stream, "critical") for stream in Stream}


@pytest.mark.parametrize("tick", [0.0, 0.1])
def test_the_bundled_part_shows_the_skew_and_nothing_else(tick: float) -> None:
    transitions, monitor = watch(recorded(SAMPLE), tick)
    assert set(told(transitions)) == SKEW
    assert len(transitions) == 3
    assert monitor.skew("BTCUSDT") == pytest.approx(-1.27, abs=0.01)


@needs_full_data
@pytest.mark.parametrize("tick", [0.0, 0.1])
def test_the_whole_recording_shows_the_skew_no_break_and_nothing_else(tick: float) -> None:
    messages = recorded(FULL)
    kinds = Counter(type(message) for message in messages)
    assert kinds == {Quote: 66_089, Trade: 21_313, DepthUpdate: 6_551, DepthSnapshot: 1}
    transitions, monitor = watch(messages, tick)
    assert set(told(transitions)) == SKEW
    assert len(transitions) == 3
    assert monitor.skew("BTCUSDT") == pytest.approx(-1.27, abs=0.005)
    assert not monitor.resync_wanted("BTCUSDT")
    assert monitor.trade_ids_skipped("BTCUSDT") == 0
    assert {s.issue.severity.value for s in monitor.standing()} == {"critical"}


def at(messages: list[Message], kind: type, after: int) -> int:
    return next(index for index in range(after, len(messages)) if type(messages[index]) is kind)


def drop(messages: list[Message]) -> int:
    gone = at(messages, DepthUpdate, 1_500)
    del messages[gone]
    return at(messages, DepthUpdate, gone)


def swap(messages: list[Message]) -> int:
    first = at(messages, Trade, 1_500)
    second = at(messages, Trade, first + 1)
    one, two = messages[first], messages[second]
    messages[first] = two._replace(received_ns=one.received_ns)
    messages[second] = one._replace(received_ns=two.received_ns)
    return second


def repeat(messages: list[Message]) -> int:
    index = at(messages, Trade, 1_500)
    messages.insert(index + 5, messages[index]._replace(received_ns=messages[index + 4].received_ns))
    return index + 5


def conflict(messages: list[Message]) -> int:
    index = at(messages, Trade, 1_500)
    messages.insert(index + 1, messages[index]._replace(quantity=99.0))
    return index + 1


def cross(messages: list[Message]) -> int:
    index = at(messages, Quote, 1_500)
    quote = messages[index]
    assert isinstance(quote, Quote)
    messages[index] = quote._replace(bid=quote.ask + 0.1)
    return index


def zero(messages: list[Message]) -> int:
    index = at(messages, Trade, 1_500)
    messages[index] = messages[index]._replace(price=0.0)
    return index


FAULTS: list[tuple[Callable[[list[Message]], int], str, Stream, str]] = [
    (drop, "sequence_break", Stream.DEPTH, "critical"),
    (swap, "out_of_order", Stream.TRADES, "warning"),
    (repeat, "duplicate", Stream.TRADES, "warning"),
    (conflict, "duplicate_conflicting", Stream.TRADES, "critical"),
    (cross, "quote_crossed", Stream.QUOTES, "critical"),
    (zero, "price_not_positive", Stream.TRADES, "critical"),
]


def assert_found_once(messages: list[Message], where: int, expected: tuple[Change, str, Stream, str]) -> None:
    monitor = StreamMonitor({"BTCUSDT": Watch(DEFAULTS, 0.1)})
    heard = [(index, t) for index, m in enumerate(messages) for t in monitor.observe(m).transitions]
    others = [(index, t) for index, t in heard if t.standing.issue.code != "clock_skew"]
    assert len(heard) - len(others) == 3
    assert others[0][0] == where
    assert told([t for _, t in others[:1]]) == [expected]
    # Nothing follows but its end.
    assert [(t.change, t.standing.issue.code, t.standing.messages) for _, t in others[1:]] in (
        [],
        [(ENDED, expected[1], 1)],
    )


@pytest.mark.parametrize(("seed", "code", "stream", "severity"), FAULTS)
def test_a_seeded_fault_is_found_once_and_where_it_is(
    seed: Callable[[list[Message]], int], code: str, stream: Stream, severity: str
) -> None:
    messages = list(recorded(SAMPLE))
    assert_found_once(messages, seed(messages), (BEGAN, code, stream, severity))


@needs_full_data
@pytest.mark.parametrize(("seed", "code", "stream", "severity"), FAULTS)
def test_a_fault_seeded_in_the_whole_recording_is_found_once_too(
    seed: Callable[[list[Message]], int], code: str, stream: Stream, severity: str
) -> None:
    messages = list(recorded(FULL))
    assert_found_once(messages, seed(messages), (BEGAN, code, stream, severity))


@needs_full_data
@pytest.mark.parametrize(("seconds", "changes"), [(59, []), (70, [BEGAN, ENDED]), (310, [BEGAN, WORSENED, ENDED])])
def test_a_clock_that_stands_still_for_so_long_is_found_once(seconds: int, changes: list[Change]) -> None:
    messages = list(recorded(FULL))
    first = at(messages, Quote, 4_000)
    until = messages[first].received_ns + seconds * 1_000_000_000
    for index, message in enumerate(messages):
        if index > first and isinstance(message, Quote) and message.received_ns <= until:
            messages[index] = message._replace(event_ms=messages[first].event_ms)
    transitions, _ = watch(messages)
    found = [t for t in transitions if t.standing.issue.code != "clock_skew"]
    assert [t.change for t in found] == changes
    assert {t.standing.issue.code for t in found} <= {"clock_frozen"}
    if found:
        stood = (found[0].at_ns - messages[first].received_ns) / 1e9
        assert 60 <= stood < 61


@needs_full_data
def test_a_snapshot_after_a_break_makes_it_good() -> None:
    messages = list(recorded(FULL))
    broken = messages[drop(messages)]
    assert isinstance(broken, DepthUpdate)
    snapshot = next(message for message in messages if isinstance(message, DepthSnapshot))
    later = at(messages, DepthUpdate, 9_000)
    messages.insert(later, snapshot._replace(last_id=broken.last_id, received_ns=messages[later].received_ns))
    transitions, monitor = watch(messages)
    assert [t.change for t in transitions if t.standing.issue.code == "sequence_break"] == [BEGAN, ENDED]
    assert not monitor.resync_wanted("BTCUSDT")
