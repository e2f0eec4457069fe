"""What an ingest says of a raw stream: a line a check, the worst it found, whether it stands."""

import pytest

from cli.ingest.stream_findings import StreamFindings
from services.marketdata.core.stream.lane import Watch
from services.marketdata.core.stream.messages import Message, Stream
from services.marketdata.core.stream.news import Listener
from services.marketdata.core.thresholds import DEFAULTS
from tests.unit.stream.made import quote, snapshot, update

pytestmark = pytest.mark.unit


def findings(stream: Stream, *messages: Message) -> StreamFindings:
    listener, found = Listener("AAA", stream, Watch(DEFAULTS, 0.1)), StreamFindings()
    for message in messages:
        listener.hear(message)
    for news in listener.finish():
        found.add(news)
    return found


def test_nothing_is_said_of_a_sound_stream() -> None:
    found = findings(Stream.QUOTES, *(quote(number) for number in range(100)))
    assert (found.lines(), found.told()) == ([], [])


def test_a_break_that_was_made_good_is_over() -> None:
    broken = [update(1), update(2), update(4)]
    (line,) = findings(Stream.DEPTH, *broken).lines()
    expected = "sequence_break: critical, 1 updates, last_id 20, previous_id 30: 1 message, "
    assert line == f"{expected}stands at the end"
    (line,) = findings(Stream.DEPTH, *broken, snapshot(40, 5)).lines()
    assert line == f"{expected}over"


def test_of_several_issues_of_a_check_the_worst_is_said_and_all_messages_counted() -> None:
    wide = {130: 130.0, 160: 101.2, 161: 101.2}
    (told,) = findings(Stream.QUOTES, *(quote(number, ask=wide.get(number, 100.1)) for number in range(200))).told()[
        -1:
    ]
    assert (told["code"], told["severity"], told["messages"], told["stands"]) == ("spread_wide", "critical", 3, False)
    assert told["value"] > 100
