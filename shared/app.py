"""Make a service: health, metrics, problems, authentication, correlation, logging and lifespan."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from pydantic import BaseModel
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from starlette.responses import Response

from shared.auth import ANY_ROLE, Authenticator, Principal, require
from shared.clock import Clock, SystemClock
from shared.database import Database
from shared.direct import Direct, DirectRoutes
from shared.errors import install_problem_handlers
from shared.health import Check, ReadinessGauge, health_router, storage_checks
from shared.http_metrics import HttpMetrics
from shared.logging import LogSettings, configure_logging
from shared.middleware import BodyLimit, RequestContext
from shared.parameters import QueryParameters
from shared.problems import (
    DependencyUnavailable,
    Forbidden,
    InternalError,
    MalformedJson,
    PayloadTooLarge,
    ProblemDocument,
    RequestTimeout,
    Unauthenticated,
    Unprocessable,
    UnsupportedMediaType,
    declare,
)
from shared.resources import Resources, Storage
from shared.route_keys import key_of_context
from shared.settings import AppSettings, ServiceSettings
from shared.socket_context import SocketContext
from shared.version import VERSION

Lifespan = Callable[[FastAPI, Resources], AbstractAsyncContextManager[None]]
_OPEN = frozenset({"/healthz", "/readyz"})


def create_app(
    *,
    name: str,
    settings: AppSettings,
    routers: Sequence[APIRouter],
    prefix: str | None = None,
    clock: Clock | None = None,
    checks: Mapping[str, Check] | None = None,
    lifespan: Lifespan | None = None,
    direct: Sequence[Direct] = (),
    headers: Mapping[str, str] | None = None,
    metrics: Callable[[], bytes] = bytes,
    schemas: Sequence[type[BaseModel]] = (),
) -> FastAPI:
    """Return a service with its routers under `/api/v1/<name>`, and `headers` on whatever it answers.

    With ServiceSettings it has a database and Redis; with AppSettings neither. `metrics` returns what it has to show
    beside the registries, in Prometheus' text format. `schemas` are
    those that routes refer to by name. Raises RuntimeError for a route that names no role.
    """
    clock = clock or SystemClock()
    storage = _storage(name, settings) if isinstance(settings, ServiceSettings) else None
    resources = Resources(settings, clock, Authenticator(settings, clock), storage)

    @asynccontextmanager
    async def whole_lifespan(app: FastAPI) -> AsyncIterator[None]:
        close_logging = configure_logging(_log_settings(name, settings))
        try:
            if lifespan is None:
                yield
            else:
                async with lifespan(app, resources):
                    yield
        finally:
            if storage is not None:
                await storage.redis.aclose()
                await storage.database.dispose()
            close_logging()

    app = FastAPI(
        title=f"Keelson {name}",
        version=VERSION,
        lifespan=whole_lifespan,
        # The contract is committed under docs/openapi; a served copy would be an open route.
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        # Requests are measured by our own metrics; looking for OpenTelemetry's providers costs each of them.
        telemetry={"tracing": False, "metrics": False, "logs": False},
        separate_input_output_schemas=False,
        # A path with a slash too many is no route; a redirect would name this process's own address to the caller.
        redirect_slashes=False,
    )
    app.state.resources = resources
    # The last added is the outermost: every answer is counted and carries its correlation id.
    if direct:
        app.add_middleware(DirectRoutes, routes=direct, owner=app, authenticator=resources.authenticator)
    app.add_middleware(BodyLimit, limit=settings.max_body_bytes, seconds=settings.body_seconds)
    http_metrics = HttpMetrics()
    templates: dict[int | str, str] = {}
    app.add_middleware(RequestContext, metrics=http_metrics, templates=templates, headers=headers or {})
    app.add_middleware(SocketContext, metrics=http_metrics, templates=templates, headers=headers or {})
    install_problem_handlers(app)
    all_checks = {**(storage_checks(name, resources) if storage else {}), **(checks or {})}
    app.include_router(health_router(name, all_checks))
    readiness = ReadinessGauge(all_checks, http_metrics.registry)
    app.include_router(
        _metrics_router(http_metrics.registry, readiness, metrics), responses=declare(Unauthenticated, Forbidden)
    )
    parameters = QueryParameters()
    common = declare(
        MalformedJson,
        Unauthenticated,
        Forbidden,
        RequestTimeout,
        PayloadTooLarge,
        UnsupportedMediaType,
        Unprocessable,
        InternalError,
        DependencyUnavailable,
    )
    for router in routers:
        app.include_router(
            router,
            prefix=f"/api/v1/{name}" if prefix is None else prefix,
            responses=common,
            dependencies=[Depends(parameters)],
        )
    parameters.learn(app)
    templates |= {key_of_context(context): context.path or "none" for context in iter_route_contexts(app.routes)}
    _refuse_open_routes(app)
    _add_schemas(app, (ProblemDocument, *schemas))
    return app


def _storage(name: str, settings: ServiceSettings) -> Storage:
    database = Database(
        settings.database_url.get_secret_value(), application_name=name, pool_size=settings.database_pool_size
    )
    redis: Redis = Redis.from_url(
        settings.redis_url.get_secret_value(),
        decode_responses=True,
        socket_connect_timeout=2,
        socket_timeout=5,
        # Callers decide what to do without Redis; waiting here would hide it from them.
        retry=Retry(NoBackoff(), 1),
        client_name=f"keelson-{name}",
    )
    return Storage(database, redis)


def _log_settings(name: str, settings: AppSettings) -> LogSettings:
    return LogSettings(
        service=name,
        environment=settings.environment,
        level=settings.log_level,
        stdout=settings.log_stdout,
        file=settings.log_file,
        file_max_bytes=settings.log_file_max_bytes,
        file_backups=settings.log_file_backups,
        elasticsearch_url=settings.elasticsearch_url,
        elasticsearch_api_key=settings.elasticsearch_api_key,
        elasticsearch_index=settings.elasticsearch_index,
        fallback_file=settings.elasticsearch_fallback_file,
    )


def _metrics_router(http_metrics: CollectorRegistry, readiness: ReadinessGauge, more: Callable[[], bytes]) -> APIRouter:
    router = APIRouter(tags=["health"])

    @router.get("/metrics", response_class=Response)
    async def metrics(_: Annotated[Principal, Depends(require(*ANY_ROLE))]) -> Response:
        """Return the metrics in Prometheus' text format."""
        await readiness.look()
        # Of the process and the service's own, then of this app's requests.
        text = generate_latest() + more() + generate_latest(http_metrics)
        return Response(text, media_type=CONTENT_TYPE_LATEST)

    return router


def _refuse_open_routes(app: FastAPI) -> None:
    """Deny by default: a route without a role does not start."""
    for route in iter_route_contexts(app.routes):
        if route.path not in _OPEN and not _has_roles(route.dependant):
            raise RuntimeError(f"{route.path} names no role; add require(…)")


def _has_roles(dependant: Dependant | None) -> bool:
    if dependant is None:
        return False
    return hasattr(dependant.call, "__keelson_roles__") or any(_has_roles(each) for each in dependant.dependencies)


def _add_schemas(app: FastAPI, models: Sequence[type[BaseModel]]) -> None:
    """Put the schemas that `declare` and routes refer to into the app's OpenAPI document."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        for model in models:
            schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
            for name, part in (*schema.pop("$defs", {}).items(), (model.__name__, schema)):
                schemas.setdefault(name, part)
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        return document

    app.openapi = openapi  # type: ignore[method-assign]
