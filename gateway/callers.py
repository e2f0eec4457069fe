"""What the front gets of a caller: its body, and that it is still there."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.types import Receive, Scope

from shared.middleware import drain, too_large

# A body as long as this is taken in before a service is asked; only of a longer one is the beginning passed on.
_KEPT_BYTES = 256 * 1024


class CallerGone(Exception):
    """The caller left, or reads no more: there is nothing to do and nobody to tell."""


async def body_of(scope: Scope, receive: Receive, limit: int) -> bytes | AsyncIterator[bytes]:
    """Return a body once it is whole, a long one as it comes in. Raises PayloadTooLarge and CallerGone.

    No service waits for a caller that has sent next to nothing. A service that refuses a body while it is being sent
    looks to its caller as if it had died: the limit of bytes holds here already.
    """
    announced = dict(scope["headers"]).get(b"content-length", b"")
    if announced.isdigit() and int(announced) > limit:
        await drain(receive, limit)
        raise too_large(limit)
    begun, taken, more = bytearray(), 0, True

    async def part() -> bytes:
        nonlocal taken, more
        message = await receive()
        if message["type"] == "http.disconnect":
            raise CallerGone
        chunk: bytes = message.get("body", b"")
        taken += len(chunk)
        more = message.get("more_body", False)
        if taken > limit:
            if more:
                await drain(receive, limit)
            raise too_large(limit)
        return chunk

    while more:
        begun += await part()
        if len(begun) > _KEPT_BYTES:
            break
    else:
        return bytes(begun)

    async def whole() -> AsyncIterator[bytes]:
        yield bytes(begun)
        while more:
            yield await part()

    return whole()


@asynccontextmanager
async def while_there(receive: Receive) -> AsyncIterator[None]:
    """End what is within once the caller, whose body has come whole, has left. Raises CallerGone."""
    try:
        async with asyncio.timeout(None) as stay:

            async def watch() -> None:
                # Nothing else can come now, and whoever says otherwise is not asked again and again.
                if (await receive())["type"] == "http.disconnect":
                    stay.reschedule(0)

            watching = asyncio.create_task(watch())
            try:
                yield
            finally:
                watching.cancel()
    except TimeoutError:
        if stay.expired():
            raise CallerGone from None
        raise
