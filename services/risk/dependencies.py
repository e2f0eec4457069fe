"""What risk's routes ask for by annotation."""

from typing import Annotated

from fastapi import Depends, Path, Request, Response

from services.risk.engine import Engine
from services.risk.sharding import misdirected, require_own
from shared.auth import ANY_ROLE, Principal, Role, require
from shared.problems import BadRequest
from shared.schemas.base import Identifier
from shared.shards import SHARD_HEADER


async def _engine(request: Request) -> Engine:
    found: Engine = request.app.state.engine
    return found


async def of_this_shard(request: Request, response: Response) -> None:
    """Say which shard answers. Raises Misdirected where another one is meant, or has the account that is named."""
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
    response.headers[SHARD_HEADER] = str(shard.number)


EngineDep = Annotated[Engine, Depends(_engine)]
ReaderDep = Annotated[Principal, Depends(require(*ANY_ROLE))]
TraderDep = Annotated[Principal, Depends(require(Role.TRADER, Role.SERVICE))]
OperatorDep = Annotated[Principal, Depends(require(Role.RISK_OFFICER, Role.ADMIN, Role.SERVICE))]
OfficerDep = Annotated[Principal, Depends(require(Role.RISK_OFFICER, Role.ADMIN))]
AdminDep = Annotated[Principal, Depends(require(Role.ADMIN))]
FeederDep = Annotated[Principal, Depends(require(Role.SERVICE, Role.ADMIN))]

AccountPath = Annotated[Identifier, Path(description="The account.")]
OrderPath = Annotated[Identifier, Path(description="The order's id as its strategy gave it.")]
StrategyPath = Annotated[Identifier, Path(description="The strategy.")]
SwitchPath = Annotated[Identifier, Path(description="The kill switch.")]
