"""Batches of sources that are driven here go the way that posted ones go."""

from decimal import Decimal

import pytest

from services.marketdata.feeds.connector import Row, batches_of
from services.marketdata.feeds.ingest_sink import IngestSink
from services.marketdata.main import create
from services.marketdata.settings import MarketdataSettings
from services.marketdata.store import Partitions
from shared.clock import SystemClock
from shared.resources import Resources
from shared.schemas.market_events import Aggressor, FundingRate, Liquidation, OrderBook
from shared.schemas.marketdata import MarketState
from tests.conftest import MakeSettings
from tests.harness import running
from tests.integration.marketdata.feeds.sources import tick

pytest.importorskip("ccxt", reason="ccxt is an extra: requirements/feeds.in")
pytestmark = pytest.mark.integration

CLOCK = SystemClock()


async def test_every_kind_of_rows_is_stored_and_a_batch_that_is_no_use_is_not_offered_again(
    make_settings: MakeSettings,
) -> None:
    now, stored = CLOCK.now(), 0

    def count() -> None:
        nonlocal stored
        stored += 1

    values = {"symbol": "BTCUSDT", "ts": now}
    level = [(Decimal("1.5"), Decimal(2))]
    rows: list[list[Row]] = [
        [tick(1, now)],
        [OrderBook(**values, bids=level, asks=[(Decimal(2), Decimal(1))], sequence=7)],
        [FundingRate(**values, rate=Decimal("0.0001"))],
        [Liquidation(**values, side=Aggressor.SELL, price=Decimal(100), quantity=Decimal(1))],
        [MarketState(symbol="NIFTY", timestamp=now, spot_price=Decimal(24_000))],
    ]
    app = create(make_settings(MarketdataSettings))
    resources: Resources = app.state.resources
    async with running(app):
        sink = IngestSink(resources.database, Partitions(resources.database), CLOCK, count)
        for each in rows:
            (batch,) = batches_of("it", each)
            assert (await sink(batch)).stored == 1, batch
        # As a connector with a fault could make it.
        (bad,) = batches_of("it", [tick(2, now).model_copy(update={"symbol": "no symbol"})])
        refused = await sink(bad)
    assert stored == len(rows)
    assert (refused.stored, refused.rejected_count, len(refused.rejected)) == (0, 1, 1)
