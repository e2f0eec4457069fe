"""The bundled messages of a venue's stream, and how they are judged as they come."""

from collections.abc import Collection, Sequence
from functools import cache
from pathlib import Path

from services.marketdata.core.stream.lane import Watch
from services.marketdata.core.stream.messages import Message
from services.marketdata.core.stream.monitor import StreamMonitor
from services.marketdata.core.thresholds import DEFAULTS
from services.marketdata.formats.binance_stream import read_messages
from services.marketdata.formats.dataset import refuse

_FILE = Path(__file__).parents[2] / "data" / "sample" / "binance_futures_btcusdt_stream_20240808.jsonl.gz"
_SYMBOL, _TICK = "BTCUSDT", 0.1


@cache
def recorded() -> tuple[Message, ...]:
    """Return the messages in the order in which they came."""
    return tuple(message for _, message in read_messages([_FILE], symbol=_SYMBOL, report=refuse))


def judge_messages(messages: Sequence[Message]) -> Collection[str]:
    """Return the codes of the issues that were open at any time."""
    monitor = StreamMonitor({_SYMBOL: Watch(DEFAULTS, _TICK)})
    found = set()
    for message in messages:
        outcome = monitor.observe(message)
        found |= {issue.code for issue in outcome.findings}
        found |= {change.standing.issue.code for change in outcome.transitions}
    return found
