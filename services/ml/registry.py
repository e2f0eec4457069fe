"""Decide whether an upload is a model this service may keep."""

from services.ml.core.onnx_format import structure_problems
from services.ml.core.signature import probe_rows, signature_problems
from services.ml.problems import InvalidModel
from services.ml.scoring import Scorer, ScoringError
from shared.schemas.ml import ModelUpload


def check_upload(upload: ModelUpload, max_bytes: int) -> None:
    """Load and try the model of an upload. Blocks for some milliseconds. Raises InvalidModel naming what is wrong."""
    if len(upload.onnx) > max_bytes:
        raise _refused([("onnx", f"the model has {len(upload.onnx)} bytes; at most {max_bytes} are taken")])
    problems = [("signature", text) for text in signature_problems(upload.signature)]
    problems += [("onnx", text) for text in structure_problems(upload.onnx)]
    if problems:
        raise _refused(problems)
    try:
        scorer = Scorer(upload.onnx)
        problems = [("onnx", text) for text in scorer.interface_problems(len(upload.signature.features))]
        if problems:
            raise _refused(problems)
        _try(scorer, upload)
    except ScoringError as error:
        raise _refused([("onnx", str(error))]) from None


def _try(scorer: Scorer, upload: ModelUpload) -> None:
    """Score the middle and both ends of the ranges, twice. Raises ScoringError."""
    for row in probe_rows(upload.signature):
        if scorer.score(row) != scorer.score(row):
            raise ScoringError("the same row gave two different scores")


def _refused(problems: list[tuple[str, str]]) -> InvalidModel:
    return InvalidModel(
        f"The model is refused: {'; '.join(text for _, text in problems[:5])}",
        errors=[{"location": f"body.{part}", "message": text, "code": "invalid_model"} for part, text in problems[:20]],
    )
