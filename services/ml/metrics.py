"""What ml measures."""

from prometheus_client import Counter, Gauge, Histogram

PREDICTIONS = Counter("keelson_ml_predictions_total", "Predictions scored and stored.", ["model", "version"])
OUT_OF_RANGE = Counter(
    "keelson_ml_out_of_range_total",
    "Predictions with a feature outside the range seen in training.",
    ["model", "version"],
)
SCORE_SECONDS = Histogram(
    "keelson_ml_score_seconds",
    "Time of one row through onnxruntime.",
    buckets=(5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 5e-3, 2.5e-2, 0.1, 1.0),
)
LOADED_MODELS = Gauge("keelson_ml_loaded_models", "Models ready to score.")
INTEGRITY_FAILURES = Counter("keelson_ml_integrity_failures_total", "Stored models refused because they were altered.")
REPLAYS = Counter("keelson_ml_replays_total", "Stored scores recomputed.", ["identical"])
