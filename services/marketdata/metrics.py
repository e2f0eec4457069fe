"""What marketdata measures."""

from prometheus_client import Counter, Gauge

ROWS = Counter("marketdata_rows_total", "Rows received, by what became of them.", ["kind", "outcome"])
VERDICTS = Counter("marketdata_verdicts_total", "Rows judged.", ["kind", "severity"])
PUBLISHED = Counter("marketdata_marks_published_total", "Marks sent to risk.")
OUTBOX_AGE = Gauge("marketdata_outbox_waiting", "Marks that wait to be published, as last seen.")
