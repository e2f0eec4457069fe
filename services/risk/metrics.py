"""What risk measures, beside `gauges`. The names are an interface: boards and alerts are built on them."""

from prometheus_client import Counter, Gauge, Histogram

from shared.schemas.decisions import Verdict
from shared.schemas.kill_switches import KillReason, KillScope

ORDERS = Counter("trading_orders_total", "Orders decided.", ["decision"])
# From the start: an increase from nothing to one is none to whoever reads a counter.
for _verdict in Verdict:
    ORDERS.labels(_verdict)
REJECTED = Counter("trading_orders_rejected_total", "Reasons orders were denied for.", ["reason"])
FILLS = Counter("trading_fills_total", "Executions booked.")
OVERFILLS = Counter("trading_overfills_total", "Executions of more than was left of their order.")
KILL_SWITCHES = Gauge("risk_kill_switch_active", "Kill switches in force.", ["scope"])
KILL_ACTIVATIONS = Counter(
    "risk_kill_switch_activations_total",
    "Kill switches pulled, by scope and kind; SYSTEM_ERROR of a STRATEGY is a heartbeat that stopped.",
    ["scope", "kind"],
)
for _scope in KillScope:
    for _kind in KillReason:
        KILL_ACTIVATIONS.labels(_scope, _kind)
UNACKNOWLEDGED = Gauge(
    "risk_kill_switch_unacknowledged", "Kill switches whose cancels no execution engine has acknowledged in time."
)
SHARD_UNCONFIRMED = Gauge(
    "risk_shard_unconfirmed",
    "Kill switches, and releases of them, that another shard has not confirmed; it goes on being told.",
    ["peer"],
)
LEADER = Gauge("risk_is_leader", "1 while this process leads and may approve.")
COMPILED = Gauge("risk_core_compiled", "1 where decisions are taken in machine code, which `keelson compile` makes.")
MISMATCH = Gauge("risk_configuration_mismatch", "1 on a standby whose build or configuration is not the leader's.")
MARKS_RECEIVED = Counter(
    "risk_marks_received_total", "Marks taken off the stream of marketdata, whatever they changed."
)
QUEUE = Gauge("risk_queue_used_ratio", "Share of the engine's queue that is taken; at 1 callers get 503.")
JOURNAL_SEQ = Gauge("risk_journal_seq", "Newest durable row of the journal.")
COMMIT_SECONDS = Histogram(
    "risk_journal_commit_seconds",
    "Time of one journal commit.",
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0),
)
COMMIT_FAILURES = Counter(
    "risk_journal_commit_failures_total", "Commits that PostgreSQL did not confirm; their outcome is unknown."
)
BATCH_SIZE = Histogram(
    "risk_journal_batch_size", "Rows committed together.", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
)
DECISION_SECONDS = Histogram(
    "risk_decision_seconds",
    "Time to decide on one command in memory.",
    buckets=(5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 5e-3, 2.5e-2, 0.1),
)
REBUILDS = Counter("risk_rebuilds_total", "Times the state was rebuilt from the journal.")
SNAPSHOT_SEQ = Gauge("risk_snapshot_seq", "Row of the journal the newest snapshot was taken at.")
SNAPSHOT_FAILURES = Counter("risk_snapshot_failures_total", "Snapshots that could not be made, or not be used.")
CHECKPOINT_SEQ = Gauge("risk_checkpoint_seq", "Newest row of the journal that a signed checkpoint names.")
CHECKPOINT_TIME = Gauge("risk_checkpoint_timestamp_seconds", "When the newest signed checkpoint was made.")
CHECKPOINT_FAILURES = Counter("risk_checkpoint_failures_total", "Checkpoints that could not be written.")
CHECKPOINT_BROKEN = Gauge("risk_checkpoint_broken", "1 while the journal or the checkpoints are not what was signed.")
HISTORY_DROPPED = Counter("risk_history_dropped_total", "Moments of accounts that the history lacks.")
