"""What a market state is judged against, and what is kept of it for the next one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from hashlib import sha256
from itertools import takewhile

from services.marketdata.core.thresholds import DEFAULTS, Thresholds
from shared.journal import canonical
from shared.schemas.base import Severity
from shared.schemas.marketdata import MarketState


@dataclass(frozen=True, slots=True)
class EarlierState:
    """What is known of the state before: its spot, and for how long its content has been the same.

    `spot_price` is that of the newest state that could be trusted. `polls` counts those in a row with this content
    while the market was open, this one too; `since` is the time of the first of them.
    """

    spot_price: Decimal | None
    content_hash: str
    polls: int = 1
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class StateContext:
    """What is known beside the state; what is None is not known, and the checks that need it are left out.

    `now` is the time of receipt of a live state, `session_open` whether the market was open at the state's time,
    `median_spread` the day's median of `quotes.relative_spread`.
    """

    content_hash: str
    earlier: EarlierState | None = None
    now: datetime | None = None
    prior_close: Decimal | None = None
    session_open: bool | None = None
    median_spread: float | None = None
    thresholds: Thresholds = field(default=DEFAULTS)

    @property
    def is_repeated(self) -> bool:
        """Return whether the state says what the one before said."""
        return self.earlier is not None and self.earlier.content_hash == self.content_hash

    @property
    def polls(self) -> int:
        """Return how many polls in a row, this one too, have had this content while the market was open."""
        # A closed market repeats itself: only what is said again in session is stale.
        if self.session_open is False:
            return 0
        return self.earlier.polls + 1 if self.earlier is not None and self.is_repeated else 1


def content_hash(state: MarketState) -> str:
    """Return what two states share only if they say the same, whenever they say it."""
    # Spots that agree say no more than the one spot.
    left_out = {"timestamp"} if state.spot_prices else {"timestamp", "spot_prices"}
    return sha256(canonical(state.model_dump(mode="json", exclude=left_out)).encode()).hexdigest()


def state_id(source: str, simulation_id: str | None, state: MarketState, content: str) -> str:
    """Return the id of a state: the same state of the same source has the same id."""
    moment = state.timestamp.isoformat() if state.timestamp else ""
    text = "\n".join((source, simulation_id or "", state.symbol, moment, content))
    return f"ms_{sha256(text.encode()).hexdigest()[:26]}"


def earlier_of(
    polls: Sequence[tuple[Decimal | None, str, datetime, Severity]],
    is_open: Callable[[datetime], bool | None] = lambda moment: None,
) -> EarlierState | None:
    """Return what is known from the polls before, newest first: spot, content hash, time and severity of each.

    `is_open` says whether the market was open at a time, None where that is not known.
    """
    if not polls:
        return None
    content, newest = polls[0][1], polls[0][2]
    run = list(takewhile(lambda poll: poll[1] == content and is_open(poll[2]) is not False, polls))
    spot = next((poll[0] for poll in polls if poll[3] is not Severity.CRITICAL), None)
    return EarlierState(spot, content, len(run), run[-1][2] if run else newest)


def following(state: MarketState, context: StateContext, severity: Severity) -> EarlierState:
    """Return what the next state is judged against; a spot that cannot be trusted is not among it."""
    earlier = context.earlier
    trusted = severity is not Severity.CRITICAL
    spot = state.spot_price if trusted else earlier.spot_price if earlier else None
    # A market that was closed is as if the content had come with the first poll after it.
    since = earlier.since if earlier is not None and context.polls > 1 else state.timestamp
    return EarlierState(spot, context.content_hash, context.polls, since)
