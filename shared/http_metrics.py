"""What is measured of every request."""

from prometheus_client import CollectorRegistry, Counter, Histogram

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class HttpMetrics:
    """Count requests and time them, by method, status and the route's template: an id in a path makes no new series."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        names = ["method", "handler"]
        self._requests = Counter(
            "http_requests_total", "Requests answered.", [*names, "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "http_request_duration_seconds",
            "Time from a request's head to the end of its answer.",
            names,
            buckets=_BUCKETS,
            registry=self.registry,
        )
        # Looking a series up by its labels costs more than adding to it. Bounded: routes, methods and statuses are.
        self._known: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def observe(self, method: str, handler: str, status: int, seconds: float) -> None:
        """Add one request."""
        key = (method, handler, status)
        series = self._known.get(key)
        if series is None:
            series = (self._requests.labels(method, handler, str(status)), self._seconds.labels(method, handler))
            self._known[key] = series
        series[0].inc()
        series[1].observe(seconds)
