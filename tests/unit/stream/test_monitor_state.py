"""What the monitor says of itself: findings, transitions, restarts and bounds."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.marketdata.core.stream.issues import NOTHING, Change, Outcome, Transition
from services.marketdata.core.stream.messages import Message, Quote, Stream, Trade
from services.marketdata.core.thresholds import Bands
from tests.unit.stream.made import BEGAN, ENDED, quote, told, trade, update, watching

pytestmark = pytest.mark.unit


faults = st.lists(
    st.tuples(
        st.integers(0, 299),
        st.sampled_from(["repeat", "conflict", "swap", "drop", "zero", "cross", "late", "future", "freeze"]),
    ),
    max_size=8,
)


def spoilt(faults_at: list[tuple[int, str]]) -> list[Message]:
    messages: list[Message] = []
    for number in range(1, 101):
        messages += [trade(number), quote(number), update(number)]
    for place, fault in faults_at:
        index = place % len(messages)
        message = messages[index]
        if fault == "repeat":
            messages.insert(index, message)
        elif fault == "conflict":
            messages.insert(index, message._replace(ts_ms=1))
        elif fault == "swap":
            messages.insert(min(index + 3, len(messages)), messages.pop(index))
        elif fault == "drop":
            del messages[index]
        elif fault == "zero" and isinstance(message, Trade):
            messages[index] = message._replace(price=0.0)
        elif fault == "cross" and isinstance(message, Quote):
            messages[index] = message._replace(bid=message.ask * 2)
        elif fault == "late":
            messages[index] = message._replace(received_ns=message.received_ns + 10**10)
        elif fault == "future":
            messages[index] = message._replace(event_ms=message.event_ms + 10**7)
        elif fault == "freeze":
            messages[index:] = [m._replace(event_ms=message.event_ms) for m in messages[index:]]
    return messages


def test_a_clean_stream_of_each_kind_shows_nothing() -> None:
    monitor = watching()
    for number in range(1, 3_000):
        for message in (trade(number), quote(number), update(number)):
            assert monitor.observe(message) is NOTHING
    assert monitor.standing() == []
    assert monitor.messages("AAA") == 3 * 2_999


def test_of_an_instrument_that_is_not_watched_nothing_is_said() -> None:
    assert watching().observe(trade(1, price=-1.0, symbol="BBB")) is NOTHING


def test_bands_set_for_the_symbol_are_those_used() -> None:
    strict = watching(spread_wide=Bands(2, 3), quote_crossed=Bands(None, None))
    messages = [quote(n, bid=99.89 if n == 500 else 100.0) for n in range(600)]
    messages[550] = quote(550, bid=100.2)
    changes = told(messages, strict)
    assert [c for c in changes if c[1] is BEGAN] == [(500, BEGAN, "spread_wide", "warning")]


def test_a_finding_carries_all_that_is_asked_of_it() -> None:
    monitor = watching()
    issue = monitor.observe(quote(1, bid=100.2)).findings[0]
    assert (issue.code, issue.severity.value, issue.value, issue.threshold) == ("quote_crossed", "critical", 1.0, 1.0)
    assert (issue.message, issue.details) == ("the bid is above the ask", {"bid": 100.2, "ask": 100.1})


@settings(max_examples=60, deadline=None)
@given(faults, st.integers(0, 300))
def test_a_restart_in_the_midst_changes_nothing_that_is_said(faults_at: list[tuple[int, str]], at: int) -> None:
    through, carried = watching(), watching()
    said: list[tuple[Outcome, Outcome]] = []
    for index, message in enumerate(spoilt(faults_at)):
        if index == at:
            other = watching()
            other.load(json.loads(json.dumps(carried.dump())))
            carried = other
        said.append((through.observe(message), carried.observe(message)))
    assert all(a == b for a, b in said)
    assert through.standing() == carried.standing()


def test_the_memory_of_a_monitor_is_bounded() -> None:
    monitor = watching()

    def size() -> int:
        return len(json.dumps(monitor.dump()))

    def feed(start: int, stop: int) -> None:
        for number in range(start, stop):
            # The worst: every message is new, many are found fault with.
            monitor.observe(trade(number, price=100.0 + number % 7, lag=number % 5))
            monitor.observe(quote(number, bid=100.0 + number % 3, ask=100.1 + number % 11))
            monitor.observe(update(number, previous=number))

    feed(1, 4_000)
    first = size()
    feed(4_000, 16_000)
    assert size() < 1.3 * first


def test_transitions_pair_up_and_never_repeat() -> None:
    monitor = watching()
    open_now: dict[tuple[Stream, str], Change] = {}
    heard: list[Transition] = []
    for number in range(1, 5_000):
        price = 100.0 + (5.0 if number % 400 < 3 else 0.0)
        heard += monitor.observe(trade(number, price=price, lag=0.01 if number % 1_000 < 500 else 3.0)).transitions
    for transition in heard:
        key = (transition.standing.stream, transition.standing.issue.code)
        if transition.change is BEGAN:
            assert key not in open_now
            open_now[key] = BEGAN
        elif transition.change is ENDED:
            assert open_now.pop(key)
        else:
            assert key in open_now
    assert {(s.stream, s.issue.code) for s in monitor.standing()} == open_now.keys()
