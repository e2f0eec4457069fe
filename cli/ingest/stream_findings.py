"""What the checks of a raw stream found of the messages that a dataset is made of."""

from dataclasses import dataclass
from typing import Any

from services.marketdata.core.catalogue import CATALOGUE
from services.marketdata.core.finding import SEVERITIES
from services.marketdata.core.stream.issues import Standing
from services.marketdata.core.stream.news import News
from shared.schemas.marketdata import QualityIssue


@dataclass
class _Finding:
    issue: QualityIssue
    messages: int = 0
    stands: bool = False

    def add(self, one: Standing) -> None:
        """Count the messages of an issue, and keep the worst."""
        self.messages += one.messages
        if _badness(one.issue) >= _badness(self.issue):
            self.issue = one.issue


class StreamFindings:
    """The worst that each check found, in how many messages, and whether it stands at the end."""

    def __init__(self) -> None:
        self._found: dict[str, _Finding] = {}

    def add(self, news: News) -> None:
        """Take in the next news of the stream."""
        for one in news.found:
            self._found.setdefault(one.issue.code, _Finding(one.issue)).add(one)
        for code, finding in self._found.items():
            finding.stands = code in news.standing

    def lines(self) -> list[str]:
        """Return a line for each check that found something."""
        return [_line(finding) for _, finding in sorted(self._found.items())]

    def told(self) -> list[dict[str, Any]]:
        """Return the same as plain data."""
        return [
            {
                **finding.issue.model_dump(mode="json", include={"code", "severity", "value", "details"}),
                "messages": finding.messages,
                "stands": finding.stands,
            }
            for _, finding in sorted(self._found.items())
        ]


def _badness(issue: QualityIssue) -> tuple[int, float]:
    return SEVERITIES.index(issue.severity), issue.value or 0.0


def _line(finding: _Finding) -> str:
    issue = finding.issue
    details = "".join(f", {name} {value}" for name, value in issue.details.items())
    count = "1 message" if finding.messages == 1 else f"{finding.messages:,} messages"
    measure = f"{issue.value:.6g} {CATALOGUE[issue.code].unit}{details}"
    ending = "stands at the end" if finding.stands else "over"
    return f"{issue.code}: {issue.severity.value}, {measure}: {count}, {ending}"
