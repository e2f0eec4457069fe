"""What marketdata measures."""

from prometheus_client import Counter, Gauge

from services.marketdata.core.catalogue import Subject
from services.marketdata.core.finding import SEVERITIES
from shared.schemas.feeds import BackfillState

# What has labels is there from the start: an increase from nothing to one is none to whoever reads a counter.
ROWS = Counter("marketdata_rows_total", "Rows received, by what became of them.", ["kind", "outcome"])
VERDICTS = Counter("marketdata_verdicts_total", "Rows judged.", ["kind", "severity"])
for _kind in (each.value for each in Subject if each is not Subject.FEED):
    for _outcome in ("stored", "unchanged", "rejected"):
        ROWS.labels(_kind, _outcome)
    for _severity in SEVERITIES:
        VERDICTS.labels(_kind, _severity.value)
PUBLISHED = Counter("marketdata_marks_published_total", "Marks sent to risk.")
OUTBOX_AGE = Gauge("marketdata_outbox_waiting", "Marks that wait to be published, as last seen.")
ROLL_UPS_WAITING = Gauge("marketdata_roll_ups_waiting", "Spans of bars and trades whose roll-ups are out of date.")
STREAM_SUBSCRIBERS = Gauge("marketdata_stream_subscribers", "Readers of the stream of marks.")
STREAM_MESSAGES = Counter("marketdata_stream_messages_total", "Messages sent on streams of marks.", ["type"])
STREAM_CONFLATED = Counter(
    "marketdata_stream_conflated_total", "Marks left out for readers that were too slow for each of them."
)
STREAM_CLOSED = Counter("marketdata_stream_closed_total", "Streams of marks that have ended, by why.", ["reason"])
for _reason in ("left", "slow", "spoke", "unauthenticated", "forbidden", "error", "stopped"):
    STREAM_CLOSED.labels(_reason)
STREAM_RESUMED = Counter(
    "marketdata_stream_resumed_total",
    "Times all readers began again: the start, Redis away, or reading lagged.",
    ["why"],
)
for _why in ("away", "lagged"):
    STREAM_RESUMED.labels(_why)
FINDINGS = Gauge(
    "marketdata_monitor_findings",
    "Live series that a check finds fault with; of the process that watches them alone.",
    ["code", "severity"],
)
BACKFILLS = Counter("marketdata_backfills_total", "Backfills that are over, by how they ended.", ["state"])
for _state in (BackfillState.DONE, BackfillState.FAILED):
    BACKFILLS.labels(_state.value)
WORKED = Gauge(
    "marketdata_work_timestamp_seconds",
    "When each work of the background was last done to its end here, or this process began.",
    ["work"],
)
for _work in (
    "sources", "hours", "backfills", "roll_ups", "retention", "marks",
    "watch_times", "watch_clocks", "watch_prices", "watch_gaps", "watch_volumes",
):  # fmt: skip
    WORKED.labels(_work).set_to_current_time()
