"""What is measured of sources."""

from prometheus_client import Counter, Gauge, Histogram

from shared.schemas.feeds import SwitchReason

STATE = Gauge("marketdata_feed_state", "1 for the state a source is in.", ["source", "state"])
SCORE = Gauge("marketdata_feed_score", "How far a source can be relied on, 0 to 1.", ["source"])
CIRCUIT = Gauge("marketdata_feed_circuit", "1 for the state a source's circuit breaker is in.", ["source", "state"])
ACTIVE = Gauge("marketdata_feed_active", "1 for the source that is the active one.", ["source"])
PRIORITY = Gauge("marketdata_feed_priority", "Place of a listed source by preference; 0 is preferred.", ["source"])
AGE = Gauge("marketdata_feed_event_age_seconds", "Age of a source's newest event.", ["source"])
SWITCHES = Counter("marketdata_feed_switches_total", "Changes of the active source.", ["reason"])
# From the start: an increase from nothing to one is none to whoever reads a counter.
for _reason in SwitchReason:
    SWITCHES.labels(_reason.value)
CALLS = Counter("marketdata_feed_calls_total", "Calls to a source.", ["source", "outcome"])
CALL_SECONDS = Histogram(
    "marketdata_feed_call_seconds",
    "Time to an answer of a source.",
    ["source"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30),
)
ROWS = Counter("marketdata_feed_rows_total", "Rows of a source that were judged.", ["source"])
BAD_ROWS = Counter("marketdata_feed_bad_rows_total", "Rows of a source that could not be read.", ["source"])
NOT_TAKEN = Counter(
    "marketdata_feed_not_taken_rows_total", "Rows of a source that could not be stored in time.", ["source"]
)


def withdraw() -> None:
    """Say nothing of sources any more: this process does not drive them, and another one may."""
    for gauge in (STATE, SCORE, CIRCUIT, ACTIVE, PRIORITY, AGE):
        gauge.clear()
