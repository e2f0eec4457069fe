"""What ml's routes ask for by annotation."""

from typing import Annotated

from fastapi import Depends, Request

from services.ml.model_cache import ModelCache
from services.ml.settings import MlSettings
from shared.auth import ANY_ROLE, Principal, Role, require


async def _models(request: Request) -> ModelCache:
    found: ModelCache = request.app.state.models
    return found


async def _settings(request: Request) -> MlSettings:
    found: MlSettings = request.app.state.resources.settings
    return found


ModelsDep = Annotated[ModelCache, Depends(_models)]
SettingsDep = Annotated[MlSettings, Depends(_settings)]
ReaderDep = Annotated[Principal, Depends(require(*ANY_ROLE))]
RegistrarDep = Annotated[Principal, Depends(require(Role.ADMIN, Role.SERVICE))]
ScorerDep = Annotated[Principal, Depends(require(Role.TRADER, Role.SERVICE))]
