"""Background tasks of a process."""

import asyncio
from collections.abc import Coroutine
from typing import Any


async def stop(task: asyncio.Task[Any]) -> None:
    """Cancel a task until it ends. Raises what it failed with.

    Asking once is not enough: `asyncio.wait_for` of Python 3.11, with which redis-py sends, loses a cancellation
    that comes in the moment its work is done, and the task goes on for ever.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=0.1)
    if not task.cancelled():
        task.result()


async def finish(work: Coroutine[Any, Any, None]) -> None:
    """Do what cleans up to its end, though whoever awaits it is cancelled meanwhile, as `stop` does again and again.

    Raises what it failed with, and the cancellation once it is done.
    """
    task = asyncio.create_task(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    task.result()
    if cancelled is not None:
        raise cancelled
