"""Use cases of ml: load, decide, store."""

import asyncio
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from services.ml import metrics, store
from services.ml.core.fingerprint import SHORT_HASH, content_hash, manifest_hash, request_hash, same_bits
from services.ml.core.signature import FeatureRow, match_features
from services.ml.core.uncertainty import binary_entropy
from services.ml.model_cache import LoadedModel, ModelCache
from services.ml.problems import (
    FeatureMismatch,
    ModelConflict,
    ModelIntegrity,
    ModelNotFound,
    ModelOutput,
    NoModel,
    PredictionConflict,
    PredictionNotFound,
)
from services.ml.registry import check_upload
from services.ml.scoring import RUNTIME, Score, Scorer, ScoringError
from services.ml.store import ModelKey, Registration, StoredModel, StoredPrediction
from shared.logging import Category, get_trading_logger
from shared.schemas.ml import Alias, ModelUpload, ModelView, Prediction, PredictionRequest, ReplayResult
from shared.schemas.telemetry import MLTelemetry

_LOG = get_trading_logger("keelson.ml", Category.ML)
_SECURITY = get_trading_logger("keelson.ml", Category.SECURITY)


async def register_model(
    session: AsyncSession, upload: ModelUpload, *, by: str, now: datetime, max_bytes: int
) -> tuple[ModelView, bool]:
    """Keep a model once it was loaded and tried; the flag tells whether it is new.

    Raises InvalidModel, or ModelConflict where the version holds other bytes or another manifest.
    """
    await asyncio.to_thread(check_upload, upload, max_bytes)
    sha256 = content_hash(upload.onnx)
    manifest = manifest_hash(
        name=upload.name,
        version=upload.version,
        sha256=sha256,
        signature=upload.signature,
        training_data_hash=upload.training_data_hash,
        metrics=upload.metrics,
        trained_at=upload.trained_at,
    )
    created = await store.add_model(session, upload, Registration(sha256, manifest, now, by))
    if not created and await store.manifest_hash_of(session, upload.name, upload.version) != manifest:
        raise ModelConflict(f"{upload.name} {upload.version} is registered with other content; use a new version")
    if created:
        _LOG.log_audit(
            actor=by, action="model-registered", target=f"{upload.name} {upload.version}", after={"sha256": sha256}
        )
    return await get_model(session, upload.name, upload.version), created


async def get_model(session: AsyncSession, name: str, version: str) -> ModelView:
    """Return a model by version. Raises ModelNotFound."""
    found = await store.find_version(session, name, version)
    if found is None:
        raise ModelNotFound(f"No model {name} has the version {version}")
    return found


async def get_aliased_model(session: AsyncSession, name: str, alias: Alias) -> ModelView:
    """Return the model an alias points at. Raises ModelNotFound."""
    found = await store.find_aliased(session, name, alias)
    if found is None:
        raise ModelNotFound(f"The alias {alias} of {name} points at no model")
    return found


async def move_alias(
    session: AsyncSession, name: str, alias: Alias, version: str, *, by: str, now: datetime
) -> ModelView:
    """Point an alias at a registered version. Raises ModelNotFound."""
    await get_model(session, name, version)
    move = await store.set_alias(session, name, alias, version, by, now)
    if move.changed:
        _LOG.log_audit(
            actor=by, action="model-alias-moved", target=f"{name} {alias}", before=move.previous, after=version
        )
    return await get_model(session, name, version)


async def predict(session: AsyncSession, models: ModelCache, request: PredictionRequest, now: datetime) -> Prediction:
    """Score a request and store the score, or return the one stored under its id.

    Raises PredictionConflict, NoModel, FeatureMismatch, ModelIntegrity or ModelOutput.
    """
    asked = request_hash(request)
    known = await store.find_prediction(session, request.prediction_id)
    if known is not None:
        return _same_request(known, asked)
    key = await store.resolve_alias(session, request.model_name, request.alias)
    if key is None:
        raise NoModel(f"The alias {request.alias} of {request.model_name} points at no model")
    model = await _loaded(session, models, key)
    row = _row(model, request)
    score = await _score(model, row.values)
    stored = StoredPrediction(_prediction(request, model, row, score, now), asked, key, RUNTIME)
    if not await store.add_prediction(session, stored):
        # The same id arrived twice at once and the other request was first.
        other = await store.find_prediction(session, request.prediction_id)
        if other is None:
            raise PredictionConflict(f"Prediction {request.prediction_id} was taken and is gone; send it again")
        return _same_request(other, asked)
    _record(stored.prediction)
    return stored.prediction


async def get_prediction(session: AsyncSession, prediction_id: str) -> Prediction:
    """Return a stored prediction. Raises PredictionNotFound."""
    return (await _stored(session, prediction_id)).prediction


async def replay(session: AsyncSession, models: ModelCache, prediction_id: str) -> ReplayResult:
    """Score a stored prediction's features again with the very model that scored them, and compare bit for bit.

    Both outputs must agree; the calibrated one is shown. Raises PredictionNotFound, ModelIntegrity or ModelOutput.
    """
    stored = await _stored(session, prediction_id)
    model = await _loaded(session, models, stored.model)
    telemetry = stored.prediction.telemetry
    row = match_features(model.signature, telemetry.features)
    if not isinstance(row, FeatureRow):
        raise _altered(stored.model, "the stored features are not those of the model")
    score = await _score(model, row.values)
    identical = same_bits(score.raw, telemetry.raw_confidence) and same_bits(
        score.calibrated, telemetry.calibrated_confidence
    )
    metrics.REPLAYS.labels(str(identical).lower()).inc()
    if not identical:
        _LOG.error("a replayed score differs", prediction_id=prediction_id, scored_by=stored.runtime, runtime=RUNTIME)
    return ReplayResult(
        prediction_id=prediction_id,
        stored=telemetry.calibrated_confidence,
        recomputed=score.calibrated,
        identical=identical,
    )


async def _stored(session: AsyncSession, prediction_id: str) -> StoredPrediction:
    found = await store.find_prediction(session, prediction_id)
    if found is None:
        raise PredictionNotFound(f"There is no prediction {prediction_id}")
    return found


def _same_request(stored: StoredPrediction, asked: str) -> Prediction:
    if stored.request_hash != asked:
        raise PredictionConflict(
            f"Prediction {stored.prediction.telemetry.prediction_id} is stored for another request"
        )
    return stored.prediction


async def _loaded(session: AsyncSession, models: ModelCache, key: ModelKey) -> LoadedModel:
    async def load() -> LoadedModel:
        stored = await store.load_model(session, key)
        if stored is None:
            raise _altered(key, "its row is gone")
        _verify(stored, key)
        try:
            scorer = await asyncio.to_thread(Scorer, stored.onnx)
            slow = models.is_slow(scorer, stored.signature)
        except ScoringError as error:
            raise ModelOutput(f"{key.name} {key.version} cannot be used here: {error}") from None
        return LoadedModel(key.name, key.version, key.sha256, stored.signature, scorer, slow)

    return await models.get(key.manifest_hash, load)


def _verify(stored: StoredModel, key: ModelKey) -> None:
    """Raise ModelIntegrity unless bytes and manifest are those that were registered."""
    sha256 = content_hash(stored.onnx)
    if sha256 != key.sha256:
        raise _altered(key, f"its bytes have the hash {sha256[:SHORT_HASH]}")
    manifest = manifest_hash(
        name=stored.key.name,
        version=stored.key.version,
        sha256=sha256,
        signature=stored.signature,
        training_data_hash=stored.training_data_hash,
        metrics=stored.metrics,
        trained_at=stored.trained_at,
    )
    if manifest != key.manifest_hash:
        raise _altered(key, "its manifest has another hash")


def _altered(key: ModelKey, what: str) -> ModelIntegrity:
    metrics.INTEGRITY_FAILURES.inc()
    _SECURITY.error("stored model refused", model=key.name, version=key.version, sha256=key.sha256, reason=what)
    return ModelIntegrity(f"{key.name} {key.version} ({key.sha256[:SHORT_HASH]}) is not what was registered: {what}")


def _row(model: LoadedModel, request: PredictionRequest) -> FeatureRow:
    row = match_features(model.signature, request.features)
    if isinstance(row, FeatureRow):
        return row
    named = ", ".join(f"{problem.name} ({problem.code})" for problem in row)
    raise FeatureMismatch(
        f"The features are not those of {model.name} {model.version}: {named}",
        errors=[
            {"location": f"body.features.{problem.name}", "message": problem.message, "code": problem.code}
            for problem in row
        ],
    )


async def _score(model: LoadedModel, row: tuple[float, ...]) -> Score:
    try:
        return await model.score(row)
    except ScoringError as error:
        _LOG.error("model gave no probability", model=model.name, version=model.version, reason=str(error))
        raise ModelOutput(f"{model.name} {model.version} gave no probability: {error}") from None


def _prediction(
    request: PredictionRequest, model: LoadedModel, row: FeatureRow, score: Score, now: datetime
) -> Prediction:
    telemetry = MLTelemetry(
        prediction_id=request.prediction_id,
        model_name=model.name,
        model_version=model.version,
        model_hash=model.sha256[:SHORT_HASH],
        # In signature order, so that the first answer and every later one read alike.
        features={feature.name: request.features[feature.name] for feature in model.signature.features},
        raw_confidence=score.raw,
        calibrated_confidence=score.calibrated,
        uncertainty=binary_entropy(score.calibrated),
        regime=request.regime,
        market_state_id=request.market_state_id,
    )
    return Prediction(
        telemetry=telemetry,
        strategy_id=request.strategy_id,
        symbol=request.symbol,
        out_of_range=row.out_of_range,
        ts_event=request.ts_event,
        ts_init=now,
    )


def _record(prediction: Prediction) -> None:
    telemetry = prediction.telemetry
    labels = (telemetry.model_name, telemetry.model_version)
    metrics.PREDICTIONS.labels(*labels).inc()
    if prediction.out_of_range:
        metrics.OUT_OF_RANGE.labels(*labels).inc()
    _LOG.log_model_scored(
        model_name=telemetry.model_name,
        model_version=telemetry.model_version,
        prediction_id=telemetry.prediction_id,
        confidence=telemetry.calibrated_confidence,
        model_hash=telemetry.model_hash,
        strategy_id=prediction.strategy_id,
        symbol=prediction.symbol,
        uncertainty=telemetry.uncertainty,
        out_of_range=prediction.out_of_range,
    )
