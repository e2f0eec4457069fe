import asyncio

import pytest

from shared.tasks import finish, stop

pytestmark = pytest.mark.unit


async def test_a_task_that_loses_a_cancellation_is_stopped_all_the_same() -> None:
    lost = 0

    async def careless() -> None:
        nonlocal lost
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                lost += 1
                if lost == 3:
                    raise

    task = asyncio.create_task(careless())
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await stop(task)
    assert task.cancelled()
    assert lost == 3


async def test_what_a_task_failed_with_is_not_lost() -> None:
    async def failing() -> None:
        raise RuntimeError("it failed")

    task = asyncio.create_task(failing())
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="it failed"):
        await stop(task)


async def test_a_task_that_ended_needs_no_stop() -> None:
    task = asyncio.create_task(asyncio.sleep(0))
    await task
    await stop(task)


async def test_what_cleans_up_comes_to_its_end_however_often_it_is_cancelled() -> None:
    done = False

    async def clean() -> None:
        nonlocal done
        await asyncio.sleep(0.05)
        done = True

    task = asyncio.create_task(finish(clean()))
    for _ in range(5):
        await asyncio.sleep(0.005)
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done


async def test_what_cleaning_up_failed_with_is_not_lost() -> None:
    async def failing() -> None:
        raise RuntimeError("it failed")

    with pytest.raises(RuntimeError, match="it failed"):
        await finish(failing())
