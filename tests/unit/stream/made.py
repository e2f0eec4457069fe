"""Made streams: a message of each kind a second, clean unless told otherwise."""

from collections.abc import Iterable, Iterator
from typing import Any

from services.marketdata.core.stream.issues import Change
from services.marketdata.core.stream.lane import Watch
from services.marketdata.core.stream.messages import DepthSnapshot, DepthUpdate, Message, Quote, Side, Trade
from services.marketdata.core.stream.monitor import StreamMonitor
from services.marketdata.core.thresholds import DEFAULTS, Bands, Thresholds

START_MS = 1_760_000_000_000
EMPTY = Side([], [], [])
BEGAN, WORSENED, EASED, ENDED = Change.BEGAN, Change.WORSENED, Change.EASED, Change.ENDED


def trade(number: int, *, at: float | None = None, lag: float = 0.01, price: float = 100.0, **changes: Any) -> Trade:
    """A trade a second; `lag` seconds from its event to its receipt."""
    event_ms = START_MS + round((number if at is None else at) * 1_000)
    received = event_ms * 1_000_000 + round(lag * 1e9)
    made = Trade(received, event_ms, event_ms, "AAA", number, price, 1.0, str(price), "1", True, True)
    return made._replace(**changes)


def quote(number: int, *, bid: float = 100.0, ask: float = 100.1, lag: float = 0.01, **changes: Any) -> Quote:
    event_ms = START_MS + number * 1_000
    received = event_ms * 1_000_000 + round(lag * 1e9)
    return Quote(received, event_ms, event_ms, "AAA", number, bid, 1.0, ask, 1.0, ("", "", "", ""))._replace(**changes)


def update(number: int, *, previous: int | None = None, **changes: Any) -> DepthUpdate:
    event_ms = START_MS + number * 1_000
    last, before = number * 10, (number - 1) * 10 if previous is None else previous
    made = DepthUpdate(event_ms * 1_000_000, event_ms, event_ms, "AAA", last - 5, last, before, EMPTY, EMPTY, number)
    return made._replace(**changes)


def snapshot(last_id: int, at: int, bids: Side = EMPTY, asks: Side = EMPTY) -> DepthSnapshot:
    event_ms = START_MS + at * 1_000
    return DepthSnapshot(event_ms * 1_000_000, event_ms, event_ms, "AAA", last_id, bids, asks)


def watching(**bands: Bands) -> StreamMonitor:
    return StreamMonitor({"AAA": Watch(Thresholds(bands) if bands else DEFAULTS, 0.1)})


def told(messages: Iterable[Message], monitor: StreamMonitor | None = None) -> list[tuple[int, Change, str, str]]:
    """The transitions of a stream: the index of the message, the change, the code and the severity."""
    watch = monitor or watching()
    return [
        (index, t.change, t.standing.issue.code, t.standing.issue.severity.value)
        for index, message in enumerate(messages)
        for t in watch.observe(message).transitions
    ]


def trades(total: int, **options: Any) -> Iterator[Trade]:
    return (trade(number, **options) for number in range(total))


def with_one(messages: Iterable[Message], index: int, *instead: Message) -> list[Message]:
    whole = list(messages)
    return [*whole[:index], *instead, *whole[index + 1 :]]
