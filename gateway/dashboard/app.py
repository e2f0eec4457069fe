"""The dashboard's own small service: `/api/v1/dashboard`, and the page that shows it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import httpx
from fastapi import APIRouter, Depends, FastAPI, Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from gateway.dashboard.gather import Sources, gather
from shared.app import create_app
from shared.auth import ANY_ROLE, Principal, require
from shared.clock import Clock
from shared.dependencies import ClockDep
from shared.logging.context import correlation_id
from shared.middleware import HEADER
from shared.resources import Resources
from shared.schemas.dashboard import Dashboard
from shared.settings import AppSettings, settings_of_process

_STATIC = Path(__file__).resolve().parent / "static"
# The page has nothing but its own files: whatever came into the data cannot load or run anything.
_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
_FILES = {
    "/": "index.html",
    "/dashboard.js": "dashboard.js",
    "/dashboard.css": "dashboard.css",
    "/dashboard.svg": "dashboard.svg",
}

router = APIRouter(tags=["dashboard"])


@router.get("/dashboard")
async def dashboard(
    request: Request, clock: ClockDep, _: Annotated[Principal, Depends(require(*ANY_ROLE))]
) -> Dashboard:
    """Return what is going on in the whole suite, seen with the caller's own rights."""
    headers = {"Authorization": request.headers["authorization"], HEADER: correlation_id.get() or ""}
    return await gather(request.app.state.sources, headers, clock.now())


def create(settings: AppSettings | None = None, clock: Clock | None = None) -> FastAPI:
    """Return the dashboard; settings come from the environment unless given."""
    settings = settings or settings_of_process(AppSettings)
    urls = {
        "risk": settings.risk_url,
        "marketdata": settings.marketdata_url,
        "ml": settings.ml_url,
        "reporting": settings.reporting_url,
    }

    @asynccontextmanager
    async def lifespan(app: FastAPI, _: Resources) -> AsyncIterator[None]:
        async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
            app.state.sources = Sources(client, urls)
            yield

    app = create_app(
        name="dashboard", settings=settings, clock=clock, routers=[router], prefix="/api/v1", lifespan=lifespan
    )
    # Open, as the page holds no data: it asks for the key and sends it with each question.
    app.router.routes.extend(Route(path, _page, name=path) for path in _FILES)
    return app


async def _page(request: Request) -> Response:
    return FileResponse(_STATIC / _FILES[request.url.path], headers=_PAGE_HEADERS)
