"""What waits for the engine: whole jobs, bounded by what they take to carry out."""

import asyncio

import pytest

from services.risk.core.commands import ActivateKillSwitch, PassTime
from services.risk.inbox import Inbox, Job
from shared.problems import DependencyUnavailable
from shared.schemas.kill_switches import KillReason, KillScope, KillSwitchCreate

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


def stop(inbox: Inbox) -> Job:
    request = KillSwitchCreate(scope=KillScope.FIRM, reason="testing")
    return inbox.put((ActivateKillSwitch("k", request, KillReason.MANUAL, "ada"),))


async def test_stops_go_before_all_that_waits_in_their_own_sequence() -> None:
    inbox = opened(100)
    first, second = put(inbox, 3, 4)
    question = inbox.put(lambda state: state.last_seq)
    stops = [stop(inbox), stop(inbox)]
    assert await inbox.next(5, 1) == [*stops, first]
    third = stop(inbox)
    assert await inbox.next(10, 1) == [third, second, question]


async def test_a_full_queue_takes_stops_and_they_take_no_place() -> None:
    inbox = opened(5)
    waiting = put(inbox, 5)
    with pytest.raises(DependencyUnavailable):
        put(inbox, 1)
    stops = [stop(inbox) for _ in range(1_000)]
    with pytest.raises(DependencyUnavailable, match="too many stops"):
        stop(inbox)
    assert await inbox.next(1_005, 1) == stops + waiting
    stops = [stop(inbox)]
    assert await inbox.next(1, 1) == stops
    put(inbox, 5)


async def test_what_is_put_back_comes_first_again_and_takes_what_is_left_of_it() -> None:
    inbox = opened(10)
    pulled = stop(inbox)
    first, second, third = put(inbox, 6, 2, 2)
    assert await inbox.next(8, 1) == [pulled, first]
    first.found += [None] * 4
    inbox.put_back([pulled, first])
    (fourth,) = put(inbox, 4)
    with pytest.raises(DependencyUnavailable):
        put(inbox, 1)
    assert await inbox.next(100, 1) == [pulled, first, second, third, fourth]
    inbox.put_back([first, second])
    inbox.close("over")
    for each in (first, second):
        with pytest.raises(DependencyUnavailable, match="over"):
            await each.done


async def test_it_wakes_whoever_waits_for_a_stop() -> None:
    inbox = opened(10)
    waiting = asyncio.ensure_future(inbox.next(10, 5))
    await asyncio.sleep(0)
    pulled = stop(inbox)
    assert await waiting == [pulled]


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
