"""What a diagnosis says: steps with times and verdicts, and what to do about those that are not well."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

STEPS = ("route", "dns", "tcp", "proxy", "tls", "http", "clock")


class Verdict(StrEnum):
    """How a step went; SKIPPED says that there was nothing to do or that a step before it failed."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


_ORDER = (Verdict.SKIPPED, Verdict.OK, Verdict.WARNING, Verdict.FAILED)


@dataclass(frozen=True, slots=True)
class Target:
    """What is looked at; `time_at` leads to the server's time in the JSON of its answer, `time_unit` is its seconds."""

    name: str
    url: str | None
    path: str = "/"
    time_at: tuple[str | int, ...] = ()
    time_unit: float = 0.001


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a diagnosis, what was measured in it, and what to do where it is not well."""

    name: str
    verdict: Verdict
    detail: str
    milliseconds: float | None = None
    hint: str = ""
    data: dict[str, float | str] = field(default_factory=dict)


class StepFailed(Exception):
    """A step failed, and those that need it cannot be done."""

    def __init__(self, detail: str, hint: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Report:
    """The diagnosis of one target."""

    target: Target
    route: str
    steps: Sequence[Step]

    @property
    def verdict(self) -> Verdict:
        """Return the worst of all steps."""
        return worst(step.verdict for step in self.steps)

    def document(self) -> dict[str, Any]:
        """Return it as JSON holds it; times in milliseconds."""
        steps = [
            {
                "name": step.name,
                "verdict": step.verdict,
                "milliseconds": None if step.milliseconds is None else round(step.milliseconds, 3),
                "detail": step.detail,
                "hint": step.hint,
                **step.data,
            }
            for step in self.steps
        ]
        return {
            "name": self.target.name,
            "url": self.target.url,
            "route": self.route,
            "verdict": self.verdict,
            "steps": steps,
        }


def worst(verdicts: Any) -> Verdict:
    """Return the worst of verdicts, SKIPPED of none."""
    return max(verdicts, key=_ORDER.index, default=Verdict.SKIPPED)
