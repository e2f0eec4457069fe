"""Routes of kill switches."""

from typing import Annotated

from fastapi import APIRouter, Query

from services.risk.dependencies import (
    EngineDep,
    FirmAdminDep,
    FirmDep,
    FirmTraderDep,
    ReaderDep,
    StrategyPath,
    SwitchPath,
)
from services.risk.handlers import elsewhere
from services.risk.handlers import switches as handlers
from shared.pagination import DEFAULT_LIMIT, BadCursor, PageLimit
from shared.problems import Conflict, NotFound, ShardsUnanswered, ShardsUnconfirmed, declare
from shared.schemas.base import Page
from shared.schemas.kill_switches import (
    EmergencyStop,
    Heartbeat,
    KillAcknowledgement,
    KillScope,
    KillSwitchAnswer,
    KillSwitchCreate,
    KillSwitchListed,
    KillSwitchRelease,
    KillSwitchView,
)

router = APIRouter(tags=["kill switches"])
_OF_ONE = declare(NotFound, Conflict, ShardsUnconfirmed, ShardsUnanswered)


@router.get("/kill-switches", responses=declare(BadCursor, ShardsUnanswered))
async def list_kill_switches(
    engine: EngineDep,
    firm: FirmDep,
    caller: ReaderDep,
    active: Annotated[bool | None, Query(description="Only those in force, or only those released.")] = None,
    cursor: str | None = None,
    limit: PageLimit = DEFAULT_LIMIT,
) -> Page[KillSwitchListed]:
    """List kill switches, the newest first: those of all shards, or of the one that X-Keelson-Shard names.

    A switch of the firm is listed once; twice only where it is in force on one shard and released on another. Where a
    shard cannot be asked, the 504 names it and has the page of the others in `items` and `next_cursor`.
    """
    return await elsewhere.list_kill_switches(engine, firm, active, cursor, limit, caller)


@router.get("/kill-switches/{kill_switch_id}", responses=declare(NotFound, Conflict, ShardsUnanswered))
async def get_kill_switch(
    kill_switch_id: SwitchPath, engine: EngineDep, firm: FirmDep, caller: ReaderDep
) -> KillSwitchListed:
    """Return a kill switch, in force or released."""
    return await elsewhere.get_kill_switch(engine, firm, kill_switch_id, caller)


@router.post("/kill-switches", status_code=201, responses=declare(NotFound, Conflict, ShardsUnconfirmed))
async def activate_kill_switch(
    request: KillSwitchCreate, engine: EngineDep, firm: FirmDep, caller: FirmAdminDep
) -> KillSwitchAnswer:
    """Stop the firm, an account, a strategy or a symbol. Once this answers, nothing in it is approved.

    An account or a symbol that does not exist is 404. A strategy that no account has seen is stopped all the same, and
    `known` is false.
    """
    return await handlers.activate_kill_switch(engine, firm, request, caller)


@router.post("/kill-switches/{kill_switch_id}/release", responses=_OF_ONE)
async def release_kill_switch(
    kill_switch_id: SwitchPath, request: KillSwitchRelease, engine: EngineDep, firm: FirmDep, caller: FirmAdminDep
) -> KillSwitchAnswer:
    """Let a stopped scope trade again; with four eyes the first admin asks and another one releases."""
    return await handlers.release_kill_switch(engine, firm, kill_switch_id, request, caller)


@router.post("/kill-switches/{kill_switch_id}/acknowledgements", responses=_OF_ONE)
async def acknowledge_kill(
    kill_switch_id: SwitchPath, request: KillAcknowledgement, engine: EngineDep, firm: FirmDep, caller: FirmTraderDep
) -> KillSwitchView:
    """Report that execution has sent the cancels a switch asked for."""
    return await handlers.acknowledge_kill(engine, firm, kill_switch_id, request, caller)


@router.post("/strategies/{strategy_id}/heartbeat", status_code=204, responses=declare(ShardsUnconfirmed))
async def heartbeat(
    strategy_id: StrategyPath, request: Heartbeat, engine: EngineDep, firm: FirmDep, caller: FirmTraderDep
) -> None:
    """Say that a strategy is alive; with a timeout, it is stopped when it is not heard of for so long."""
    await handlers.heartbeat(engine, firm, strategy_id, request, caller)


@router.post("/emergency-stop", status_code=201, responses=declare(Conflict, ShardsUnconfirmed))
async def emergency_stop(
    request: EmergencyStop, engine: EngineDep, firm: FirmDep, caller: FirmAdminDep
) -> KillSwitchAnswer:
    """Stop the whole firm. Once this answers, nothing is approved until an admin releases it."""
    stop = KillSwitchCreate(scope=KillScope.FIRM, reason=request.reason, kill_switch_id=request.kill_switch_id)
    return await handlers.activate_kill_switch(engine, firm, stop, caller)
