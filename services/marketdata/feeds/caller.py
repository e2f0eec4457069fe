"""One call to a source: its turn, the breaker's leave, a time limit, retries, and a record of how it went."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic
from typing import TypeVar

import stamina

from services.marketdata.core.feeds.bucket import full
from services.marketdata.feeds.errors import FeedError, Throttled, Unreachable, Unsupported
from services.marketdata.feeds.source import Source
from shared.clock import Clock
from shared.logging import Category, get_trading_logger

_LOG = get_trading_logger("keelson.marketdata.feeds", Category.MARKET_DATA)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CallPolicy:
    """Limits of the calls to one source; times in seconds.

    A call may take `seconds` and is tried `attempts` times; `rate` calls a second pass, `burst` at once.
    """

    seconds: float = 30.0
    attempts: int = 3
    wait_initial: float = 0.2
    wait_most: float = 5.0
    rate: float = 5.0
    burst: int = 10


class Caller:
    """Makes the calls to one source, and tells its breaker and record what came of each."""

    def __init__(self, source: Source, clock: Clock, policy: CallPolicy | None = None) -> None:
        self._source = source
        self._clock = clock
        self._policy = policy or CallPolicy()
        self._bucket = full(self._policy.rate, self._policy.burst, clock.now())

    async def call(self, work: Callable[[], Awaitable[T]]) -> T:
        """Return what a call gives, tried again where the source was unreachable. Raises FeedError."""
        policy = self._policy
        async for attempt in stamina.retry_context(
            on=Unreachable,
            attempts=policy.attempts,
            timeout=None,
            wait_initial=policy.wait_initial,
            wait_max=policy.wait_most,
            wait_jitter=policy.wait_initial,
        ):
            with attempt:
                return await self._once(work)
        raise AssertionError("stamina ends with an answer or an error")

    def broke(self, error: Exception) -> FeedError:
        """Take in that a stream ended with an error, and return what it means."""
        found = self._as_feed_error(error)
        self._source.failed(self._source.present(), self._clock.now(), 0.0, str(found), _jitter())
        return found

    async def _once(self, work: Callable[[], Awaitable[T]]) -> T:
        self._bucket, wait = self._bucket.take(self._clock.now())
        if wait > 0:
            await asyncio.sleep(wait)
        source, began = self._source, monotonic()
        permit = source.permit(self._clock.now())
        try:
            async with asyncio.timeout(self._policy.seconds):
                result = await work()
        except asyncio.CancelledError:
            source.given_up(permit)
            raise
        except Exception as error:
            found = self._as_feed_error(error)
            now = self._clock.now()
            if isinstance(found, Throttled):
                self._bucket = self._bucket.shut(now, found.retry_after)
            if isinstance(found, Unsupported):
                # Asked for what it does not have, a source is none the worse for it.
                source.given_up(permit)
            else:
                source.failed(permit, now, monotonic() - began, str(found), _jitter())
            raise found from error
        source.succeeded(permit, self._clock.now(), monotonic() - began)
        return result

    def _as_feed_error(self, error: Exception) -> FeedError:
        if isinstance(error, FeedError):
            return error
        if isinstance(error, TimeoutError):
            return Unreachable(f"{self._source.name} gave no answer within {self._policy.seconds:g} s")
        # A connector raises FeedErrors alone: whatever else comes is a fault of its own, and must not end the feed.
        _LOG.exception("a connector failed", source=self._source.name)
        return FeedError(f"{type(error).__name__}: {error}")


def _jitter() -> float:
    # It spreads the load; nothing is to be guessed by it.
    return random.random()  # noqa: S311
