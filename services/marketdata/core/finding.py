"""How a check says what it found."""

from collections.abc import Iterable
from dataclasses import dataclass

from shared.schemas.base import Severity
from shared.schemas.marketdata import QualityIssue

_ORDER = (Severity.OK, Severity.WARNING, Severity.CRITICAL)


@dataclass(frozen=True, slots=True)
class Bands:
    """Measures from which a finding is a warning, and from which it is critical."""

    warning: float
    critical: float

    def issue(self, code: str, value: float, message: str) -> QualityIssue | None:
        """Return the finding a measure stands for, None below both bands."""
        for severity, threshold in ((Severity.CRITICAL, self.critical), (Severity.WARNING, self.warning)):
            if value >= threshold:
                return QualityIssue(code=code, severity=severity, message=message, value=value, threshold=threshold)
        return None


def critical(code: str, message: str, value: float | None = None, threshold: float | None = None) -> QualityIssue:
    """Return a finding that keeps a row from being served as current."""
    return QualityIssue(code=code, severity=Severity.CRITICAL, message=message, value=value, threshold=threshold)


def warning(code: str, message: str, value: float | None = None, threshold: float | None = None) -> QualityIssue:
    """Return a finding to look at."""
    return QualityIssue(code=code, severity=Severity.WARNING, message=message, value=value, threshold=threshold)


def severity_of(issues: Iterable[QualityIssue]) -> Severity:
    """Return the worst of all findings."""
    return max((issue.severity for issue in issues), key=_ORDER.index, default=Severity.OK)


def ratio(part: float, whole: float) -> float:
    """Return a share that is always a number JSON can hold."""
    return part / whole if whole else 0.0
