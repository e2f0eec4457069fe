"""How a check says what it found."""

from collections.abc import Iterable

from shared.schemas.base import Severity
from shared.schemas.marketdata import QualityIssue

# From the mildest to the worst; the place of one is what tables keep of it.
SEVERITIES = (Severity.OK, Severity.WARNING, Severity.CRITICAL)


def critical(code: str, message: str, value: float | None = None, threshold: float | None = None) -> QualityIssue:
    """Return a finding that keeps a row from being served as current."""
    return QualityIssue(code=code, severity=Severity.CRITICAL, message=message, value=value, threshold=threshold)


def severity_of(issues: Iterable[QualityIssue]) -> Severity:
    """Return the worst of all findings."""
    return max((issue.severity for issue in issues), key=SEVERITIES.index, default=Severity.OK)
