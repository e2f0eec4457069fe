"""Where the batches of sources driven here go: the way that posted ones go, without HTTP in between."""

import asyncio
from collections.abc import Callable

from services.marketdata.core.stream.news import News
from services.marketdata.feeds.connector import Batch, rows_of
from services.marketdata.handlers import ingest, states
from services.marketdata.handlers.outcome import keep_news
from services.marketdata.rows.forms import JSON, From
from services.marketdata.rows.kinds import BARS, FUNDING_RATES, LIQUIDATIONS, ORDER_BOOKS, TICKS, RowKind
from services.marketdata.rows.read import States, read_rows
from services.marketdata.store import Origin, Partitions
from shared.clock import Clock
from shared.database import Database
from shared.problems import Unprocessable
from shared.schemas.market_events import FundingRateBatch, LiquidationBatch, OrderBookBatch, TickBatch
from shared.schemas.marketdata import BarBatch, IngestResult, MarketStateBatch, RejectedRow

_KINDS: dict[type[Batch], RowKind] = {
    BarBatch: BARS,
    TickBatch: TICKS,
    OrderBookBatch: ORDER_BOOKS,
    FundingRateBatch: FUNDING_RATES,
    LiquidationBatch: LIQUIDATIONS,
}


class IngestSink:
    """Judges and stores a batch in a transaction of its own; `stored` is called once it is committed."""

    def __init__(self, database: Database, partitions: Partitions, clock: Clock, stored: Callable[[], None]) -> None:
        self._database = database
        self._partitions = partitions
        self._clock = clock
        self._stored = stored

    async def __call__(self, batch: Batch, news: News | None = None) -> IngestResult:
        """Return what became of a batch. Raises what the database raises: it is then offered again."""
        if news is not None and not rows_of(batch):
            return await self._keep(batch, news, [])
        try:
            async with self._database.session() as session:
                if isinstance(batch, MarketStateBatch):
                    result = await states.ingest_states(
                        session, self._partitions, States.of(batch), "lenient", self._clock.now()
                    )
                else:
                    kind = _KINDS[type(batch)]
                    body = batch.model_dump_json().encode()
                    rows = await asyncio.to_thread(read_rows, kind, JSON, body, From(None, None))
                    result = await ingest.ingest_rows(
                        session, self._partitions, kind, rows, "lenient", self._clock.now(), news
                    )
        except Unprocessable as error:
            # Offered again it would be refused again, and hold up all that comes after it.
            refused = [RejectedRow(index=index, reason=str(error)) for index in range(len(rows_of(batch)))]
            return await self._keep(batch, news, refused)
        self._stored()
        return result

    async def _keep(self, batch: Batch, news: News | None, refused: list[RejectedRow]) -> IngestResult:
        """Keep the news of a stream that no row is stored of."""
        if news is not None:
            origin = Origin(batch.simulation_id or "", batch.source, self._clock.now())
            async with self._database.session() as session:
                await keep_news(session, origin, news)
        rows = len(refused)
        return IngestResult(received=rows, stored=0, unchanged=0, rejected_count=rows, rejected=refused, published=0)
