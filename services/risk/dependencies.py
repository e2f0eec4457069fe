"""What risk's routes ask for by annotation."""

from collections.abc import Awaitable, Callable
from typing import Annotated
from urllib.parse import unquote

from fastapi import Depends, Path, Request, Security
from fastapi.security import HTTPAuthorizationCredentials

from services.risk.engine import Engine
from services.risk.firm import Firm
from services.risk.peers import FORWARDED_HEADER
from services.risk.sharding import misdirected, require_own
from shared.auth import ANY_ROLE, BEARER, Principal, Role, note_refusal, require
from shared.problems import BadRequest, Forbidden
from shared.schemas.base import Identifier
from shared.shards import SHARD_HEADER


async def _engine(request: Request) -> Engine:
    found: Engine = request.app.state.engine
    return found


async def of_this_shard(request: Request) -> None:
    """Raise Misdirected where another shard is meant, or has the account that is named."""
    shard = request.app.state.engine.shard
    account_id = request.path_params.get("account_id") or request.query_params.get("account_id")
    if account_id is not None:
        require_own(shard, account_id)
    meant = request.headers.get(SHARD_HEADER)
    if account_id is None and meant is not None and meant != str(shard.number):
        others = {str(number): number for number in shard.others}
        if meant not in others:
            raise BadRequest(f"There is no shard {meant}; this is {shard}")
        raise misdirected(shard, others[meant], "what was asked is for")


async def _firm(request: Request) -> Firm:
    return Firm(
        request.app.state.peers, forwarded=FORWARDED_HEADER in request.headers, meant=SHARD_HEADER in request.headers
    )


def or_peer(*roles: Role) -> Callable[..., Awaitable[Principal]]:
    """Return a dependency that lets these roles pass, and another shard that passes on what one of them asked.

    Such a request is believed only from who holds this service's own key; whoever asked first speaks in it.
    """
    as_caller, as_peer = require(*roles), require(Role.SERVICE)

    async def authorised(
        request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Security(BEARER)]
    ) -> Principal:
        asked_by = request.headers.get(FORWARDED_HEADER)
        if asked_by is None:
            return await as_caller(request, credentials)
        caller = await as_peer(request, credentials)
        if not await request.app.state.peers.is_peer(caller):
            forbidden = Forbidden(f"{FORWARDED_HEADER} is for risk's own shards")
            note_refusal(request, forbidden, caller.subject)
            raise forbidden
        return Principal(unquote(asked_by), caller.roles)

    authorised.__keelson_roles__ = frozenset(roles)  # type: ignore[attr-defined]  # read by create_app: deny by default
    return authorised


FirmDep = Annotated[Firm, Depends(_firm)]
EngineDep = Annotated[Engine, Depends(_engine)]
ReaderDep = Annotated[Principal, Depends(require(*ANY_ROLE))]
TraderDep = Annotated[Principal, Depends(require(Role.TRADER, Role.SERVICE))]
OperatorDep = Annotated[Principal, Depends(require(Role.RISK_OFFICER, Role.ADMIN, Role.SERVICE))]
FirmOperatorDep = Annotated[Principal, Depends(or_peer(Role.RISK_OFFICER, Role.ADMIN, Role.SERVICE))]
AdminDep = Annotated[Principal, Depends(require(Role.ADMIN))]
FirmAdminDep = Annotated[Principal, Depends(or_peer(Role.ADMIN))]
FirmFeederDep = Annotated[Principal, Depends(or_peer(Role.SERVICE, Role.ADMIN))]
FirmTraderDep = Annotated[Principal, Depends(or_peer(Role.TRADER, Role.SERVICE))]
OfficerDep = Annotated[Principal, Depends(require(Role.RISK_OFFICER, Role.ADMIN))]

AccountPath = Annotated[Identifier, Path(description="The account.")]
OrderPath = Annotated[Identifier, Path(description="The order's id as its strategy gave it.")]
StrategyPath = Annotated[Identifier, Path(description="The strategy.")]
SwitchPath = Annotated[Identifier, Path(description="The kill switch.")]
