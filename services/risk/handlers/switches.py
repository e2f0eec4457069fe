"""Kill switches, their acknowledgements, and heartbeats."""

from uuid import uuid4

from services.risk.alike import messages_of
from services.risk.core.alike import AUTOMATIC, concerns_all
from services.risk.core.commands import AcknowledgeKill, ActivateKillSwitch, PromiseHeartbeat, ReleaseKillSwitch
from services.risk.core.outcome import Refused
from services.risk.engine import Engine
from services.risk.firm import Firm
from services.risk.handlers.asking import do, problem
from services.risk.handlers.elsewhere import require_here
from services.risk.peers import Message
from services.risk.sharding import require_own
from shared.auth import Principal
from shared.problems import Conflict, Unprocessable
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
    """Let a scope trade again; with four eyes, once another admin has said so too.

    Raises Misdirected where another shard has the switch, ShardsUnanswered where that is not known, ShardsUnconfirmed.
    """
    await require_here(engine, firm, kill_switch_id, caller)
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
    """Note that an execution engine has sent the cancels. Raises as `release_kill_switch`."""
    await require_here(engine, firm, kill_switch_id, caller)
    found: KillSwitchView = await do(engine, AcknowledgeKill(kill_switch_id, request, caller.subject))
    if concerns_all(found):
        path = f"/kill-switches/{kill_switch_id}/acknowledgements"
        await firm.carry(Message("POST", path, request, caller.subject), kill_switch_id=kill_switch_id)
    return found


async def _everywhere(engine: Engine, firm: Firm, switch: KillSwitchView) -> KillSwitchAnswer:
    """Bring every shard to where this one is. Raises ShardsUnconfirmed."""
    if not concerns_all(switch):
        return KillSwitchAnswer(**dict(switch), shards=[engine.shard.number])
    answers = await firm.carry(*messages_of(switch), kill_switch_id=switch.kill_switch_id)
    cancelled = switch.cancelled_orders + sum(answer.json()["cancelled_orders"] for answer in answers.values())
    of_all = {**dict(switch), "cancelled_orders": cancelled}
    return KillSwitchAnswer(**of_all, shards=sorted([engine.shard.number, *answers]))


async def heartbeat(engine: Engine, firm: Firm, strategy_id: str, request: Heartbeat, caller: Principal) -> None:
    """Hear of a strategy; with a timeout it promises to be heard of at least so often. Raises ShardsUnconfirmed."""
    engine.heard(strategy_id)
    if request.timeout_seconds is not None:
        await do(engine, PromiseHeartbeat(strategy_id, request.timeout_seconds, caller.subject))
    await firm.carry(Message("POST", f"/strategies/{strategy_id}/heartbeat", request, caller.subject))
