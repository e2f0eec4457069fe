"""Why a source gave no usable answer."""

from datetime import datetime


class FeedError(Exception):
    """A call to a source failed; it is not tried again at once."""


class Unreachable(FeedError):
    """The source did not answer, or answered that it cannot now, or nothing that can be read; tried again."""


class Throttled(FeedError):
    """The source was asked too often; `retry_after` is for how many seconds it wants to be left alone."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class CircuitOpen(FeedError):
    """The breaker let no call through; `retry_at` is when it will, None while another call probes."""

    def __init__(self, name: str, retry_at: datetime | None) -> None:
        super().__init__(f"the circuit of {name} is open")
        self.retry_at = retry_at


class Unsupported(FeedError):
    """The source does not have what it was asked for."""
