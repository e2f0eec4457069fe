"""The ml service: a registry of ONNX models and the scores they give."""

from fastapi import FastAPI

from services.ml.model_cache import ModelCache
from services.ml.routes import models, predictions
from services.ml.settings import MlSettings
from shared.app import create_app
from shared.clock import Clock, SystemClock
from shared.settings import settings_of_process


def create(settings: MlSettings | None = None, clock: Clock | None = None) -> FastAPI:
    """Return the service; settings come from the environment unless given."""
    settings = settings or settings_of_process(MlSettings)
    clock = clock or SystemClock()
    app = create_app(name="ml", settings=settings, clock=clock, routers=[models.router, predictions.router])
    app.state.models = ModelCache(settings.ml_loaded_models, clock)
    return app
