"""All suites of the corpus: one for each subject that has cases.

A subject is added as one more suite: the codes of its checks, a function that yields `Case`s of whatever its judge
takes (a row and what is known beside it, a stretch of rows), and that judge, which returns the codes it finds. The page
and the tests of the corpus take it from there.
"""

from collections.abc import Iterator
from typing import Any

from benchmarks.corpus.case import Case, Suite
from benchmarks.corpus.chain_cases import chain_cases
from benchmarks.corpus.judging import STATE_CHECKS, StateCase, judge
from benchmarks.corpus.state_cases import state_cases


def _state_cases() -> Iterator[Case[StateCase]]:
    yield from state_cases()
    yield from chain_cases()


SUITES: tuple[Suite[Any], ...] = (Suite("Market states", STATE_CHECKS, _state_cases, judge),)
