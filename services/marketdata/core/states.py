"""Judge market states: an underlying and its option chain."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from hashlib import sha256

from services.marketdata.core.finding import Bands, critical, ratio, warning
from shared.journal import canonical
from shared.schemas.marketdata import MarketState, OptionQuote, OptionRight, QualityIssue

_SPOT_MOVE = Bands(warning=0.07, critical=0.10)
_AHEAD_SECONDS = Bands(warning=1.0, critical=5.0)
_TOTAL_MISMATCH = 0.005


@dataclass(frozen=True, slots=True)
class EarlierState:
    """What is known of the state before."""

    spot_price: Decimal | None
    content_hash: str


@dataclass(frozen=True, slots=True)
class StateContext:
    """A state and what it is judged against; `now` is None where it is not live."""

    state: MarketState
    content_hash: str
    earlier: EarlierState | None
    now: datetime | None

    @property
    def chain(self) -> list[OptionQuote]:
        """Return the quotes, none where there is no chain."""
        return self.state.option_chain or []


def content_hash(state: MarketState) -> str:
    """Return what two states share only if they say the same, whenever they say it."""
    return sha256(canonical(state.model_dump(mode="json", exclude={"timestamp"})).encode()).hexdigest()


def state_id(source: str, simulation_id: str | None, state: MarketState, content: str) -> str:
    """Return the id of a state: the same state of the same source has the same id."""
    moment = state.timestamp.isoformat() if state.timestamp else ""
    text = "\n".join((source, simulation_id or "", state.symbol, moment, content))
    return f"ms_{sha256(text.encode()).hexdigest()[:26]}"


def judge_state(
    state: MarketState, content: str, earlier: EarlierState | None, now: datetime | None
) -> list[QualityIssue]:
    """Return what is wrong with a state; it never fails, whatever the state says."""
    context = StateContext(state, content, earlier, now)
    return [issue for check in CHECKS if (issue := check(context)) is not None]


def _timestamp(context: StateContext) -> QualityIssue | None:
    moment = context.state.timestamp
    if moment is None:
        return critical("timestamp_missing", "the state does not say when it was")
    if context.now is None:
        return None
    ahead = (moment - context.now).total_seconds()
    return _AHEAD_SECONDS.issue("future_timestamp", ahead, "the state is of the future")


def _spot(context: StateContext) -> QualityIssue | None:
    spot = context.state.spot_price
    if spot is None:
        return critical("spot_missing", "there is no spot price")
    if spot <= 0:
        return critical("spot_not_positive", "the spot price is zero or negative", float(spot), 0.0)
    return None


def _spot_move(context: StateContext) -> QualityIssue | None:
    spot, earlier = context.state.spot_price, context.earlier
    if spot is None or earlier is None or earlier.spot_price is None or earlier.spot_price <= 0:
        return None
    move = ratio(abs(float(spot) - float(earlier.spot_price)), float(earlier.spot_price))
    return _SPOT_MOVE.issue("spot_move", move, "the spot is far from the spot before")


def _chain_missing(context: StateContext) -> QualityIssue | None:
    return None if context.chain else warning("option_chain_missing", "there is no option chain")


def _totals_missing(context: StateContext) -> QualityIssue | None:
    state = context.state
    if state.total_call_oi is not None and state.total_put_oi is not None:
        return None
    return warning("total_open_interest_missing", "a total of open interest is missing")


def _negative(context: StateContext) -> QualityIssue | None:
    state = context.state
    amounts: list[Decimal | None] = [state.total_call_oi, state.total_put_oi]
    for quote in context.chain:
        amounts += (quote.bid, quote.ask, quote.last_price, quote.open_interest, quote.bid_quantity, quote.ask_quantity)
    found = [amount for amount in amounts if amount is not None and amount < 0]
    if not found:
        return None
    return critical("negative_amount", f"{len(found)} prices or quantities are negative", float(min(found)), 0.0)


def _negative_volatility(context: StateContext) -> QualityIssue | None:
    """A volatility is the root of a variance: a feed that says it is negative says nothing that can be trusted."""
    volatilities = (quote.implied_volatility for quote in context.chain)
    found = [volatility for volatility in volatilities if volatility is not None and volatility < 0]
    if not found:
        return None
    return critical("negative_volatility", f"{len(found)} implied volatilities are negative", min(found), 0.0)


def _repeated_contract(context: StateContext) -> QualityIssue | None:
    """A contract is quoted once: which of two quotes holds is a guess, and sums over the chain count it twice."""
    quotes: dict[tuple[date, Decimal, OptionRight], OptionQuote] = {}
    repeated = contradicting = 0
    for quote in context.chain:
        first = quotes.setdefault((quote.expiry, quote.strike, quote.right), quote)
        repeated += first is not quote
        contradicting += first != quote
    if contradicting:
        return critical("contract_contradicts", f"{contradicting} quotes differ from another of the same contract")
    return warning("contract_repeated", f"{repeated} contracts are quoted twice", repeated, 0.0) if repeated else None


def _fractional_open_interest(context: StateContext) -> QualityIssue | None:
    count = sum(1 for quote in context.chain if quote.open_interest is not None and quote.open_interest % 1)
    if not count:
        return None
    return warning("fractional_open_interest", "open interest is not whole", float(count), 0.0)


def _crossed(context: StateContext) -> QualityIssue | None:
    count = sum(1 for quote in context.chain if quote.bid and quote.ask and quote.bid > quote.ask > 0)
    if not count:
        return None
    return critical("crossed_quotes", f"{count} quotes bid more than they ask", float(count), 0.0)


def _totals_differ(context: StateContext) -> QualityIssue | None:
    state, worst = context.state, 0.0
    for right, total in ((OptionRight.CALL, state.total_call_oi), (OptionRight.PUT, state.total_put_oi)):
        summed = [quote.open_interest for quote in context.chain if quote.right is right and quote.open_interest]
        if total is not None and summed:
            worst = max(worst, ratio(abs(float(total) - float(sum(summed))), max(abs(float(total)), 1.0)))
    if worst <= _TOTAL_MISMATCH:
        return None
    return warning("total_open_interest_differs", "a total is not the sum of its chain", worst, _TOTAL_MISMATCH)


def _same_content(context: StateContext) -> QualityIssue | None:
    if context.earlier is None or context.earlier.content_hash != context.content_hash:
        return None
    return warning("stale_content", "the state says what the one before said")


CHECKS: tuple[Callable[[StateContext], QualityIssue | None], ...] = (
    _timestamp,
    _spot,
    _spot_move,
    _chain_missing,
    _totals_missing,
    _negative,
    _negative_volatility,
    _repeated_contract,
    _fractional_open_interest,
    _crossed,
    _totals_differ,
    _same_content,
)
