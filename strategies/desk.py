"""The reference strategies, one instance for each series of records."""

from shared.schemas.marketdata import Bar, Interval, MarketState
from strategies.ma_crossover import MaCrossover
from strategies.pcr_analysis import PcrAnalysis
from strategies.signal import NoSignal, Signal


class StrategyDesk:
    """Hand each record to the strategy that follows its series: bars to ma_crossover, states to pcr_analysis.

    Records of a series come in order; those whose verdict is critical are not handed over.
    """

    def __init__(self) -> None:
        self._bars: dict[tuple[str, Interval], MaCrossover] = {}
        self._states: dict[str, PcrAnalysis] = {}

    def on_record(self, record: Bar | MarketState, market_state_id: str | None = None) -> Signal | NoSignal:
        """Return what the strategy says of one more record; `market_state_id` is that of a stored state."""
        if isinstance(record, Bar):
            return self._bars.setdefault((record.symbol, record.interval), MaCrossover()).on_bar(record)
        return self._states.setdefault(record.symbol, PcrAnalysis()).on_state(record, market_state_id)
