"""What the database of market data is, what it holds, and how its policies run."""

from shared.schemas.base import Contract, UtcDatetime


class SeriesStorage(Contract):
    """A table of rows: its chunks or partitions, its size, and about how many rows it has.

    `rows_estimated` is what the database counted when it last analysed the table, which it does by itself once a part
    of the rows has changed: those since are not in it. `compression_ratio` is the size before over that after, of what
    is compressed.
    """

    table: str
    chunks: int
    bytes: int
    rows_estimated: int
    compressed_chunks: int = 0
    compression_ratio: float | None = None


class PolicyRun(Contract):
    """A policy and how it ran last."""

    policy: str
    subject: str
    every_seconds: float | None = None
    last_run: UtcDatetime | None = None
    last_status: str | None = None
    next_run: UtcDatetime | None = None
    failures: int | None = None
    detail: str | None = None


class StorageReport(Contract):
    """What the database is: `postgresql`, `timescaledb-apache` or `timescaledb-community`, and what it holds."""

    database: str
    server_version: str
    extension_version: str | None
    series: list[SeriesStorage]
    roll_ups_waiting: int
    roll_ups_waiting_since: UtcDatetime | None
    policies: list[PolicyRun]
