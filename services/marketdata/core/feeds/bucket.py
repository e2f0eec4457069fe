"""A token bucket: how long the next call has to wait."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Bucket:
    """`rate` tokens come in a second, up to `burst`; `tokens` were there at `at`, and it is shut until `shut_until`."""

    rate: float
    burst: float
    tokens: float
    at: datetime
    shut_until: datetime | None = None

    def take(self, now: datetime) -> tuple["Bucket", float]:
        """Return the bucket with one token less, and the seconds to wait for it.

        The token is owed from now on: whoever asks next waits behind this one.
        """
        passed = max(0.0, (now - self.at).total_seconds())
        tokens = min(self.burst, self.tokens + passed * self.rate) - 1
        wait = max(0.0, -tokens / self.rate)
        if self.shut_until is not None:
            wait = max(wait, (self.shut_until - now).total_seconds())
        return replace(self, tokens=tokens, at=max(now, self.at)), wait

    def shut(self, now: datetime, seconds: float) -> "Bucket":
        """Return the bucket closed for so long, as a source asked for by Retry-After."""
        until = now + timedelta(seconds=seconds)
        return replace(self, shut_until=max(until, self.shut_until or until))


def full(rate: float, burst: float, now: datetime) -> Bucket:
    """Return a full bucket; `rate` in tokens a second, `burst` at least 1."""
    if rate <= 0 or burst < 1:
        raise ValueError("a bucket needs a rate above 0 and room for a token")
    return Bucket(rate, burst, burst, now)
