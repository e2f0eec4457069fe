"""Routes that take market data in."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from services.marketdata.dependencies import FeederDep, IngestSessionDep, PartitionsDep, SourcesDep
from services.marketdata.handlers import feeds, ingest, states
from services.marketdata.handlers.outcome import Mode
from services.marketdata.rows.forms import ARROW, CSV, JSON, NDJSON, From, MalformedRows
from services.marketdata.rows.kinds import BARS, FUNDING_RATES, LIQUIDATIONS, MARKET_STATES, ORDER_BOOKS, TICKS, RowKind
from services.marketdata.rows.read import read_rows, read_states
from shared.dependencies import ClockDep
from shared.problems import declare
from shared.schemas.base import Identifier
from shared.schemas.market_events import FundingRateBatch, LiquidationBatch, OrderBookBatch, TickBatch
from shared.schemas.marketdata import BarBatch, IngestResult, MarketStateBatch

router = APIRouter(tags=["ingest"])
# What bodies are described by, without being parsed by the framework.
BATCHES = (BarBatch, TickBatch, OrderBookBatch, FundingRateBatch, LiquidationBatch, MarketStateBatch)

SourceOfRows = Annotated[
    Identifier | None, Query(description="Where the rows are from; needed for every form but JSON.")
]
SimulationOfRows = Annotated[
    Identifier | None, Query(description="Keeps replayed rows away from live ones; in JSON the body may say it.")
]
ModeQuery = Annotated[
    Mode, Query(description="`lenient` keeps the good rows and names the bad ones; `strict` refuses all for one bad.")
]


def _bodies(batch: type[Any], kind: RowKind) -> dict[str, Any]:
    columns = ", ".join(name for name, _ in kind.columns)
    texts = " and ".join(name for name, _ in kind.columns if name in kind.json)
    nested = f" In CSV {texts} are JSON, in Arrow JSON or lists." if texts else ""
    return {
        "requestBody": {
            "required": True,
            "description": f"JSON, or rows with the columns {columns}.{nested}",
            "content": {
                JSON: {"schema": {"$ref": f"#/components/schemas/{batch.__name__}"}},
                NDJSON: {"schema": {"type": "string", "description": "One row as a JSON object on each line."}},
                CSV: {"schema": {"type": "string", "description": "A header and one row on each line."}},
                ARROW: {"schema": {"type": "string", "format": "binary", "description": "Arrow's IPC stream."}},
            },
        }
    }


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _route(kind: RowKind, text: str) -> Callable[..., Awaitable[IngestResult]]:
    async def take(
        request: Request,
        session: IngestSessionDep,
        partitions: PartitionsDep,
        sources: SourcesDep,
        clock: ClockDep,
        _: FeederDep,
        source: SourceOfRows = None,
        simulation_id: SimulationOfRows = None,
        mode: ModeQuery = "lenient",
    ) -> IngestResult:
        body = await request.body()
        rows = await asyncio.to_thread(read_rows, kind, _media_type(request), body, From(source, simulation_id))
        result = await ingest.ingest_rows(session, partitions, kind, rows, mode, clock.now())
        if rows.simulation_id is None:
            sources.observe(rows.source, feeds.seen(rows, result))
        return result

    take.__doc__ = (
        f"Judge and store {text}. The same again changes nothing; a correction is stored as a new revision.\n\n"
        "A bad row is rejected with its index and reason, the others are kept."
    )
    return take


for _kind, _path, _batch, _text in (
    (BARS, "/bars", BarBatch, "bars"),
    (TICKS, "/ticks", TickBatch, "trades"),
    (ORDER_BOOKS, "/order-books", OrderBookBatch, "order books"),
    (FUNDING_RATES, "/funding-rates", FundingRateBatch, "funding rates"),
    (LIQUIDATIONS, "/liquidations", LiquidationBatch, "liquidations"),
):
    router.add_api_route(
        _path,
        _route(_kind, _text),
        methods=["POST"],
        name=f"ingest_{_kind.plural}",
        response_model=IngestResult,
        summary=f"Ingest {_text}",
        openapi_extra=_bodies(_batch, _kind),
        responses=declare(MalformedRows),
    )


@router.post("/market-states", openapi_extra=_bodies(MarketStateBatch, MARKET_STATES), responses=declare(MalformedRows))
async def ingest_states(
    request: Request,
    session: IngestSessionDep,
    partitions: PartitionsDep,
    sources: SourcesDep,
    clock: ClockDep,
    _: FeederDep,
    source: SourceOfRows = None,
    simulation_id: SimulationOfRows = None,
    mode: ModeQuery = "lenient",
) -> IngestResult:
    """Judge and store market states. The same again changes nothing. Each verdict carries the state's id.

    A bad state is rejected with its index and reason, the others are kept.
    """
    body = await request.body()
    given = await asyncio.to_thread(read_states, _media_type(request), body, From(source, simulation_id))
    result = await states.ingest_states(session, partitions, given, mode, clock.now())
    if given.simulation_id is None:
        sources.observe(given.source, feeds.seen_states(given, result))
    return result
