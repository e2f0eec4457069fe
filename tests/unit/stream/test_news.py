"""News of a stream: told at every change and now and then between, each message counted once."""

from collections import Counter
from collections.abc import Iterable

import pytest

from services.marketdata.core.stream.lane import Watch
from services.marketdata.core.stream.lanes import CODES
from services.marketdata.core.stream.messages import Message, Stream
from services.marketdata.core.stream.monitor import StreamMonitor
from services.marketdata.core.stream.news import Listener, News
from services.marketdata.core.thresholds import DEFAULTS
from tests.unit.stream.made import quote, snapshot, trade, update

pytestmark = pytest.mark.unit

WATCH = Watch(DEFAULTS, 0.1)


def told(stream: Stream, messages: Iterable[Message]) -> list[News]:
    listener, found = Listener("AAA", stream, WATCH), []
    for message in messages:
        listener.hear(message)
        found += listener.take()
    return found + listener.finish()


def test_of_a_sound_stream_nothing_is_told() -> None:
    assert told(Stream.TRADES, (trade(number) for number in range(5_000))) == []


def test_what_stands_is_told_at_once_and_then_every_thousand_messages_each_counted_once() -> None:
    messages = [trade(number, lag=-1.5) for number in range(3_500)]
    news = told(Stream.TRADES, messages)
    monitor = StreamMonitor({"AAA": WATCH})
    for message in messages:
        monitor.observe(message)
    (standing,) = monitor.standing()
    # The skew is known of twenty messages, the rest is told at the end.
    assert [one.found[0].messages for one in news] == [1, 1_000, 1_000, 1_000, 480]
    assert sum(one.found[0].messages for one in news) == standing.messages
    assert {one.standing for one in news} == {frozenset({"clock_skew"})}
    assert news[0].ts_ms == messages[19].ts_ms
    assert news[-1].found[0].issue == standing.issue


def test_the_end_of_an_issue_is_told_with_it_no_longer_standing() -> None:
    crossed = {50, 51, 52}
    messages = [quote(number, bid=101.0 if number in crossed else 100.0) for number in range(100)]
    news = told(Stream.QUOTES, messages)
    assert [one.standing for one in news] == [{"quote_crossed"}, frozenset()]
    assert [[each.messages for each in one.found] for one in news] == [[1], [2]]


def test_an_issue_that_begins_anew_is_counted_anew() -> None:
    crossed = {50, 80}
    news = told(Stream.QUOTES, (quote(n, bid=101.0 if n in crossed else 100.0) for n in range(120)))
    assert [one.standing for one in news] == [{"quote_crossed"}, frozenset()] * 2
    assert [sum(each.messages for each in one.found) for one in news] == [1, 0, 1, 0]


def test_a_break_stands_until_a_snapshot_makes_it_good() -> None:
    before = [update(number) for number in range(10)]
    after = [update(number) for number in range(11, 20)]
    broken = told(Stream.DEPTH, [*before, *after])
    assert [one.standing for one in broken] == [{"sequence_break"}]
    assert [each.issue.details["previous_id"] for each in broken[0].found] == [100]
    good = told(Stream.DEPTH, [*before, *after, snapshot(190, 20)])
    assert [one.standing for one in good] == [{"sequence_break"}, frozenset()]


def test_news_that_nobody_takes_do_not_pile_up() -> None:
    listener = Listener("AAA", Stream.TRADES, WATCH)
    for number in range(20_000):
        listener.hear(trade(number, lag=-1.5))
    news = listener.finish()
    assert len(news) == 2
    assert sum(one.found[0].messages for one in news) == 20_000 - 19


def test_a_stream_is_judged_by_the_codes_it_says() -> None:
    # Whoever keeps news ends by these what stands no longer: a code too few, and its issue would never end.
    faults: dict[Stream, list[Message]] = {
        Stream.TRADES: [trade(1), trade(1), trade(1, quantity=9.0), trade(0), trade(2, price=-1.0, quantity=-1.0)],
        Stream.QUOTES: [quote(1), quote(2, bid=101.0), quote(3, bid_quantity=-1.0), quote(1)],
        Stream.DEPTH: [update(1), update(1), update(3), update(0), update(3, checksum=7)],
    }
    for stream, messages in faults.items():
        codes = Counter(each.issue.code for one in told(stream, messages) for each in one.found)
        assert len(codes) > 2
        assert set(codes) <= set(CODES[stream])
