"""What the checks of one stream have to say as it is read: at every change, and now and then of what goes on."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from services.marketdata.core.catalogue import Subject
from services.marketdata.core.stream.issues import Change, Standing, Transition
from services.marketdata.core.stream.lane import Watch
from services.marketdata.core.stream.messages import Message, Stream
from services.marketdata.core.stream.monitor import StreamMonitor

# After so many messages without a change, what stands is told again with its count.
_MESSAGES = 1_000

SUBJECTS: Final[Mapping[Stream, Subject]] = MappingProxyType(
    {Stream.TRADES: Subject.TICK, Stream.QUOTES: Subject.ORDER_BOOK, Stream.DEPTH: Subject.ORDER_BOOK}
)


class News(NamedTuple):
    """What was found of a stream since the last news of it, and the codes of the issues that stand.

    `found` counts the messages since then alone; an issue that has ended is among them, and no longer in `standing`.
    """

    symbol: str
    stream: Stream
    ts_ms: int
    found: tuple[Standing, ...]
    standing: frozenset[str]


class Listener:
    """Hears the messages of one stream of an instrument; its news wait until they are taken."""

    def __init__(self, symbol: str, stream: Stream, watch: Watch) -> None:
        self._symbol = symbol
        self._stream = stream
        self._monitor = StreamMonitor({symbol: watch})
        # How many messages were told of each issue that stands.
        self._told: dict[str, int] = {}
        self._untold = 0
        self._ts_ms = 0
        self._news: list[News] = []

    def hear(self, message: Message) -> None:
        """Take in the next message."""
        transitions = self._monitor.observe(message).transitions
        self._ts_ms = message.ts_ms
        self._untold += 1
        # Where nobody takes them for long, only changes add to the news.
        if transitions or (self._untold >= _MESSAGES and not self._news):
            self._tell(transitions)

    def take(self) -> list[News]:
        """Return the news there are, and forget them."""
        if not self._news:
            return []
        news, self._news = self._news, []
        return news

    def finish(self) -> list[News]:
        """Return what is left to tell at the end of the stream."""
        self._tell(())
        return self.take()

    def _tell(self, transitions: tuple[Transition, ...]) -> None:
        self._untold = 0
        ended = [each.standing for each in transitions if each.change is Change.ENDED]
        found = [self._since(issue, self._told.pop(issue.issue.code, 0)) for issue in ended]
        standing = self._monitor.standing()
        for issue in standing:
            code = issue.issue.code
            found.append(self._since(issue, self._told.get(code, 0)))
            self._told[code] = issue.messages
        if ended or any(each.messages for each in found):
            told = tuple(each for each in found if each.messages)
            codes = frozenset(each.issue.code for each in standing)
            self._news.append(News(self._symbol, self._stream, self._ts_ms, told, codes))

    def _since(self, issue: Standing, told: int) -> Standing:
        return issue._replace(messages=issue.messages - told)
