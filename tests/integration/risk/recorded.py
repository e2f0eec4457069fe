"""What was kept of accounts: asked for, waited for, and made by a keeper of the test's own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from services.risk.history import HistoryKeeper
from shared.database import Database
from shared.roles import Role
from shared.tasks import stop
from tests.integration.risk.client import RiskClient, until

WIDE = {
    "price_collar_bps": 0,
    "max_position_fraction": 0.5,
    "max_asset_class_fraction": 2,
    "kill_margin": None,
    "max_mark_age_seconds": 3600,
}


async def points(risk: RiskClient, path: str = "risk-history", account: str = "main", **query: Any) -> Any:
    response = await risk.http.get(
        f"/api/v1/risk/accounts/{account}/{path}", params=query, headers=risk.auth(Role.VIEWER)
    )
    assert response.is_success, response.text
    return response.json()["items"]


async def has(risk: RiskClient, count: int, reason: str | None = None, **query: Any) -> None:
    async def there() -> bool:
        found = await points(risk, **query)
        return len([each for each in found if reason in (None, each["reason"])]) >= count

    await until(there)


async def buy(risk: RiskClient, quantity: str, name: str = "o1") -> None:
    assert (await risk.order(name, quantity))["decision"] == "APPROVED"
    await risk.fill(name, f"t-{name}", quantity)


async def kept_at(risk: RiskClient, moment: datetime, account: str = "main") -> None:
    """Wait for the point of a minute that a clock set by hand has come to."""

    async def there() -> bool:
        return moment in minutes_of(await points(risk, account=account))

    await until(there)


def minutes_of(found: Any) -> list[datetime]:
    return [datetime.fromisoformat(each["ts"]) for each in found if each["reason"] == "minute"]


def soon() -> datetime:
    """Return a moment early in a minute, and after any mark that the machine's clock stamps now."""
    return datetime.now(UTC).replace(second=5, microsecond=0) + timedelta(minutes=1)


async def set_scenarios(risk: RiskClient) -> None:
    drawn = np.random.default_rng(3).normal(size=(2, 300)) * 0.02
    returns = {"STOCK": list(drawn[0]), "OTHER": list(drawn[1] - drawn[0] / 2)}
    await risk.ok("PUT", "/scenarios", {"name": "drawn", "returns": returns}, Role.RISK_OFFICER)


@asynccontextmanager
async def keeping(risk: RiskClient, database_url: str, **options: Any) -> AsyncIterator[HistoryKeeper]:
    """Another keeper on the engine of a running service, with what the test wants of it."""
    database = Database(database_url, application_name="test", pool_size=1)
    keeper = HistoryKeeper(risk.app.state.engine, database, **options)
    task = asyncio.create_task(keeper.keep())
    try:
        yield keeper
    finally:
        await stop(task)
        await database.dispose()
