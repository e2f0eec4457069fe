"""Kill switches, their acknowledgements, and heartbeats."""

from uuid import uuid4

from services.risk.alike import messages_of
from services.risk.core.alike import AUTOMATIC, concerns_all
from services.risk.core.commands import AcknowledgeKill, ActivateKillSwitch, PromiseHeartbeat, ReleaseKillSwitch
from services.risk.core.outcome import Refused
from services.risk.core.state import FirmState
from services.risk.engine import Engine
from services.risk.handlers.asking import do, problem
from services.risk.peers import Firm, Message
from services.risk.sharding import require_own
from shared.auth import Principal
from shared.pagination import decode_cursor, encode_cursor
from shared.problems import Conflict, Unprocessable
from shared.schemas.base import Page
from shared.schemas.kill_switches import (
    Heartbeat,
    KillAcknowledgement,
    KillReason,
    KillScope,
    KillSwitchAnswer,
    KillSwitchCreate,
    KillSwitchRelease,
    KillSwitchView,
)


async def activate_kill_switch(
    engine: Engine, firm: Firm, request: KillSwitchCreate, caller: Principal
) -> KillSwitchAnswer:
    """Stop a scope; once this returns, nothing in it is approved on any shard.

    Here first: a stop never waits for another shard. Raises ShardsUnconfirmed, and goes on telling those it names.
    """
    if request.scope is KillScope.ACCOUNT:
        require_own(engine.shard, request.target or "")
    given = request.kill_switch_id
    if given is not None and given.startswith(AUTOMATIC) and not firm.forwarded:
        raise Unprocessable(f"{AUTOMATIC} begins the names of switches that risk pulls itself")
    kill_switch_id = given or f"ks-{uuid4().hex[:16]}"
    command = ActivateKillSwitch(kill_switch_id, request, KillReason.MANUAL, caller.subject)
    switch: KillSwitchView = await do(engine, command)
    if switch.released_at is not None or (switch.scope, switch.target) != (request.scope, request.target):
        # Answered as if it stopped something, it would stop nothing.
        raise Conflict(f"kill switch {kill_switch_id} is another one, or was released; give it another name")
    return await _everywhere(engine, firm, switch)


async def release_kill_switch(
    engine: Engine, firm: Firm, kill_switch_id: str, request: KillSwitchRelease, caller: Principal
) -> KillSwitchAnswer:
    """Let a scope trade again; with four eyes, once another admin has said so too. Raises ShardsUnconfirmed."""
    command = ReleaseKillSwitch(kill_switch_id, request.reason, caller.subject, engine.four_eyes)
    found: KillSwitchView | Refused = await engine.submit(command)
    if isinstance(found, Refused):
        held = await engine.read(lambda state: state.kill_switches.get(kill_switch_id))
        said = held is not None and (held.released_at is not None or held.release_requested_by == caller.subject)
        if held is None or not (firm.forwarded and said):
            raise problem(found)
        # Another shard says again what is so already.
        found = held
    return await _everywhere(engine, firm, found)


async def acknowledge_kill(
    engine: Engine, firm: Firm, kill_switch_id: str, request: KillAcknowledgement, caller: Principal
) -> KillSwitchView:
    """Note that an execution engine has sent the cancels. Raises ShardsUnconfirmed."""
    found: KillSwitchView = await do(engine, AcknowledgeKill(kill_switch_id, request, caller.subject))
    if concerns_all(found):
        path = f"/kill-switches/{kill_switch_id}/acknowledgements"
        await firm.carry(Message("POST", path, request, caller.subject), kill_switch_id=kill_switch_id)
    return found


async def _everywhere(engine: Engine, firm: Firm, switch: KillSwitchView) -> KillSwitchAnswer:
    """Bring every shard to where this one is. Raises ShardsUnconfirmed."""
    shards = [engine.shard.number]
    if concerns_all(switch):
        shards = await firm.carry(*messages_of(switch), kill_switch_id=switch.kill_switch_id)
    return KillSwitchAnswer(**dict(switch), shards=shards)


async def list_kill_switches(
    engine: Engine, active: bool | None, cursor: str | None, limit: int
) -> Page[KillSwitchView]:
    """Return kill switches, the newest first."""
    before = int(decode_cursor(cursor, seq=int)["seq"]) if cursor else None

    def page(state: FirmState) -> Page[KillSwitchView]:
        chosen = [
            switch
            for switch in sorted(state.kill_switches.values(), key=lambda each: -each.seq)
            if (before is None or switch.seq < before) and (active is None or (switch.released_at is None) is active)
        ]
        following = encode_cursor({"seq": chosen[limit - 1].seq}) if len(chosen) > limit else None
        return Page(items=chosen[:limit], next_cursor=following)

    return await engine.read(page)


async def heartbeat(engine: Engine, firm: Firm, strategy_id: str, request: Heartbeat, caller: Principal) -> None:
    """Hear of a strategy; with a timeout it promises to be heard of at least so often. Raises ShardsUnconfirmed."""
    engine.heard(strategy_id)
    if request.timeout_seconds is not None:
        await do(engine, PromiseHeartbeat(strategy_id, request.timeout_seconds, caller.subject))
    await firm.carry(Message("POST", f"/strategies/{strategy_id}/heartbeat", request, caller.subject))
