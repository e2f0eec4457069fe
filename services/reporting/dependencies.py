"""What reporting's routes ask for by annotation."""

from typing import Annotated

from fastapi import Depends, Query, Request

from services.reporting.store import Filter
from services.reporting.worker import Progress
from shared.auth import ANY_ROLE, Principal, require
from shared.schemas.base import Identifier


async def _progress(request: Request) -> list[Progress]:
    return [worker.progress for worker in request.app.state.workers]


async def _filter(
    account_id: Annotated[Identifier | None, Query(description="Only of this account.")] = None,
    strategy_id: Annotated[Identifier | None, Query(description="Only of this strategy.")] = None,
    simulation_id: Annotated[Identifier | None, Query(description="Only of this simulation.")] = None,
) -> Filter:
    return Filter(account_id, strategy_id, simulation_id)


ProgressDep = Annotated[list[Progress], Depends(_progress)]
FilterDep = Annotated[Filter, Depends(_filter)]
ReaderDep = Annotated[Principal, Depends(require(*ANY_ROLE))]
