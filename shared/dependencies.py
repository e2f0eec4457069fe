"""What routes ask for by annotation."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import HTTPConnection

from shared.clock import Clock
from shared.resources import Resources


async def resources(request: HTTPConnection) -> Resources:
    """Return what the process shares."""
    found: Resources = request.app.state.resources
    return found


ResourcesDep = Annotated[Resources, Depends(resources)]


async def _clock(shared: ResourcesDep) -> Clock:
    return shared.clock


async def _redis(shared: ResourcesDep) -> Redis:
    return shared.redis


async def _session(shared: ResourcesDep) -> AsyncIterator[AsyncSession]:
    async with shared.database.session() as session:
        yield session


ClockDep = Annotated[Clock, Depends(_clock)]
RedisDep = Annotated[Redis, Depends(_redis)]
# The scope makes the commit happen before the response is sent: a failed commit is never a 200.
SessionDep = Annotated[AsyncSession, Depends(_session, scope="function")]
