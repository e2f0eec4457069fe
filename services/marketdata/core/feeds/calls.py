"""The last calls to a source: how long its answers took, and how many failed."""

from collections import deque
from dataclasses import dataclass
from datetime import datetime

from services.marketdata.core.thresholds import DEFAULTS, Thresholds
from shared.schemas.marketdata import QualityIssue

MOST_CALLS = 1_000
# Of fewer one slow or failed call would be a finding.
LEAST_CALLS = 20


@dataclass(frozen=True, slots=True)
class Call:
    """One call: when it ended, whether it gave an answer, and how long that took in milliseconds."""

    at: datetime
    ok: bool
    latency_ms: float


class CallRecord:
    """The last 1,000 calls of a source."""

    def __init__(self) -> None:
        self._calls: deque[Call] = deque(maxlen=MOST_CALLS)
        self._failed = 0

    def __len__(self) -> int:
        return len(self._calls)

    def add(self, call: Call) -> None:
        """Take a call in; the oldest leaves where there are 1,000."""
        if len(self._calls) == MOST_CALLS:
            self._failed -= not self._calls[0].ok
        self._calls.append(call)
        self._failed += not call.ok

    @property
    def failure_rate(self) -> float | None:
        """Return the share of calls that failed, None of fewer than 20."""
        return self._failed / len(self._calls) if len(self._calls) >= LEAST_CALLS else None

    @property
    def response_p95_ms(self) -> float | None:
        """Return the 95th percentile (nearest rank) of the time to an answer, None of fewer than 20 answers.

        Calls that failed are not in it: one refused at once would make a source look fast. They count as failures.
        """
        answered = sorted(call.latency_ms for call in self._calls if call.ok)
        # ceil(0.95 n) in whole numbers.
        return answered[-(-95 * len(answered) // 100) - 1] if len(answered) >= LEAST_CALLS else None

    def issues(self, thresholds: Thresholds = DEFAULTS) -> list[QualityIssue]:
        """Return what the catalogue's checks `response_time` and `failure_rate` find."""
        found = []
        slow, failed = self.response_p95_ms, self.failure_rate
        if slow is not None:
            message = f"95 of 100 answers took up to {slow:.0f} ms"
            found.append(thresholds.issue("response_time", slow, message, calls=len(self._calls)))
        if failed is not None:
            message = f"{self._failed} of the last {len(self._calls)} calls failed"
            found.append(thresholds.issue("failure_rate", failed, message, calls=len(self._calls)))
        return [issue for issue in found if issue is not None]
