"""What a state says of itself: its fields, its time and its spot."""

from services.marketdata.core.chain.context import StateContext
from shared.schemas.marketdata import MarketState, QualityIssue

Findings = list[QualityIssue | None]


def fields_findings(state: MarketState, context: StateContext) -> Findings:
    """Return what is wrong with a state's fields, time and spot."""
    return [
        _required(state, context),
        _optional(state, context),
        _future(state, context),
        _closed(context),
        _stale_content(context),
        _stale_age(state, context),
        *_spot(state, context),
        _spot_move(state, context),
        *_spots(state, context),
    ]


def _required(state: MarketState, context: StateContext) -> QualityIssue | None:
    missing = [name for name in ("spot_price", "timestamp") if getattr(state, name) is None]
    return context.thresholds.issue(
        "required_field_missing", len(missing), f"without {' and '.join(missing)}", fields=missing
    )


def _optional(state: MarketState, context: StateContext) -> QualityIssue | None:
    # An empty chain is none.
    missing = [] if state.option_chain else ["option_chain"]
    missing += [name for name in ("total_call_oi", "total_put_oi") if getattr(state, name) is None]
    return context.thresholds.issue(
        "optional_field_missing", len(missing), f"without {', '.join(missing)}", fields=missing
    )


def _future(state: MarketState, context: StateContext) -> QualityIssue | None:
    if state.timestamp is None or context.now is None:
        return None
    ahead = (state.timestamp - context.now).total_seconds()
    return context.thresholds.issue("future_timestamp", ahead, "the state is of the future")


def _closed(context: StateContext) -> QualityIssue | None:
    if context.session_open is not False:
        return None
    return context.thresholds.issue(
        "outside_session", 1, "the market was closed: the prices are those of its last session"
    )


def _stale_content(context: StateContext) -> QualityIssue | None:
    polls = context.polls
    return context.thresholds.issue("stale_content", polls, f"{polls} polls in a row said the same")


def _stale_age(state: MarketState, context: StateContext) -> QualityIssue | None:
    """Age what repeats itself from the first time it was said: the time of fetching is always fresh."""
    if context.session_open is not True or context.earlier is None or context.polls < 2:
        return None
    if state.timestamp is None or context.earlier.since is None:
        return None
    age = (state.timestamp - context.earlier.since).total_seconds()
    return context.thresholds.issue("stale_age", age, f"what the state says was first said {age:.0f} seconds before")


def _spot(state: MarketState, context: StateContext) -> Findings:
    if state.spot_price is None or state.spot_price <= 0:
        return []
    spot = float(state.spot_price)
    return [
        context.thresholds.issue("spot_below_band", spot, f"the spot {state.spot_price} is below its band"),
        context.thresholds.issue("spot_above_band", spot, f"the spot {state.spot_price} is above its band"),
    ]


def _spot_move(state: MarketState, context: StateContext) -> QualityIssue | None:
    """Measure the move from the prior close; where that is not known, from the state before."""
    before, what = context.prior_close, "the prior close"
    if before is None and context.earlier is not None:
        before, what = context.earlier.spot_price, "the spot before"
    if before is None or before <= 0 or state.spot_price is None or state.spot_price <= 0:
        return None
    # Exact: what has moved by 7 % has reached 7 %.
    move = float(abs(state.spot_price - before) / before)
    return context.thresholds.issue(
        "spot_move", move, f"the spot has moved {move:.2%} from {what}", spot=str(state.spot_price), before=str(before)
    )


def _spots(state: MarketState, context: StateContext) -> Findings:
    named = set(state.spot_prices or ())
    if state.spot_price is not None:
        named.add(state.spot_price)
    zero = sum(1 for spot in named if spot <= 0)
    prices = [str(spot) for spot in sorted(named)[:10]]
    return [
        context.thresholds.issue("spot_several", len(named), f"{len(named)} spots in one snapshot", spots=prices),
        context.thresholds.issue("spot_zero", zero, "a spot of zero or less", spots=prices),
    ]
