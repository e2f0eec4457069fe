"""The one way to judge a market state."""

from dataclasses import dataclass

import numpy as np

from services.marketdata.core.chain.amounts import amounts_findings
from services.marketdata.core.chain.arrays import arrays_of
from services.marketdata.core.chain.context import StateContext
from services.marketdata.core.chain.fields import fields_findings
from services.marketdata.core.chain.parity import parity_finding
from services.marketdata.core.chain.quotes import listing_findings, quotes_findings, relative_spread
from services.marketdata.core.chain.strikes import strikes_findings
from shared.schemas.marketdata import MarketState, QualityIssue

# A mid of nearly nothing makes any number; no quote's spread is more than twice its mid.
_WIDEST = 2.0


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is wrong with a state, and its median spread near the money, None where nothing is quoted in session."""

    issues: list[QualityIssue]
    relative_spread: float | None


def judge_state(state: MarketState, context: StateContext) -> list[QualityIssue]:
    """Return what is wrong with a state, at most one finding a check; it never fails, whatever the state says."""
    return judgement_of(state, context).issues


def judgement_of(state: MarketState, context: StateContext) -> Judgement:
    """Return what is wrong with a state as `judge_state` does, and what later ones are held against."""
    spot = None if state.spot_price is None else float(state.spot_price)
    # What was not sent is NaN, which is neither above nor below anything.
    with np.errstate(all="ignore"):
        spread = None
        chain = arrays_of(state.option_chain or [], spot)
        found = fields_findings(state, context) + amounts_findings(state, chain, context)
        if chain.quotes:
            found += listing_findings(chain, context)
        # What is left in the books of a closed market is nobody's price, and those of an auction cross by design.
        if chain.quotes and context.session_open is not False:
            found += quotes_findings(chain, context)
            found += [parity_finding(chain, state.timestamp, context), *strikes_findings(chain, context)]
            spread = relative_spread(chain)
    usable = spread is not None and 0 <= spread < _WIDEST
    return Judgement([issue for issue in found if issue is not None], spread if usable else None)
