"""Pages of rows within a window of time."""

from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Select, tuple_
from sqlalchemy.orm import InstrumentedAttribute

# From a start until before an end; None where it is open.
Window = tuple[datetime | None, datetime | None]
_Rows = TypeVar("_Rows", bound=Select[Any])


def page_of(
    query: _Rows,
    keys: tuple[InstrumentedAttribute[Any], InstrumentedAttribute[Any]],
    window: Window,
    after: tuple[datetime, str | int] | None,
    limit: int,
) -> _Rows:
    """Return a query for at most so many rows of a window, oldest first, after those of an earlier page.

    `keys` are the column of the time and the one that tells rows of one time apart; `after` is the last row's.
    """
    start, end = window
    query = query.order_by(*keys).limit(limit)
    if start is not None:
        query = query.where(keys[0] >= start)
    if end is not None:
        query = query.where(keys[0] < end)
    if after is not None:
        query = query.where(tuple_(*keys) > tuple_(*after))
    return query
