"""What waits for the engine: whole jobs, bounded by what they take to carry out."""

import asyncio

import pytest

from services.risk.core.commands import PassTime
from services.risk.inbox import Inbox, Job
from shared.problems import DependencyUnavailable

pytestmark = pytest.mark.unit


def opened(most: int) -> Inbox:
    found = Inbox(most, "starting")
    found.closed = None
    return found


def put(inbox: Inbox, *sizes: int) -> list[Job]:
    return [inbox.put(tuple(PassTime() for _ in range(size))) for size in sizes]


async def test_jobs_come_whole_and_in_their_sequence() -> None:
    inbox = opened(100)
    first, second, third, fourth = put(inbox, 3, 4, 2, 90)
    assert await inbox.next(8, 1) == [first, second]
    assert await inbox.next(8, 1) == [third]
    assert await inbox.next(8, 1) == [fourth], "the first is taken however much it is"
    assert await inbox.next(8, 0.01) == []


async def test_a_question_takes_one_place() -> None:
    inbox = opened(2)
    put(inbox, 1)
    inbox.put(lambda state: state.last_seq)
    with pytest.raises(DependencyUnavailable, match="too many commands"):
        inbox.put(lambda state: state.last_seq)


async def test_what_was_taken_makes_room() -> None:
    inbox = opened(5)
    put(inbox, 5)
    with pytest.raises(DependencyUnavailable):
        put(inbox, 1)
    await inbox.next(5, 1)
    put(inbox, 3, 2)


async def test_more_than_there_is_room_for_is_taken_where_nothing_waits() -> None:
    inbox = opened(5)
    put(inbox, 500)
    with pytest.raises(DependencyUnavailable):
        put(inbox, 1)


async def test_closed_it_takes_nothing_and_leaves_nobody_waiting() -> None:
    inbox = opened(10)
    waiting = put(inbox, 2, 3)
    inbox.close("the database is away")
    for each in waiting:
        with pytest.raises(DependencyUnavailable, match="the database is away"):
            await each.done
    with pytest.raises(DependencyUnavailable, match="the database is away"):
        put(inbox, 1)
    inbox.closed = None
    put(inbox, 10)


async def test_it_wakes_whoever_waits_for_a_job() -> None:
    inbox = opened(10)
    waiting = asyncio.ensure_future(inbox.next(10, 5))
    await asyncio.sleep(0)
    (job,) = put(inbox, 1)
    assert await waiting == [job]


async def test_a_reader_that_is_stopped_loses_no_job() -> None:
    inbox = opened(10)
    waiting = asyncio.ensure_future(inbox.next(10, 5))
    await asyncio.sleep(0)
    (job,) = put(inbox, 1)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert await inbox.next(10, 0.01) == [job]
