"""Background tasks of a process."""

import asyncio
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
