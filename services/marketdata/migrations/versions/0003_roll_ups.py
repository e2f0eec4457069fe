"""Roll-ups of bars and trades: continuous aggregates on TimescaleDB's community edition, views of tables elsewhere.

Every statement may run again: TimescaleDB makes aggregates outside of transactions, so that a failure in the middle
leaves the first of them.
"""

from alembic import op

from shared.timescale import RUNG, rung_of

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# Name, what it is summed from, its buckets, and how far back and how often its policy refreshes it.
_FINE = ("7 days", "5 minutes", "1 minute")
_COARSE = ("30 days", "1 hour", "10 minutes")
_DAYS = ("60 days", "1 day", "1 hour")
_BARS = (
    ("ohlcv_5m", "ohlcv_bar", "time_bucket('5 minutes', ts)", _FINE),
    ("ohlcv_15m", "ohlcv_5m", "time_bucket('15 minutes', ts)", _FINE),
    ("ohlcv_1h", "ohlcv_5m", "time_bucket('1 hour', ts)", _COARSE),
    # A hierarchy has one origin: hours that start at another minute are made from the bars themselves.
    ("ohlcv_1h_us", "ohlcv_bar", "time_bucket('1 hour', ts, \"offset\" => INTERVAL '30 minutes')", _COARSE),
    ("ohlcv_1h_nse", "ohlcv_bar", "time_bucket('1 hour', ts, \"offset\" => INTERVAL '45 minutes')", _COARSE),
    ("ohlcv_1d", "ohlcv_5m", "time_bucket('1 day', ts)", _DAYS),
    ("ohlcv_1d_nse", "ohlcv_5m", "time_bucket('1 day', ts, 'Asia/Kolkata')", _DAYS),
    ("ohlcv_1d_cn", "ohlcv_5m", "time_bucket('1 day', ts, 'Asia/Shanghai')", _DAYS),
    ("ohlcv_1d_us", "ohlcv_5m", "time_bucket('1 day', ts, 'America/New_York')", _DAYS),
)
_PRICES = "first(open, ts) AS open, max(high) AS high, min(low) AS low, last(close, ts) AS close"
_SUMS = "sum(volume) AS volume, CASE WHEN bool_and(amount IS NOT NULL) THEN sum(amount) END AS amount"
_COLUMNS = "scope, symbol, ts, source, open, high, low, close, volume, amount, bars, severity"
_VOLUMES = """
    sum(quantity) AS volume,
    coalesce(sum(quantity) FILTER (WHERE aggressor = 'buy'), 0) AS buy_volume,
    coalesce(sum(quantity) FILTER (WHERE aggressor = 'sell'), 0) AS sell_volume,
    sum(price * quantity) AS notional, count(*) AS trades
"""
_COMPRESSED_BY = {
    "ohlcv_bar": ('symbol, "interval"', "scope, ts, source"),
    "trade_tick": ("symbol", "scope, ts, source, trade_id"),
    "order_book_snapshot": ("symbol", "scope, ts, source, sequence"),
    "funding_rate": ("symbol", "scope, ts, source"),
    "liquidation_event": ("symbol", "scope, ts, source, liquidation_id"),
    "market_state": ("symbol", "scope, ts, source"),
}


def upgrade() -> None:
    if rung_of(op.get_bind().scalar(RUNG)).aggregates:
        with op.get_context().autocommit_block():
            _aggregates()
            _compression()
    else:
        _views()
    # The A-share morning starts at half past one UTC, its afternoon at five; each half has whole hours of its own.
    op.execute(f"""
        CREATE OR REPLACE VIEW marketdata.ohlcv_1h_cn AS
        SELECT {_COLUMNS} FROM marketdata.ohlcv_1h_us WHERE (ts AT TIME ZONE 'Asia/Shanghai')::time < '12:00'
        UNION ALL
        SELECT {_COLUMNS} FROM marketdata.ohlcv_1h WHERE (ts AT TIME ZONE 'Asia/Shanghai')::time >= '12:00'
    """)


def _aggregates() -> None:
    for name, base, bucket, policy in _BARS:
        raw = base == "ohlcv_bar"
        counted = "count(*)" if raw else "sum(bars)::bigint"
        # One interval only, or what came as minutes and as hours is summed twice; nothing that cannot be trusted.
        chosen = "WHERE \"interval\" = '1m' AND severity < 2" if raw else ""
        _aggregate(
            name,
            f"""
            SELECT scope, symbol, {bucket} AS ts, source, {_PRICES}, {_SUMS}, {counted} AS bars,
                   max(severity) AS severity
            FROM marketdata.{base} {chosen} GROUP BY scope, symbol, {bucket}, source
            """,
            policy,
        )
    bucket = "time_bucket('1 hour', ts)"
    _aggregate(
        "trade_volume_1h",
        f"""
        SELECT scope, symbol, {bucket} AS ts, source, {_VOLUMES}
        FROM marketdata.trade_tick WHERE severity < 2 GROUP BY scope, symbol, {bucket}, source
        """,
        _COARSE,
    )


def _aggregate(name: str, query: str, policy: tuple[str, str, str]) -> None:
    op.execute(f"""
        CREATE MATERIALIZED VIEW IF NOT EXISTS marketdata.{name}
        WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS {query} WITH NO DATA
    """)
    start, end, every = policy
    op.execute(f"""
        SELECT add_continuous_aggregate_policy('marketdata.{name}', start_offset => INTERVAL '{start}',
            end_offset => INTERVAL '{end}', schedule_interval => INTERVAL '{every}', if_not_exists => true)
    """)


def _compression() -> None:
    for table, (segments, order) in _COMPRESSED_BY.items():
        op.execute(f"""
            ALTER TABLE marketdata.{table} SET (timescaledb.enable_columnstore = true,
                timescaledb.segmentby = '{segments}', timescaledb.orderby = '{order}')
        """)
        # Since 2.23 a table may have come with a policy of its own.
        op.execute(f"CALL remove_columnstore_policy('marketdata.{table}', if_exists => true)")
        op.execute(
            f"CALL add_columnstore_policy('marketdata.{table}', after => INTERVAL '7 days', if_not_exists => true)"
        )


def _views() -> None:
    for name, *_ in _BARS:
        op.execute(f"""
            CREATE OR REPLACE VIEW marketdata.{name} AS
            SELECT {_COLUMNS} FROM marketdata.bar_roll_up WHERE width = '{name}'
        """)
    op.execute("""
        CREATE OR REPLACE VIEW marketdata.trade_volume_1h AS
        SELECT scope, symbol, ts, source, volume, buy_volume, sell_volume, notional, trades
        FROM marketdata.volume_roll_up
    """)


def downgrade() -> None:
    raise NotImplementedError("the roll-ups belong to the tables of the migration before")
