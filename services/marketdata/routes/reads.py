"""Routes that serve stored rows."""

from datetime import timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response

from services.marketdata.core.catalogue import Subject
from services.marketdata.core.widths import VOLUME
from services.marketdata.dependencies import (
    EndQuery,
    KnownAtQuery,
    ReaderDep,
    RollUpsDep,
    SimulationQuery,
    SourceQuery,
    StartQuery,
    SymbolQuery,
)
from services.marketdata.handlers import reads, states
from services.marketdata.handlers.tables import read_whole
from services.marketdata.rows.forms import ARROW, CSV, JSON
from services.marketdata.rows.kinds import BARS, FUNDING_RATES, LIQUIDATIONS, MOST_READ, ORDER_BOOKS, TICKS, RowKind
from services.marketdata.store import Wanted
from shared.dependencies import SessionDep
from shared.pagination import DEFAULT_LIMIT, BadCursor, PageLimit
from shared.problems import NotFound, Unprocessable, declare
from shared.schemas.base import Contract, Identifier, Page, UtcDatetime
from shared.schemas.market_events import (
    HourlyVolume,
    StoredFundingRate,
    StoredLiquidation,
    StoredOrderBook,
    StoredTick,
)
from shared.schemas.marketdata import INTERVAL_LENGTH, FeedStatus, Interval, StoredBar, StoredMarketState

router = APIRouter(tags=["reads"])
_MOST_OF_JSON = 1_000
_TOLERANCE = timedelta(minutes=5)
_AT_ONCE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A page; as CSV or Arrow by `Accept`, with `X-Next-Cursor` where more follows.",
        "content": {CSV: {"schema": {"type": "string"}}, ARROW: {"schema": {"type": "string", "format": "binary"}}},
    }
}
RowLimit = Annotated[
    int | None,
    Query(
        ge=1,
        le=MOST_READ,
        description="Most rows: 100 unless given and 1,000 at most in JSON, 200,000 otherwise (20,000 order books).",
    ),
]


def _form(request: Request, kind: RowKind, limit: int | None) -> tuple[str, int]:
    """Return the form of the answer and how many rows it has at most. Raises Unprocessable."""
    accepted = request.headers.get("accept", "")
    form = next((each for each in (ARROW, CSV) if each in accepted), JSON)
    most, default = (_MOST_OF_JSON, DEFAULT_LIMIT) if form == JSON else (kind.most, kind.most)
    if limit is not None and limit > most:
        raise Unprocessable(
            f"A page of {form} has at most {most} rows"
            + (f"; ask for {CSV} or {ARROW}" if form == JSON and kind.most > most else ""),
            errors=[{"location": "query.limit", "message": f"At most {most}", "code": "less_than_equal"}],
        )
    return form, limit or default


async def _answer(session: SessionDep, kind: RowKind, stored: type[Contract], wanted: Wanted, form: str) -> Response:
    if form == JSON:
        page = await reads.list_rows(session, stored, wanted)
        return Response(page.model_dump_json(), media_type=JSON)
    whole = await read_whole(session, kind, wanted, form)
    headers = {"X-Next-Cursor": whole.next_cursor} if whole.next_cursor else None
    return Response(whole.body, headers=headers, media_type=whole.media_type)


@router.get("/bars", responses={**declare(BadCursor), **_AT_ONCE}, response_model=Page[StoredBar])
async def list_bars(
    request: Request,
    session: SessionDep,
    roll_ups: RollUpsDep,
    _: ReaderDep,
    symbol: SymbolQuery,
    interval: Annotated[Interval, Query(description="Length of the bars.")],
    start: StartQuery = None,
    end: EndQuery = None,
    source: SourceQuery = None,
    known_at: KnownAtQuery = None,
    simulation_id: SimulationQuery = None,
    cursor: str | None = None,
    limit: RowLimit = None,
) -> Response:
    """List bars, oldest first, each with its verdict; those that were not sent are summed from bars of a minute.

    What a sum was at an earlier moment is not kept: with `known_at` only bars that were sent are listed.
    """
    form, most = _form(request, BARS, limit)
    # Before anything is asked in the session: while it holds a connection no second one is to be waited for.
    width = await roll_ups.width(symbol, interval) if known_at is None else None
    wanted = Wanted(
        Subject.BAR,
        simulation_id or "",
        symbol,
        (start, end),
        most,
        after=reads.after(Subject.BAR, cursor),
        source=source,
        interval=interval,
        known_at=known_at,
        roll_up=width,
    )
    if width is not None:
        await reads.current(roll_ups, Subject.BAR, width, wanted)
    return await _answer(session, BARS, StoredBar, wanted, form)


def _list(kind: RowKind, stored: type[Contract], path: str, text: str) -> None:
    async def rows(
        request: Request,
        session: SessionDep,
        _: ReaderDep,
        symbol: SymbolQuery,
        start: StartQuery = None,
        end: EndQuery = None,
        source: SourceQuery = None,
        known_at: KnownAtQuery = None,
        simulation_id: SimulationQuery = None,
        cursor: str | None = None,
        limit: RowLimit = None,
    ) -> Response:
        form, most = _form(request, kind, limit)
        after = reads.after(kind.subject, cursor)
        wanted = Wanted(
            kind.subject, simulation_id or "", symbol, (start, end), most, after, source=source, known_at=known_at
        )
        return await _answer(session, kind, stored, wanted, form)

    rows.__doc__ = f"List {text}, oldest first, each with its verdict."
    router.add_api_route(
        path,
        rows,
        methods=["GET"],
        name=f"list_{kind.plural}",
        summary=f"List {text}",
        response_model=Page[stored],  # type: ignore[valid-type]
        responses={**declare(BadCursor), **_AT_ONCE},
    )


_list(TICKS, StoredTick, "/ticks", "trades")
_list(ORDER_BOOKS, StoredOrderBook, "/order-books", "order books")
_list(FUNDING_RATES, StoredFundingRate, "/funding-rates", "funding rates")
_list(LIQUIDATIONS, StoredLiquidation, "/liquidations", "liquidations")


@router.get("/trade-volume/hourly", responses=declare(BadCursor))
async def hourly_volume(
    session: SessionDep,
    roll_ups: RollUpsDep,
    _: ReaderDep,
    symbol: SymbolQuery,
    start: StartQuery = None,
    end: EndQuery = None,
    source: SourceQuery = None,
    simulation_id: SimulationQuery = None,
    cursor: str | None = None,
    limit: PageLimit = DEFAULT_LIMIT,
) -> Page[HourlyVolume]:
    """List what was traded in each hour, oldest first; trades that cannot be trusted are left out."""
    wanted = Wanted(Subject.TICK, simulation_id or "", symbol, (start, end), limit, source=source)
    await reads.current(roll_ups, Subject.TICK, VOLUME, wanted)
    return await reads.list_volume(session, wanted, cursor)


@router.get("/market-states", responses=declare(BadCursor))
async def list_states(
    session: SessionDep,
    _: ReaderDep,
    symbol: SymbolQuery,
    start: StartQuery = None,
    end: EndQuery = None,
    source: SourceQuery = None,
    known_at: KnownAtQuery = None,
    simulation_id: SimulationQuery = None,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=100, description="Most states of one page.")] = 10,
) -> Page[StoredMarketState]:
    """List market states, oldest first, each with its verdict."""
    after = reads.after(Subject.MARKET_STATE, cursor)
    window = (start, end)
    wanted = Wanted(
        Subject.MARKET_STATE, simulation_id or "", symbol, window, limit, after, source=source, known_at=known_at
    )
    return await reads.list_states(session, wanted)


@router.get("/market-states/current", responses=declare(NotFound))
async def current_state(
    session: SessionDep, _: ReaderDep, symbol: SymbolQuery, simulation_id: SimulationQuery = None
) -> StoredMarketState:
    """Return the newest market state that is not critical."""
    wanted = Wanted(Subject.MARKET_STATE, simulation_id or "", symbol, (None, None), 1)
    return await reads.latest_state(session, wanted)


@router.get("/market-states/{symbol:path}/latest", responses=declare(NotFound))
async def latest_state(
    symbol: Annotated[str, Path(description="The instrument.")],
    session: SessionDep,
    _: ReaderDep,
    source: SourceQuery = None,
    simulation_id: SimulationQuery = None,
) -> StoredMarketState:
    """Return the newest market state that is not critical."""
    wanted = Wanted(Subject.MARKET_STATE, simulation_id or "", symbol, (None, None), 1, source=source)
    return await reads.latest_state(session, wanted)


@router.get("/market-states/{market_state_id}", responses=declare(NotFound))
async def get_state(
    market_state_id: Annotated[Identifier, Path(description="The state's id.")], session: SessionDep, _: ReaderDep
) -> StoredMarketState:
    """Return a market state, whatever its verdict and revision."""
    return await states.get_state(session, market_state_id)


@router.get("/asof", responses=declare(NotFound))
async def as_of(
    session: SessionDep,
    roll_ups: RollUpsDep,
    _: ReaderDep,
    symbol: SymbolQuery,
    at: Annotated[UtcDatetime, Query(description="The last value at or before this moment.")],
    of: Annotated[
        Literal["bar", "tick", "order_book", "funding_rate", "market_state"], Query(description="Which kind of row.")
    ] = "bar",
    interval: Annotated[Interval, Query(description="Length of the bars; a bar counts from its end on.")] = "1m",
    tolerance_seconds: Annotated[
        float | None,
        Query(
            gt=0, le=366 * 86_400, description="No older than this: by default 300, or what its bars last if longer."
        ),
    ] = None,
    source: SourceQuery = None,
    simulation_id: SimulationQuery = None,
) -> StoredBar | StoredTick | StoredOrderBook | StoredFundingRate | StoredMarketState:
    """Return the last row at or before a moment that can be trusted, no older than the tolerance.

    A bar that was not sent is summed from bars of a minute, and known at its end as any other.
    """
    subject = Subject(of)
    length = INTERVAL_LENGTH[interval] if subject is Subject.BAR else timedelta(0)
    tolerance = max(_TOLERANCE, length) if tolerance_seconds is None else timedelta(seconds=tolerance_seconds)
    # Before anything is asked in the session: while it holds a connection no second one is to be waited for.
    width = await roll_ups.width(symbol, interval) if subject is Subject.BAR else None
    wanted = Wanted(
        subject,
        simulation_id or "",
        symbol,
        (reads.earlier(at, tolerance + 2 * length), at),
        1,
        source=source,
        interval=interval if subject is Subject.BAR else None,
    )
    if width is not None:
        await reads.current(roll_ups, Subject.BAR, width, wanted)
    return await reads.as_of(session, wanted, at, tolerance, width)


@router.get("/feeds", responses=declare(BadCursor))
async def list_feeds(
    session: SessionDep,
    _: ReaderDep,
    simulation_id: Annotated[Identifier | None, Query(description="Of a simulation; of all data by default.")] = None,
    cursor: str | None = None,
    limit: PageLimit = DEFAULT_LIMIT,
) -> Page[FeedStatus]:
    """List sources: what came, how good it was, and when last."""
    return await reads.list_feeds(session, simulation_id, cursor, limit)
