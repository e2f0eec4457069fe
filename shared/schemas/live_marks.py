"""The latest marks, and the messages of the stream of marks."""

from typing import Literal

from pydantic import Field

from shared.money import PositiveAmount
from shared.schemas.base import Contract, Identifier, Severity, Symbol, UtcDatetime


class LiveMark(Contract):
    """A mark as it was published; one that is critical is not to be used, whatever its price."""

    symbol: Symbol
    price: PositiveAmount
    ts_event: UtcDatetime
    source: Identifier
    simulation_id: Identifier | None = None
    severity: Severity
    usable: bool = Field(description="False where the severity is critical: trust no price of this symbol.")


class LatestMark(LiveMark):
    """The mark of a symbol with the newest event time, and where it was read."""

    held_in: Literal["redis", "database"] = Field(
        description="`database` where Redis does not have it, or is away: worked out of the rows themselves."
    )


class LatestMarks(Contract):
    """The latest marks of the symbols asked for, in their order; `unknown` are those without any."""

    items: list[LatestMark]
    unknown: list[Symbol] = []


class SnapshotMessage(Contract):
    """The latest marks of all symbols, at the beginning and after a gap; what follows are changes to them."""

    type: Literal["snapshot"] = "snapshot"
    marks: list[LatestMark]
    unknown: list[Symbol] = []


class MarkUpdate(Contract):
    """A new latest mark; `skipped` earlier ones of its symbol were left out, as the reader was too slow for them."""

    type: Literal["mark"] = "mark"
    skipped: int
    mark: LiveMark


class GapMessage(Contract):
    """Marks are missing from here until the next snapshot: Redis is away, or this process had fallen behind."""

    type: Literal["gap"] = "gap"
    reason: Literal["redis_away", "lagged"]


class HeartbeatMessage(Contract):
    """Nothing has changed for some seconds; `live` is false where nothing can, `skipped` counts since the beginning."""

    type: Literal["heartbeat"] = "heartbeat"
    ts: UtcDatetime
    live: bool
    skipped: int
