"""What the requests of one process share."""

from dataclasses import dataclass

from redis.asyncio import Redis

from shared.auth import Authenticator
from shared.clock import Clock
from shared.database import Database
from shared.settings import AppSettings


@dataclass(frozen=True, slots=True)
class Storage:
    """The connections of a service that keeps data."""

    database: Database
    redis: Redis


@dataclass(frozen=True, slots=True)
class Resources:
    """Settings, clock, authentication, and the storage of services that have one."""

    settings: AppSettings
    clock: Clock
    authenticator: Authenticator
    storage: Storage | None = None

    @property
    def database(self) -> Database:
        """Return the database. Raises RuntimeError in a process without storage."""
        return self._storage().database

    @property
    def redis(self) -> Redis:
        """Return the Redis client. Raises RuntimeError in a process without storage."""
        return self._storage().redis

    def _storage(self) -> Storage:
        if self.storage is None:
            raise RuntimeError("this process was made without a database and Redis")
        return self.storage
