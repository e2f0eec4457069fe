"""Routes of scores."""

from typing import Annotated

from fastapi import APIRouter, Path

from services.ml import handlers
from services.ml.dependencies import ModelsDep, ReaderDep, ScorerDep
from services.ml.problems import (
    FeatureMismatch,
    ModelIntegrity,
    ModelOutput,
    NoModel,
    PredictionConflict,
    PredictionNotFound,
)
from shared.dependencies import ClockDep, SessionDep
from shared.problems import declare
from shared.schemas.base import Identifier
from shared.schemas.ml import Prediction, PredictionRequest, ReplayResult

router = APIRouter(prefix="/predictions", tags=["predictions"])

IdPath = Annotated[Identifier, Path(description="The prediction's id.")]


@router.post("", responses=declare(NoModel, PredictionConflict, FeatureMismatch, ModelIntegrity, ModelOutput))
async def predict(
    request: PredictionRequest, session: SessionDep, models: ModelsDep, clock: ClockDep, _: ScorerDep
) -> Prediction:
    """Score features and store the score. The same id again returns what is stored; with another request it is 409."""
    return await handlers.predict(session, models, request, clock.now())


@router.get("/{prediction_id}", responses=declare(PredictionNotFound))
async def get_prediction(prediction_id: IdPath, session: SessionDep, _: ReaderDep) -> Prediction:
    """Return a stored score."""
    return await handlers.get_prediction(session, prediction_id)


@router.post("/{prediction_id}/replay", responses=declare(PredictionNotFound, ModelIntegrity, ModelOutput))
async def replay(prediction_id: IdPath, session: SessionDep, models: ModelsDep, _: ReaderDep) -> ReplayResult:
    """Compute a stored score again with the same model and features, and compare bit for bit."""
    return await handlers.replay(session, models, prediction_id)
