"""The table of each kind of rows: its key, and what two revisions of a row differ by."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from services.marketdata.core.catalogue import Subject

# Written by the store itself beside a row's own columns.
JUDGED = ("revision", "severity", "issues", "ts_init")


@dataclass(frozen=True)
class SeriesTable:
    """A table of rows that is partitioned by time; `series` are the columns of its key before the time."""

    name: str
    key: tuple[str, ...]
    data: tuple[str, ...]
    # Two rows of one key are the same row if these are equal.
    compared: tuple[str, ...]
    json: frozenset[str] = frozenset()

    @property
    def columns(self) -> tuple[str, ...]:
        """Return all columns, in the order in which rows are written."""
        return (*self.key, *self.data, *JUDGED)

    @property
    def revisions(self) -> str:
        """Return the name of the table of earlier revisions."""
        return f"{self.name}_revision"


def _table(name: str, key: str, data: str, json: str = "", compared: str = "") -> SeriesTable:
    columns = tuple(data.split())
    same = tuple(compared.split()) or columns
    return SeriesTable(name, ("scope", *key.split()), columns, same, frozenset(json.split()))


TABLES: Final[Mapping[Subject, SeriesTable]] = MappingProxyType(
    {
        Subject.BAR: _table("ohlcv_bar", "symbol interval ts source", "open high low close volume amount"),
        Subject.TICK: _table("trade_tick", "symbol ts source trade_id", "price quantity aggressor"),
        Subject.ORDER_BOOK: _table(
            "order_book_snapshot", "symbol ts source sequence", "previous_sequence bids asks", json="bids asks"
        ),
        Subject.FUNDING_RATE: _table("funding_rate", "symbol ts source", "rate interval_hours mark_price"),
        Subject.LIQUIDATION: _table("liquidation_event", "symbol ts source liquidation_id", "side price quantity"),
        Subject.MARKET_STATE: _table(
            "market_state",
            "symbol ts source",
            "timestamp market_state_id spot_price total_call_oi total_put_oi option_chain content_hash"
            " spot_prices relative_spread",
            json="option_chain spot_prices",
            # All that a state says goes into it.
            compared="content_hash",
        ),
    }
)
