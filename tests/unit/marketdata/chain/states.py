"""States to judge, and what was found in them."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from services.marketdata.core.chain.context import StateContext, content_hash
from services.marketdata.core.chain.judge import judge_state
from shared.schemas.marketdata import MarketState, OptionQuote, OptionRight, QualityIssue

NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
CALL, PUT = OptionRight.CALL, OptionRight.PUT


def quote(right: OptionRight = CALL, **changes: Any) -> OptionQuote:
    values = {"expiry": date(2026, 3, 26), "strike": "100", "right": right, "open_interest": "10"}
    return OptionQuote.model_validate({**values, **changes})


def state(**changes: Any) -> MarketState:
    values = {"symbol": "X", "timestamp": NOW, "spot_price": "100", "total_call_oi": "10", "total_put_oi": "10"}
    return MarketState.model_validate({**values, "option_chain": [quote(), quote(PUT)], **changes})


def priced(strike: int, right: OptionRight, bid: float, ask: float, **changes: Any) -> OptionQuote:
    prices = {"bid": Decimal(str(bid)), "ask": Decimal(str(ask))}
    return quote(right, strike=str(strike), open_interest=None, **prices, **changes)


def chain_of(*quotes: OptionQuote, **changes: Any) -> MarketState:
    """Return a state of these quotes, with the totals that they have."""
    totals = {
        name: sum((quote.open_interest or Decimal(0) for quote in quotes if quote.right is right), Decimal(0))
        for name, right in (("total_call_oi", CALL), ("total_put_oi", PUT))
    }
    return state(option_chain=list(quotes), **totals, **changes)


def issues_of(judged: MarketState, **context: Any) -> list[QualityIssue]:
    return judge_state(judged, StateContext(**{"content_hash": content_hash(judged), **context}))


def found(judged: MarketState, **context: Any) -> dict[str, str]:
    return {issue.code: issue.severity.value for issue in issues_of(judged, **context)}
