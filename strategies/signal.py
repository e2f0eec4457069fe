"""What a strategy answers: a signal, or that there is none and why."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from shared.schemas.orders import Side


@dataclass(frozen=True, slots=True)
class Signal:
    """A strategy's wish to be long (BUY) or short (SELL) in a symbol from `ts_event` on.

    `price` is the close or the spot it was made at; `features` are those of `strategies.features.FEATURE_NAMES`;
    `market_state_id` names the stored option chain it came from.
    """

    strategy_id: str
    symbol: str
    side: Side
    ts_event: datetime
    price: Decimal
    features: dict[str, float]
    regime: str
    reason: str
    market_state_id: str | None = None


@dataclass(frozen=True, slots=True)
class NoSignal:
    """Nothing to do, and why."""

    reason: str
