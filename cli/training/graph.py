"""The model as an ONNX graph, written by hand: the same numbers give the same bytes with any library version."""

from collections.abc import Sequence
from dataclasses import dataclass

OPSET = 13
IR_VERSION = 8


@dataclass(frozen=True, slots=True)
class LogisticModel:
    """A logistic regression on standardised features: sigmoid(((x - mean) / scale) . coefficients + intercept)."""

    mean: tuple[float, ...]
    scale: tuple[float, ...]
    coefficients: tuple[float, ...]
    intercept: float


def onnx_bytes(model: LogisticModel) -> bytes:
    """Return the graph: input `features` float32 [n, k], outputs `raw` and `calibrated` float32 [n, 1].

    `calibrated` is `raw` as it is: too few signals to fit a calibration on are left after validation.
    """
    from onnx import TensorProto, checker, helper

    width = len(model.coefficients)

    def constant(name: str, values: Sequence[float], shape: Sequence[int]) -> TensorProto:
        return helper.make_tensor(name, TensorProto.FLOAT, shape, values)

    graph = helper.make_graph(
        [
            helper.make_node("Sub", ["features", "mean"], ["centred"]),
            helper.make_node("Div", ["centred", "scale"], ["standardised"]),
            helper.make_node("Gemm", ["standardised", "coefficients", "intercept"], ["logit"]),
            helper.make_node("Sigmoid", ["logit"], ["raw"]),
            helper.make_node("Identity", ["raw"], ["calibrated"]),
        ],
        "signal_quality",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", width])],
        [
            helper.make_tensor_value_info("raw", TensorProto.FLOAT, ["n", 1]),
            helper.make_tensor_value_info("calibrated", TensorProto.FLOAT, ["n", 1]),
        ],
        [
            constant("mean", model.mean, [width]),
            constant("scale", model.scale, [width]),
            constant("coefficients", model.coefficients, [width, 1]),
            constant("intercept", [model.intercept], [1]),
        ],
    )
    proto = helper.make_model(
        graph, producer_name="keelson", opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
    )
    checker.check_model(proto, full_check=True)
    return bytes(proto.SerializeToString(deterministic=True))
