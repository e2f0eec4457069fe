"""Errors of ml that callers can tell apart."""

from shared.problems import Conflict, InternalError, NotFound, Unprocessable


class InvalidModel(Unprocessable):
    """The upload is not a model this service takes."""

    type_, title = "invalid-model", "Model refused"


class ModelConflict(Conflict):
    """Another model is registered under this name and version."""

    type_, title = "model-conflict", "Version already registered"


class ModelNotFound(NotFound):
    """No model has this name with this version or alias."""

    type_, title = "model-not-found", "Model not found"


class NoModel(Conflict):
    """The alias a prediction asked for points at no model."""

    type_, title = "no-model", "No model behind the alias"


class FeatureMismatch(Unprocessable):
    """The features are not those of the model's signature."""

    type_, title = "feature-mismatch", "Features do not fit the model"


class PredictionConflict(Conflict):
    """Another request is stored under this prediction_id."""

    type_, title = "prediction-conflict", "Prediction id already used"


class PredictionNotFound(NotFound):
    """No prediction has this id."""

    type_, title = "prediction-not-found", "Prediction not found"


class ModelIntegrity(InternalError):
    """The stored model is not the one that was registered."""

    type_, title = "model-integrity", "Stored model was altered"


class ModelOutput(InternalError):
    """The model gave something that is not a probability."""

    type_, title = "model-output", "Model gave no probability"
