"""Routes of the model registry."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from services.ml import handlers, store
from services.ml.dependencies import ReaderDep, RegistrarDep, SettingsDep
from services.ml.problems import InvalidModel, ModelConflict, ModelNotFound
from shared.dependencies import ClockDep, SessionDep
from shared.pagination import DEFAULT_LIMIT, BadCursor, PageLimit, decode_cursor, encode_cursor
from shared.problems import declare
from shared.schemas.base import Identifier, Page
from shared.schemas.ml import Alias, AliasUpdate, ModelUpload, ModelView, SemanticVersion

router = APIRouter(prefix="/models", tags=["models"])

NamePath = Annotated[Identifier, Path(description="The model's name.")]


@router.post(
    "",
    status_code=201,
    responses={200: {"model": ModelView, "description": "Registered already"}, **declare(InvalidModel, ModelConflict)},
)
async def register(
    upload: ModelUpload,
    response: Response,
    session: SessionDep,
    clock: ClockDep,
    settings: SettingsDep,
    caller: RegistrarDep,
) -> ModelView:
    """Register a model; it is loaded and tried first. The same model again is 200, another under its version 409."""
    view, created = await handlers.register_model(
        session, upload, by=caller.subject, now=clock.now(), max_bytes=settings.ml_max_model_bytes
    )
    response.status_code = 201 if created else 200
    return view


@router.get("", responses=declare(BadCursor))
async def list_models(
    session: SessionDep,
    _: ReaderDep,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before.")] = None,
    limit: PageLimit = DEFAULT_LIMIT,
) -> Page[ModelView]:
    """List models, newest registration first."""
    before = int(decode_cursor(cursor, model_id=int)["model_id"]) if cursor else None
    items, more = await store.list_models(session, before, limit)
    return Page(items=items, next_cursor=encode_cursor({"model_id": more}) if more is not None else None)


@router.get("/{name}/{version_or_alias}", responses=declare(ModelNotFound))
async def get_model(
    name: NamePath,
    version_or_alias: Annotated[
        Alias | SemanticVersion, Path(description="A version such as 1.0.0, or champion, challenger or shadow.")
    ],
    session: SessionDep,
    _: ReaderDep,
) -> ModelView:
    """Return one model by version or alias."""
    if version_or_alias in ("champion", "challenger", "shadow"):
        return await handlers.get_aliased_model(session, name, version_or_alias)
    return await handlers.get_model(session, name, version_or_alias)


@router.put("/{name}/aliases/{alias}", responses=declare(ModelNotFound))
async def set_alias(
    name: NamePath, alias: Alias, update: AliasUpdate, session: SessionDep, clock: ClockDep, caller: RegistrarDep
) -> ModelView:
    """Point an alias at a version; the next prediction uses it."""
    return await handlers.move_alias(session, name, alias, update.version, by=caller.subject, now=clock.now())
