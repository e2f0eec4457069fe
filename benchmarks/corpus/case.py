"""A labelled case, what a check made of it, and how well the checks do over all of them."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from zlib import crc32

import numpy as np

T = TypeVar("T")


def rng_of(name: str, seed: int) -> np.random.Generator:
    """Return the numbers of a case: others for each name and seed, and the same in every run."""
    return np.random.default_rng([crc32(name.encode()), seed])


@dataclass(frozen=True, slots=True)
class Case(Generic[T]):
    """Something to judge, and what ought to be found in it.

    `check` is the code of the check the case was made for. `expected` must be found; `tolerated` may be, as what
    follows from the fault; all else found is a false alarm. A clean case expects nothing. `origin` says where the
    data are from, `title` what is wrong, or what looks as if it were.
    """

    check: str
    title: str
    origin: str
    given: T
    expected: frozenset[str] = frozenset()
    tolerated: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Suite(Generic[T]):
    """All cases of one subject, the checks they are for, and the way to judge one: it returns the codes found."""

    title: str
    checks: tuple[str, ...]
    cases: Callable[[], Iterable[Case[T]]]
    judge: Callable[[T], Collection[str]]


@dataclass(slots=True)
class Score:
    """How one check did: cases in which it ought to find something, and did; and those in which it ought not."""

    found: int = 0
    missed: int = 0
    false_alarms: int = 0
    rightly_silent: int = 0
    # Cases made for the check itself in which nothing is wrong.
    sound: int = 0
    origins: Counter[str] = field(default_factory=Counter)
    misses: Counter[str] = field(default_factory=Counter)
    alarms: Counter[str] = field(default_factory=Counter)

    @property
    def precision(self) -> float | None:
        """Return the share of what was found that ought to be; None where nothing was found."""
        raised = self.found + self.false_alarms
        return self.found / raised if raised else None

    @property
    def recall(self) -> float | None:
        """Return the share of faults that was found; None where there was none."""
        faults = self.found + self.missed
        return self.found / faults if faults else None


def judged(suite: Suite[T]) -> Iterator[tuple[Case[T], frozenset[str]]]:
    """Yield each case with what was found in it."""
    for case in suite.cases():
        yield case, frozenset(suite.judge(case.given))


def score(outcomes: Iterable[tuple[Case[T], frozenset[str]]], checks: Collection[str]) -> dict[str, Score]:
    """Return how each check did over all cases, those made for other checks among them."""
    scores = {code: Score() for code in checks}
    for case, found in outcomes:
        for code, total in scores.items():
            own = code == case.check
            if own:
                total.origins[case.origin] += 1
                total.sound += code not in case.expected
            if code in case.expected:
                total.found += code in found
                total.missed += code not in found
                if code not in found:
                    total.misses[case.title] += 1
            elif code in found and code not in case.tolerated:
                total.false_alarms += 1
                total.alarms[case.title] += 1
            elif code not in found:
                total.rightly_silent += 1
    return scores
