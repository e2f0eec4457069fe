"""How a case of a market state is judged."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal

from benchmarks.corpus.market import Snapshot
from services.marketdata.core.catalogue import CATALOGUE, Subject
from services.marketdata.core.chain.context import EarlierState, StateContext
from services.marketdata.core.chain.judge import judge_state
from services.marketdata.core.thresholds import DEFAULTS, Thresholds

# Told by a feed over time, not by one state.
_OF_FEEDS = {"clock_frozen"}
STATE_CHECKS = tuple(
    code for code, check in CATALOGUE.items() if Subject.MARKET_STATE in check.subjects and code not in _OF_FEEDS
)

_CONTENT, _OTHER = "this", "other"


@dataclass(slots=True)
class StateCase:
    """A snapshot and what is known beside it; `polls` were made before it with the same content, `seconds` apart."""

    snapshot: Snapshot
    polls: int = 0
    seconds: float = 60.0
    session_open: bool | None = True
    prior_close: float | None = None
    median_spread: float | None = None
    received_after: float | None = None
    thresholds: Thresholds = field(default=DEFAULTS)


def judge(case: StateCase) -> Collection[str]:
    """Return the codes of what is found."""
    state = case.snapshot.state()
    earlier = EarlierState(None, _OTHER)
    if case.polls and state.timestamp is not None:
        earlier = EarlierState(
            None, _CONTENT, case.polls, state.timestamp - case.polls * timedelta(seconds=case.seconds)
        )
    now = None
    if case.received_after is not None and state.timestamp is not None:
        now = state.timestamp + timedelta(seconds=case.received_after)
    context = StateContext(
        content_hash=_CONTENT,
        earlier=earlier,
        now=now,
        prior_close=None if case.prior_close is None else Decimal(str(case.prior_close)),
        session_open=case.session_open,
        median_spread=case.median_spread,
        thresholds=case.thresholds,
    )
    return [issue.code for issue in judge_state(state, context)]
