"""Tables of marketdata."""

from services.marketdata.models.base import metadata
from services.marketdata.models.feeds import BackfillRow, FeedSymbol, Outbox
from services.marketdata.models.monitor import BarGap, LiveSeries, RowVolume
from services.marketdata.models.policies import PolicyRunRow
from services.marketdata.models.quality import CalendarOverride, QualityIssueRow, QualityThreshold, SymbolProfileRow
from services.marketdata.models.series import MarketStateRow, RollUpQueue

__all__ = [
    "BackfillRow",
    "BarGap",
    "CalendarOverride",
    "FeedSymbol",
    "LiveSeries",
    "MarketStateRow",
    "Outbox",
    "PolicyRunRow",
    "QualityIssueRow",
    "QualityThreshold",
    "RollUpQueue",
    "RowVolume",
    "SymbolProfileRow",
    "metadata",
]
