"""Run ONNX models with onnxruntime, one row at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime

from services.ml.core.onnx_format import shown

INPUT = "features"
OUTPUTS = ("raw", "calibrated")
RUNTIME = f"onnxruntime {onnxruntime.__version__}"
# Fatal only: what goes wrong is raised, and onnxruntime's own lines are not JSON.
_LOG_LEVEL = 4


class ScoringError(Exception):
    """The model cannot be loaded or run, or gave no probability."""


@dataclass(frozen=True, slots=True)
class Score:
    """The two outputs of a model, each within [0, 1]; float32 widened exactly."""

    raw: float
    calibrated: float


class Scorer:
    """One loaded model: float32 `features` [1, k] to `raw` [1, 1] and `calibrated` [1, 1]."""

    def __init__(self, onnx: bytes) -> None:
        """Load a model. Raises ScoringError."""
        options = onnxruntime.SessionOptions()
        # One row gains nothing from threads, and one thread keeps the order of every sum.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.use_deterministic_compute = True
        options.log_severity_level = _LOG_LEVEL
        options.add_session_config_entry("session.load_model_format", "ONNX")
        try:
            self._session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors share no base class of their own
            raise ScoringError(f"onnxruntime cannot load it: {_first_line(error)}") from None

    def interface_problems(self, features: int) -> list[str]:
        """Return how the model's inputs and outputs differ from what this service scores."""
        problems = []
        inputs = self._session.get_inputs()
        if [node.name for node in inputs] != [INPUT]:
            problems.append(f"it must have one input, `{INPUT}`; it has {_names(inputs)}")
        else:
            problems += _tensor_problems(inputs[0], features)
        outputs = self._session.get_outputs()
        if sorted(node.name for node in outputs) != sorted(OUTPUTS):
            problems.append(f"it must have the outputs `raw` and `calibrated`; it has {_names(outputs)}")
        else:
            for node in outputs:
                problems += _tensor_problems(node, 1)
        return problems

    def score(self, row: Sequence[float]) -> Score:
        """Score one row in signature order. Raises ScoringError if the result is not two probabilities."""
        values = np.array([row], dtype=np.float32)
        try:
            raw, calibrated = self._session.run(OUTPUTS, {INPUT: values})
        except Exception as error:  # as above
            raise ScoringError(f"onnxruntime cannot run it: {_first_line(error)}") from None
        return Score(_probability("raw", raw), _probability("calibrated", calibrated))


def _probability(name: str, output: Any) -> float:
    if output.shape != (1, 1):
        raise ScoringError(f"output `{name}` has shape {list(output.shape)} for one row, not [1, 1]")
    value = float(output[0, 0])
    # A NaN fails this comparison too.
    if not 0 <= value <= 1:
        raise ScoringError(f"output `{name}` is {value}, not a probability within [0, 1]")
    return value


def _tensor_problems(node: Any, columns: int) -> list[str]:
    problems = []
    if node.type != "tensor(float)":
        problems.append(f"`{node.name}` must be a float32 tensor; it is {node.type}")
    shape = list(node.shape or [])
    if len(shape) != 2 or shape[1] != columns or (isinstance(shape[0], int) and shape[0] != 1):
        problems.append(f"`{node.name}` must have shape [n, {columns}]; it has {shape}")
    return problems


def _names(nodes: Sequence[Any]) -> str:
    return ", ".join(shown(node.name) for node in nodes[:10]) or "none"


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:300] if str(error) else type(error).__name__
