"""What reporting measures."""

from prometheus_client import Counter, Gauge

CURSOR = Gauge("reporting_ledger_seq", "Newest row of a shard's journal in the ledger.", ["shard"])
LAG = Gauge("reporting_ledger_lag_rows", "Journal rows not yet in the ledger, as last seen.", ["shard"])
ROWS = Counter("reporting_journal_rows_total", "Journal rows applied.")
TRADES = Counter("reporting_trades_total", "Trades booked.")
ROLLUPS = Counter("reporting_rollups_total", "Days rolled up.")
SKIPPED = Counter("reporting_journal_rows_skipped_total", "Rows of kinds unknown to this version.", ["kind"])
ERRORS = Counter("reporting_worker_errors_total", "Pages that could not be applied.", ["reason"])
