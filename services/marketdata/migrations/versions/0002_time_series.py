"""Time series: hypertables or partitions, earlier revisions, the queue of roll-ups and the roll-ups themselves.

On TimescaleDB the series are hypertables, on plain PostgreSQL partitioned by range of time. The next migration
makes the roll-ups under the same names on both.
"""

import sqlalchemy as sa
from alembic import op

from services.marketdata.core.partitions import partition_of
from shared.timescale import Rung, prepare

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_NAME = 'text COLLATE "C" NOT NULL'
_MONEY = "numeric(28,10)"
_JUDGED = "revision integer NOT NULL, severity smallint NOT NULL, issues jsonb, ts_init timestamptz NOT NULL"
# Of each series: the columns of its key in their order, and those of its data.
_SERIES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "ohlcv_bar": (
        ("scope", "symbol", "interval", "ts", "source"),
        (
            *(f"{name} {_MONEY} NOT NULL" for name in ("open", "high", "low", "close", "volume")),
            f"amount {_MONEY}",
        ),
    ),
    "trade_tick": (
        ("scope", "symbol", "ts", "source", "trade_id"),
        (f"price {_MONEY} NOT NULL", f"quantity {_MONEY} NOT NULL", "aggressor text"),
    ),
    "order_book_snapshot": (
        ("scope", "symbol", "ts", "source", "sequence"),
        ("previous_sequence bigint", "bids jsonb NOT NULL", "asks jsonb NOT NULL"),
    ),
    "funding_rate": (
        ("scope", "symbol", "ts", "source"),
        (f"rate {_MONEY} NOT NULL", "interval_hours smallint NOT NULL", f"mark_price {_MONEY}"),
    ),
    "liquidation_event": (
        ("scope", "symbol", "ts", "source", "liquidation_id"),
        ("side text NOT NULL", f"price {_MONEY} NOT NULL", f"quantity {_MONEY} NOT NULL"),
    ),
    "market_state": (
        ("scope", "symbol", "ts", "source"),
        (
            "timestamp timestamptz",
            f"market_state_id {_NAME}",
            *(f"{name} {_MONEY}" for name in ("spot_price", "total_call_oi", "total_put_oi")),
            "option_chain json",
            "content_hash text NOT NULL",
        ),
    ),
}
_KEY_TYPES = {"ts": "timestamptz NOT NULL", "sequence": "bigint NOT NULL"}
# A chunk should fit in a quarter of the memory with those of the other series; books and trades come by the million.
_CHUNK_DAYS = {"trade_tick": 1, "order_book_snapshot": 1, "market_state": 7}
_OTHER_CHUNK_DAYS = 30
_STATES = ("market_state", "market_state_revision")


def upgrade() -> None:
    bind = op.get_bind()
    rung = prepare(bind)
    for table in ("ohlcv_bar", "market_state"):
        op.execute(f"ALTER TABLE marketdata.{table} RENAME TO {table}_0001")
        op.execute(f"ALTER INDEX marketdata.pk_{table} RENAME TO pk_{table}_0001")
    for table, (key, columns) in _SERIES.items():
        _make_series(rung, table, key, columns)
        _make_revisions(table, key, columns)
    for table in _STATES:
        op.create_index(f"ix_{table}_market_state_id", table, ["market_state_id"], schema="marketdata")
    _make_roll_ups()
    _move(bind, rung)
    for table in ("ohlcv_bar", "market_state"):
        op.execute(f"DROP TABLE marketdata.{table}_0001")


def _make_series(rung: Rung, table: str, key: tuple[str, ...], columns: tuple[str, ...]) -> None:
    parts = [*(f'"{name}" {_KEY_TYPES.get(name, _NAME)}' for name in key), *columns, _JUDGED]
    parts.append(f"CONSTRAINT pk_{table} PRIMARY KEY ({', '.join(chr(34) + name + chr(34) for name in key)})")
    body = ", ".join(parts)
    if not rung.hypertables:
        op.execute(f"CREATE TABLE marketdata.{table} ({body}) PARTITION BY RANGE (ts)")
        return
    op.execute(f"CREATE TABLE marketdata.{table} ({body})")
    days = _CHUNK_DAYS.get(table, _OTHER_CHUNK_DAYS)
    # The key serves every read; the index on the time alone that it would make serves none.
    op.execute(
        f"SELECT create_hypertable('marketdata.{table}', by_range('ts', INTERVAL '{days} days'), "
        "create_default_indexes => false)"
    )


def _make_revisions(table: str, key: tuple[str, ...], columns: tuple[str, ...]) -> None:
    parts = [*(f'"{name}" {_KEY_TYPES.get(name, _NAME)}' for name in key), *columns, _JUDGED]
    parts.append("superseded_at timestamptz NOT NULL")
    names = ", ".join(f'"{name}"' for name in (*key, "revision"))
    parts.append(f"CONSTRAINT pk_{table}_revision PRIMARY KEY ({names})")
    op.execute(f"CREATE TABLE marketdata.{table}_revision ({', '.join(parts)})")


def _make_roll_ups() -> None:
    op.execute(f"""
        CREATE TABLE marketdata.roll_up_queue (
            entry_id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_roll_up_queue PRIMARY KEY,
            "of" text NOT NULL, scope {_NAME}, symbol {_NAME}, source {_NAME},
            from_ts timestamptz NOT NULL, to_ts timestamptz NOT NULL, queued_at timestamptz NOT NULL)
    """)
    op.create_index("ix_roll_up_queue_symbol", "roll_up_queue", ["scope", "symbol"], schema="marketdata")
    op.execute(f"""
        CREATE TABLE marketdata.bar_roll_up (
            width text COLLATE "C" NOT NULL, scope {_NAME}, symbol {_NAME}, ts timestamptz NOT NULL, source {_NAME},
            open numeric NOT NULL, high numeric NOT NULL, low numeric NOT NULL, close numeric NOT NULL,
            volume numeric NOT NULL, amount numeric, bars bigint NOT NULL, severity smallint NOT NULL,
            CONSTRAINT pk_bar_roll_up PRIMARY KEY (width, scope, symbol, ts, source))
    """)
    op.execute(f"""
        CREATE TABLE marketdata.volume_roll_up (
            scope {_NAME}, symbol {_NAME}, ts timestamptz NOT NULL, source {_NAME},
            volume numeric NOT NULL, buy_volume numeric NOT NULL, sell_volume numeric NOT NULL,
            notional numeric NOT NULL, trades bigint NOT NULL,
            CONSTRAINT pk_volume_roll_up PRIMARY KEY (scope, symbol, ts, source))
    """)


def _move(bind: sa.Connection, rung: Rung) -> None:
    """Take over what the tables of the migration before hold; states of one moment are revisions of one state."""
    if not rung.hypertables:
        for table in ("ohlcv_bar", "market_state"):
            _make_partitions(bind, table)
    severity = "CASE severity WHEN 'critical' THEN 2 WHEN 'warning' THEN 1 ELSE 0 END"
    issues = "CASE WHEN json_array_length(issues) > 0 THEN issues::jsonb END"
    op.execute(f"""
        INSERT INTO marketdata.ohlcv_bar
            (scope, symbol, "interval", ts, source, open, high, low, close, volume, revision, severity, issues, ts_init)
        SELECT scope, symbol, "interval", ts, source, open, high, low, close, volume, revision, {severity}, {issues},
               ts_init
        FROM marketdata.ohlcv_bar_0001
    """)
    # Nothing else would ever sum them.
    op.execute("""
        INSERT INTO marketdata.roll_up_queue ("of", scope, symbol, source, from_ts, to_ts, queued_at)
        SELECT 'bar', scope, symbol, source, min(ts), max(ts) + INTERVAL '1 microsecond', now()
        FROM marketdata.ohlcv_bar WHERE "interval" = '1m'
        GROUP BY scope, symbol, source, date_trunc('day', ts, 'UTC')
    """)
    columns = (
        "scope, symbol, ts, source, timestamp, market_state_id, spot_price, total_call_oi, total_put_oi, option_chain,"
        " content_hash, revision, severity, issues, ts_init"
    )
    op.execute(f"""
        CREATE TEMPORARY TABLE moved ON COMMIT DROP AS
        SELECT scope, symbol, coalesce(ts, ts_init) AS ts, source, ts AS timestamp, market_state_id, spot_price,
               total_call_oi, total_put_oi, option_chain, content_hash, row_number() OVER following AS revision,
               {severity} AS severity, {issues} AS issues, ts_init, lead(ts_init) OVER following AS superseded_at
        FROM marketdata.market_state_0001
        WINDOW following AS
            (PARTITION BY scope, symbol, coalesce(ts, ts_init), source ORDER BY ts_init, market_state_id)
    """)
    op.execute(
        f"INSERT INTO marketdata.market_state ({columns}) SELECT {columns} FROM moved WHERE superseded_at IS NULL"
    )
    op.execute(
        f"INSERT INTO marketdata.market_state_revision ({columns}, superseded_at) "
        f"SELECT {columns}, superseded_at FROM moved WHERE superseded_at IS NOT NULL"
    )


def _make_partitions(bind: sa.Connection, table: str) -> None:
    query = sa.text(f"SELECT DISTINCT date_trunc('month', coalesce(ts, ts_init)) FROM marketdata.{table}_0001")
    for part in sorted({partition_of(moment) for moment in bind.scalars(query)}, key=lambda part: part.suffix):
        op.execute(f"CREATE TABLE marketdata.{table}_{part.suffix} PARTITION OF marketdata.{table} {part.bounds}")


def downgrade() -> None:
    raise NotImplementedError("revisions and series of other kinds would be lost; restore a backup instead")
