"""Findings on rows of a batch: few rows have any, so that each check looks at whole columns at once."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from services.marketdata.core.catalogue import CATALOGUE
from services.marketdata.core.finding import SEVERITIES
from services.marketdata.core.thresholds import Thresholds
from shared.schemas.base import Severity
from shared.schemas.marketdata import QualityIssue

Floats = npt.NDArray[np.float64]
Longs = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


class Flags:
    """The verdicts on rows, by their place; `severities` are 0 for ok, 1 for a warning, 2 for critical."""

    def __init__(self, count: int) -> None:
        self.severities = np.zeros(count, np.int16)
        self.issues: dict[int, list[QualityIssue]] = {}

    def measure(
        self,
        thresholds: Thresholds,
        code: str,
        values: Floats,
        message: str,
        rows: Longs | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """Find the values that have reached a band of a check; `rows` are their places where they are not of all."""
        bands = thresholds[code]
        edges = [band for band in (bands.warning, bands.critical) if band is not None]
        if not edges or not len(values):
            return
        falling = CATALOGUE[code].falling
        reached = values <= max(edges) if falling else values >= min(edges)
        for place in np.flatnonzero(reached):
            issue = thresholds.issue(code, float(values[place]), message, **(details or {}))
            if issue is not None:
                self.add(int(place if rows is None else rows[place]), issue)

    def count(self, thresholds: Thresholds, code: str, found: Mask, message: str) -> None:
        """Find the rows that a check is true of."""
        for place in np.flatnonzero(found):
            issue = thresholds.issue(code, 1.0, message)
            if issue is not None:
                self.add(int(place), issue)

    def add(self, place: int, issue: QualityIssue) -> None:
        """Put one finding on one row."""
        self.issues.setdefault(place, []).append(issue)
        self.severities[place] = max(self.severities[place], SEVERITIES.index(issue.severity))

    def severity(self, place: int) -> Severity:
        """Return the worst of a row's findings."""
        return SEVERITIES[int(self.severities[place])]
