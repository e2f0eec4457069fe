"""What marketdata measures."""

from prometheus_client import Counter, Gauge

ROWS = Counter("marketdata_rows_total", "Rows received, by what became of them.", ["kind", "outcome"])
VERDICTS = Counter("marketdata_verdicts_total", "Rows judged.", ["kind", "severity"])
PUBLISHED = Counter("marketdata_marks_published_total", "Marks sent to risk.")
OUTBOX_AGE = Gauge("marketdata_outbox_waiting", "Marks that wait to be published, as last seen.")
ROLL_UPS_WAITING = Gauge("marketdata_roll_ups_waiting", "Spans of bars and trades whose roll-ups are out of date.")
STREAM_SUBSCRIBERS = Gauge("marketdata_stream_subscribers", "Readers of the stream of marks.")
STREAM_MESSAGES = Counter("marketdata_stream_messages_total", "Messages sent on streams of marks.", ["type"])
STREAM_CONFLATED = Counter(
    "marketdata_stream_conflated_total", "Marks left out for readers that were too slow for each of them."
)
STREAM_CLOSED = Counter("marketdata_stream_closed_total", "Streams of marks that have ended, by why.", ["reason"])
STREAM_RESUMED = Counter(
    "marketdata_stream_resumed_total",
    "Times all readers began again: the start, Redis away, or reading lagged.",
    ["why"],
)
FINDINGS = Gauge("marketdata_monitor_findings", "Live series that a check finds fault with.", ["code", "severity"])
