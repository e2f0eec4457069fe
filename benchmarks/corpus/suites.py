"""All suites of the corpus: one for each subject that has cases.

A subject is added as one more suite: the codes of its checks, a function that yields `Case`s of whatever its judge
takes (a row and what is known beside it, a stretch of rows), and that judge, which returns the codes it finds. The page
and the tests of the corpus take it from there.
"""

from collections.abc import Iterator
from typing import Any

from benchmarks.corpus.bar_cases import BAR_CHECKS, bar_cases
from benchmarks.corpus.call_cases import CALL_CHECKS, call_cases, judge_calls
from benchmarks.corpus.case import Case, Suite
from benchmarks.corpus.chain_cases import chain_cases
from benchmarks.corpus.event_cases import BOOK_CHECKS, TRADE_CHECKS, book_cases, trade_cases
from benchmarks.corpus.feed_cases import feed_cases
from benchmarks.corpus.funding_cases import FUNDING_CHECKS, funding_cases
from benchmarks.corpus.judging import STATE_CHECKS, StateCase, judge
from benchmarks.corpus.live import LIVE_CHECKS, Live, judge_live
from benchmarks.corpus.live_cases import live_cases
from benchmarks.corpus.message_cases import MESSAGE_CHECKS, message_cases
from benchmarks.corpus.messages import judge_messages
from benchmarks.corpus.rows import judge_rows
from benchmarks.corpus.state_cases import state_cases


def _state_cases() -> Iterator[Case[StateCase]]:
    yield from state_cases()
    yield from chain_cases()


def _live_cases() -> Iterator[Case[Live]]:
    yield from feed_cases()
    yield from live_cases()


SUITES: tuple[Suite[Any], ...] = (
    Suite("Market states", STATE_CHECKS, _state_cases, judge),
    Suite("Bars", BAR_CHECKS, bar_cases, judge_rows),
    Suite("Trades and liquidations", TRADE_CHECKS, trade_cases, judge_rows),
    Suite("Order books", BOOK_CHECKS, book_cases, judge_rows),
    Suite("Funding rates", FUNDING_CHECKS, funding_cases, judge_rows),
    Suite("Messages of a stream", MESSAGE_CHECKS, message_cases, judge_messages),
    Suite("Series over time", LIVE_CHECKS, _live_cases, judge_live),
    Suite("Calls to a source", CALL_CHECKS, call_cases, judge_calls),
)
