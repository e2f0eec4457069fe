"""Kill switches, their acknowledgements, and heartbeats."""

from uuid import uuid4

from services.risk.core.commands import AcknowledgeKill, ActivateKillSwitch, PromiseHeartbeat, ReleaseKillSwitch
from services.risk.core.state import FirmState
from services.risk.engine import Engine
from services.risk.handlers.asking import do
from shared.auth import Principal
from shared.pagination import decode_cursor, encode_cursor
from shared.schemas.base import Page
from shared.schemas.kill_switches import (
    Heartbeat,
    KillAcknowledgement,
    KillReason,
    KillSwitchCreate,
    KillSwitchRelease,
    KillSwitchView,
)


async def activate_kill_switch(engine: Engine, request: KillSwitchCreate, caller: Principal) -> KillSwitchView:
    """Stop a scope; once this returns, nothing in it is approved."""
    command = ActivateKillSwitch(f"ks-{uuid4().hex[:16]}", request, KillReason.MANUAL, caller.subject)
    found: KillSwitchView = await do(engine, command)
    return found


async def release_kill_switch(
    engine: Engine, kill_switch_id: str, request: KillSwitchRelease, caller: Principal
) -> KillSwitchView:
    """Let a scope trade again; with four eyes, once another admin has said so too."""
    command = ReleaseKillSwitch(kill_switch_id, request.reason, caller.subject, engine.four_eyes)
    found: KillSwitchView = await do(engine, command)
    return found


async def acknowledge_kill(
    engine: Engine, kill_switch_id: str, request: KillAcknowledgement, caller: Principal
) -> KillSwitchView:
    """Note that an execution engine has sent the cancels."""
    found: KillSwitchView = await do(engine, AcknowledgeKill(kill_switch_id, request, caller.subject))
    return found


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


async def heartbeat(engine: Engine, strategy_id: str, request: Heartbeat, caller: Principal) -> None:
    """Hear of a strategy; with a timeout it promises to be heard of at least so often from now on."""
    engine.heard(strategy_id)
    if request.timeout_seconds is not None:
        await do(engine, PromiseHeartbeat(strategy_id, request.timeout_seconds, caller.subject))
