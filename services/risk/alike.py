"""See to it that kill switches are the same on every shard, whatever was down when they were pulled or released."""

import asyncio
from collections.abc import Mapping

from pydantic import ValidationError

from services.risk.core.alike import concerns_all, owed
from services.risk.core.commands import ActivateKillSwitch
from services.risk.core.state import FirmState
from services.risk.engine import Engine
from services.risk.metrics import SHARD_UNCONFIRMED
from services.risk.peers import Message, Peers
from shared.logging import Category, get_trading_logger
from shared.problems import DependencyUnavailable
from shared.schemas.base import Page
from shared.schemas.kill_switches import (
    KillReductions,
    KillSwitchCreate,
    KillSwitchListed,
    KillSwitchRelease,
    KillSwitchView,
)

_LOG = get_trading_logger("keelson.risk.shards", Category.RISK)
_LOOK_SECONDS = 1.0
_AGAIN_SECONDS = 0.5
# A takeover waits for it: well within the time after which a leader counts as hung.
_LEARN_SECONDS = 0.3
# Those in force on another shard, by id. Of a shard that was never heard, all that is in force here is owed.
_Seen = Mapping[str, KillSwitchView]


async def keep_alike(engine: Engine, peers: Peers) -> None:
    """Compare with each other shard, and tell it what it lacks; for ever, whatever fails.

    What is owed follows from the journal, so that a restart forgets nothing of it.
    """
    if peers.shard.of > 1:
        await asyncio.gather(*(_keep(engine, peers, number) for number in peers.shard.others))


async def stops_elsewhere(peers: Peers) -> list[ActivateKillSwitch]:
    """Return what stops the firm on the other shards, as far as they say so at once.

    A shard that was away when a switch was pulled learns of it before it decides on anything.
    """
    found = await asyncio.gather(*(_at_once(peers, number) for number in peers.shard.others))
    switches = {each.kill_switch_id: each for seen in found for each in seen.values() if concerns_all(each)}
    return [
        ActivateKillSwitch(name, _pulled(each), each.kind, each.activated_by, each.reductions)
        for name, each in switches.items()
    ]


async def _at_once(peers: Peers, number: int) -> _Seen:
    try:
        async with asyncio.timeout(_LEARN_SECONDS):
            return await _look(peers, number) or {}
    except TimeoutError:
        return {}


async def _keep(engine: Engine, peers: Peers, number: int) -> None:
    seen: _Seen = {}
    missing = 0
    while True:
        try:
            if await engine.problem() is None:
                looked = await _look(peers, number)
                # Of a shard that does not say, what it said last holds.
                seen = seen if looked is None else looked
                missing = await _settle(engine, peers, number, seen)
            else:
                # Whoever leads tells.
                missing = 0
        except DependencyUnavailable:
            pass
        except Exception:  # whatever it is, a task that ends for ever leaves a shard that was never told
            _LOG.exception("kill switches of another shard could not be compared", shard=number)
        SHARD_UNCONFIRMED.labels(str(number)).set(missing)
        await _pause(peers, _AGAIN_SECONDS if missing else _LOOK_SECONDS)


async def _pause(peers: Peers, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await peers.changed.wait()
    except TimeoutError:
        return
    peers.changed.clear()


async def _look(peers: Peers, number: int) -> _Seen | None:
    """Return the switches in force on another shard by id, None where it does not say."""
    found: dict[str, KillSwitchView] = {}
    cursor = ""
    while True:
        answer = await peers.ask(
            number, Message("GET", f"/kill-switches?active=true&limit=500{cursor}", None, "engine")
        )
        if isinstance(answer, str) or not answer.is_success:
            return None
        try:
            page = Page[KillSwitchListed].model_validate_json(answer.content)
        except ValidationError:
            return None
        found |= {each.kill_switch_id: each for each in page.items}
        if page.next_cursor is None:
            return found
        cursor = f"&cursor={page.next_cursor}"


async def _settle(engine: Engine, peers: Peers, number: int, seen: _Seen) -> int:
    """Tell another shard what it lacks; return how much of that it has not confirmed."""

    def question(state: FirmState) -> list[KillSwitchView]:
        return owed(state.kill_switches.values(), seen)

    missing = 0
    for switch in await engine.read(question):
        why = await peers.tell_one(number, messages_of(switch))
        if not isinstance(why, str):
            _LOG.info("another shard caught up with a kill switch", shard=number, kill_switch_id=switch.kill_switch_id)
        else:
            missing += 1
            _LOG.debug("a shard lacks a kill switch", shard=number, kill_switch_id=switch.kill_switch_id, why=why)
    return missing


def messages_of(switch: KillSwitchView) -> list[Message]:
    """Return what brings another shard to where this one is; each again changes nothing."""
    release = KillSwitchRelease(reason=switch.release_reason or switch.reason)
    path = f"/kill-switches/{switch.kill_switch_id}/release"
    # With four eyes each of the two says it there as here.
    releasing = [
        Message("POST", path, release, by) for by in (switch.release_requested_by, switch.released_by) if by is not None
    ]
    if switch.released_at is not None:
        return releasing
    return [Message("POST", "/kill-switches", _pulled(switch), switch.activated_by), *releasing]


def _pulled(switch: KillSwitchView) -> KillSwitchCreate:
    return KillSwitchCreate(
        kill_switch_id=switch.kill_switch_id,
        scope=switch.scope,
        target=switch.target,
        reason=switch.reason,
        allow_reducing=switch.reductions is KillReductions.ALL,
    )
