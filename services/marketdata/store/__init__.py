"""All SQL of marketdata: bars, market states, the figures of feeds, and the outbox of marks."""

from services.marketdata.store.bars import earlier_bars, list_bars, put_bars
from services.marketdata.store.feeds import FeedChange, count_feed, list_feeds
from services.marketdata.store.origin import Origin
from services.marketdata.store.outbox import put_marks, remove_marks, take_marks
from services.marketdata.store.states import current_state, earlier_state, get_state, list_states, put_state

__all__ = [
    "FeedChange",
    "Origin",
    "count_feed",
    "current_state",
    "earlier_bars",
    "earlier_state",
    "get_state",
    "list_bars",
    "list_feeds",
    "list_states",
    "put_bars",
    "put_marks",
    "put_state",
    "remove_marks",
    "take_marks",
]
