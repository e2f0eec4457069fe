"""What is wrong with a stream at present: issues that begin, worsen, ease and end, each told once."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import inf
from typing import Any, NamedTuple

from services.marketdata.core.stream.messages import Stream
from services.marketdata.core.thresholds import Thresholds
from shared.schemas.base import Severity
from shared.schemas.marketdata import QualityIssue

# An issue not seen again for so long has ended. Shorter, and what comes and goes is told with every message.
HOLD_NS = 10_000_000_000
_SWEEP_NS = 1_000_000_000


class Change(StrEnum):
    """What became of an issue."""

    BEGAN = "began"
    WORSENED = "worsened"
    EASED = "eased"
    ENDED = "ended"


class Standing(NamedTuple):
    """An issue as it stands: its worst measure, how many messages showed it, first and last when (receive time)."""

    symbol: str
    stream: Stream
    issue: QualityIssue
    messages: int
    since_ns: int
    seen_ns: int


class Transition(NamedTuple):
    """A change of an issue, told once; `at_ns` is the receive time of the message that showed it."""

    change: Change
    at_ns: int
    standing: Standing


class Outcome(NamedTuple):
    """What one message showed: findings of itself, and issues of its stream that changed by it."""

    findings: tuple[QualityIssue, ...] = ()
    transitions: tuple[Transition, ...] = ()


NOTHING = Outcome()


@dataclass(slots=True)
class _Open:
    issue: QualityIssue
    since_ns: int
    seen_ns: int
    severe_ns: int
    worst: float
    # Those of the worst measure.
    details: dict[str, Any]
    latest: float
    count: int = 0
    # Ends when it is told to, not when it is no longer seen.
    lasting: bool = False


class Issues:
    """The issues of one stream that are open, and the news of them since they were last taken."""

    __slots__ = ("_bands", "_findings", "_news", "_open", "_stream", "_sweep_ns", "_symbol", "_thresholds")

    def __init__(self, symbol: str, stream: Stream, thresholds: Thresholds, codes: tuple[str, ...]) -> None:
        self._symbol = symbol
        self._stream = stream
        self._thresholds = thresholds
        # As numbers that compare: a band that is None is never reached.
        self._bands = {code: (_number(thresholds[code].warning), _number(thresholds[code].critical)) for code in codes}
        self._open: dict[str, _Open] = {}
        self._findings: list[QualityIssue] = []
        self._news: list[Transition] = []
        self._sweep_ns = 0

    def least(self, code: str) -> float:
        """Return the measure below which a code is no finding at all."""
        return min(self._bands[code])

    def find(self, code: str, value: float, now: int, message: str, *, lasting: bool = False, **details: Any) -> None:
        """Take a measure of one message: a finding of it, and of its stream."""
        issue = self._thresholds.issue(code, value, message, **details)
        if issue is not None:
            self._findings.append(issue)
            self.measure(code, value, now, message, lasting=lasting, **details)

    def measure(
        self, code: str, value: float, now: int, message: str, *, lasting: bool = False, **details: Any
    ) -> None:
        """Take a measure of the stream; below both bands nothing comes of it, and an open issue ends in time."""
        warning, critical = self._bands[code]
        severe = value >= critical
        if not severe and value < warning:
            return
        found = self._open.get(code)
        if found is None:
            issue = self._issue(code, value, message, details)
            found = _Open(issue, now, now, now if severe else 0, value, details, value, lasting=lasting)
            self._open[code] = found
            self._tell(Change.BEGAN, found, now)
        found.count += 1
        found.seen_ns = now
        found.latest = value
        if value > found.worst:
            found.worst, found.details = value, details
        if severe:
            found.severe_ns = now
            if found.issue.severity is not Severity.CRITICAL:
                found.issue = self._issue(code, value, message, details)
                self._tell(Change.WORSENED, found, now)

    def end(self, code: str, now: int) -> None:
        """End an issue, if it is open."""
        found = self._open.pop(code, None)
        if found is not None:
            self._tell(Change.ENDED, found, now)

    def due(self, now: int) -> bool:
        """Return whether open issues are to be swept: about once a second."""
        return bool(self._open) and not 0 <= now - self._sweep_ns < _SWEEP_NS

    def sweep(self, now: int, current: Mapping[str, float]) -> None:
        """End or ease what was not seen for a while; `current` measures are seen without a message of theirs."""
        self._sweep_ns = now
        for code, found in list(self._open.items()):
            value = current.get(code, -inf)
            warning, critical = self._bands[code]
            if value >= min(warning, critical):
                found.seen_ns, found.latest = now, value
            if value >= critical:
                found.severe_ns = now
            if found.lasting:
                continue
            if now - found.seen_ns >= HOLD_NS:
                self.end(code, now)
            elif found.issue.severity is Severity.CRITICAL and now - found.severe_ns >= HOLD_NS:
                found.issue = self._issue(code, found.latest, found.issue.message, found.issue.details)
                self._tell(Change.EASED, found, now)

    def take(self) -> Outcome:
        """Return what came of the message, and forget it."""
        if not self._findings and not self._news:
            return NOTHING
        outcome = Outcome(tuple(self._findings), tuple(self._news))
        self._findings.clear()
        self._news.clear()
        return outcome

    def standing(self) -> list[Standing]:
        """Return the open issues."""
        return [self._standing(found) for found in self._open.values()]

    def dump(self) -> dict[str, Any]:
        """Return the open issues as plain data."""
        return {
            code: {
                "issue": found.issue.model_dump(mode="json"),
                "since_ns": found.since_ns,
                "seen_ns": found.seen_ns,
                "severe_ns": found.severe_ns,
                "worst": found.worst,
                "details": found.details,
                "latest": found.latest,
                "count": found.count,
                "lasting": found.lasting,
            }
            for code, found in self._open.items()
        }

    def load(self, data: Mapping[str, Any]) -> None:
        """Take over what `dump` returned."""
        self._open = {
            code: _Open(**{**found, "issue": QualityIssue.model_validate(found["issue"])})
            for code, found in data.items()
        }

    def _issue(self, code: str, value: float, message: str, details: dict[str, Any]) -> QualityIssue:
        issue = self._thresholds.issue(code, value, message, **details)
        if issue is None:
            raise ValueError(f"{value} is no finding of {code}")
        return issue

    def _tell(self, change: Change, found: _Open, now: int) -> None:
        # The message that opens an issue is counted after this.
        self._news.append(Transition(change, now, self._standing(found)))

    def _standing(self, found: _Open) -> Standing:
        issue = found.issue.model_copy(update={"value": found.worst, "details": found.details})
        return Standing(self._symbol, self._stream, issue, max(found.count, 1), found.since_ns, found.seen_ns)


def _number(band: float | None) -> float:
    return inf if band is None else float(band)
