"""From where on a measure is a finding: the catalogue's bands, and those set for one symbol or all."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.marketdata.core.catalogue import CATALOGUE
from shared.schemas.base import Severity
from shared.schemas.marketdata import QualityIssue


@dataclass(frozen=True, slots=True)
class Bands:
    """Measures from which a finding is a warning, and from which it is critical; None is never reached."""

    warning: float | None
    critical: float | None


class Thresholds:
    """The bands of every check for one symbol: `changed` ones before those of the catalogue."""

    def __init__(self, changed: Mapping[str, Bands] | None = None) -> None:
        self._changed = dict(changed or {})
        self._bands = {code: Bands(check.warning, check.critical) for code, check in CATALOGUE.items()} | self._changed

    def __getitem__(self, code: str) -> Bands:
        return self._bands[code]

    def with_learnt(self, learnt: Mapping[str, Bands]) -> "Thresholds":
        """Return these with bands that were learnt, where none were set."""
        return Thresholds({**learnt, **self._changed}) if learnt else self

    def issue(self, code: str, value: float, message: str, **details: Any) -> QualityIssue | None:
        """Return the finding a measure stands for, None below both bands; a value at a band has reached it."""
        bands = self._bands[code]
        for severity, threshold in ((Severity.CRITICAL, bands.critical), (Severity.WARNING, bands.warning)):
            if threshold is None:
                continue
            if value <= threshold if CATALOGUE[code].falling else value >= threshold:
                return QualityIssue(
                    code=code, severity=severity, message=message, value=value, threshold=threshold, details=details
                )
        return None


DEFAULTS = Thresholds()
# What is known of symbols before anybody sets it.
OF_SYMBOL: Mapping[str, Mapping[str, Bands]] = {
    "NIFTY": {"spot_below_band": Bands(None, 10_000), "spot_above_band": Bands(None, 30_000)}
}


def of_symbol(symbol: str) -> Thresholds:
    """Return the bands of a symbol as they are before anybody sets them."""
    return Thresholds(OF_SYMBOL[symbol]) if symbol in OF_SYMBOL else DEFAULTS
