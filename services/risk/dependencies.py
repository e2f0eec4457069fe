"""What risk's routes ask for by annotation."""

from typing import Annotated

from fastapi import Depends, Path, Request

from services.risk.engine import Engine
from shared.auth import ANY_ROLE, Principal, Role, require
from shared.schemas.base import Identifier


async def _engine(request: Request) -> Engine:
    found: Engine = request.app.state.engine
    return found


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
