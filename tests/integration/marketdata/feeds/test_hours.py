"""A source is late for as long as its market was open without a word from it, not overnight."""

from datetime import UTC, datetime, timedelta

import pytest

from services.marketdata.feeds.connector import Observed
from services.marketdata.feeds.hours import MarketHours
from services.marketdata.feeds.manager import Manager, Wiring
from services.marketdata.main import create
from services.marketdata.settings import MarketdataSettings
from shared.clock import ManualClock
from shared.database import Database
from shared.roles import Role
from shared.schemas.feeds import SourceHealth
from tests.conftest import MakeSettings
from tests.harness import Tokens, running
from tests.integration.marketdata.client import BASE, Client, bar, batch
from tests.integration.marketdata.feeds.sources import Sink

pytestmark = pytest.mark.integration
# A Tuesday and a Wednesday: XNSE closes at 10:00 UTC and opens at 3:45.
CLOSE, OPEN = datetime(2024, 1, 2, 10, tzinfo=UTC), datetime(2024, 1, 3, 3, 45, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


async def post(client: Client, symbol: str, source: str) -> None:
    row = bar(0, symbol=symbol, ts=(CLOSE - MINUTE).isoformat())
    await client.post("/bars", batch(row, source=source, simulation_id=None))


async def states(manager: Manager, clock: ManualClock, at: datetime) -> dict[str, SourceHealth]:
    """Look at the sources until their states have settled."""
    for seconds in range(0, 60, 2):
        clock.set(at + timedelta(seconds=seconds))
        await manager.look()
    return {each.source: each.health for each in manager.snapshot()}


async def test_a_source_is_late_by_the_hours_of_its_markets(
    make_settings: MakeSettings, tokens: Tokens, database_url: str
) -> None:
    clock = ManualClock(CLOSE)
    app = create(make_settings(MarketdataSettings), clock)
    async with running(app, tokens.auth(Role.SERVICE)) as http:
        client = Client(http)
        answer = await http.put(f"{BASE}/symbols/NIFTY", json={"calendar": "XNSE"}, headers=tokens.auth(Role.ADMIN))
        assert answer.status_code == 200, answer.text
        await post(client, "NIFTY", "mumbai")
        await post(client, "NIFTY", "both")
        await post(client, "BTC", "both")
        await post(client, "BTC", "coins")
        database = Database(database_url, application_name="test")
        try:
            hours = MarketHours(database, {"asked": ["NIFTY"]}, clock)
            manager = Manager([], clock, Wiring(Sink(), waited=hours.waited))
            # Before the first look at the symbols every market counts as open.
            assert hours.waited("mumbai", CLOSE, OPEN) == (OPEN - CLOSE).total_seconds()
            assert await hours.work()
        finally:
            await database.dispose()
    assert hours.waited("asked", CLOSE, OPEN + MINUTE) == 60
    assert hours.waited("nobody", CLOSE, CLOSE + MINUTE) == 60
    for source in ("mumbai", "both", "coins"):
        manager.observe(source, Observed(rows=1, newest=CLOSE, newest_good=CLOSE))
    night = await states(manager, clock, CLOSE + timedelta(hours=8))
    assert night == {"mumbai": SourceHealth.HEALTHY, "both": SourceHealth.DOWN, "coins": SourceHealth.DOWN}
    assert (await states(manager, clock, OPEN + MINUTE))["mumbai"] is SourceHealth.HEALTHY
    assert (await states(manager, clock, OPEN + 6 * MINUTE))["mumbai"] is SourceHealth.DEGRADED
    assert (await states(manager, clock, OPEN + 12 * MINUTE))["mumbai"] is SourceHealth.DOWN
