"""Tiny ONNX models, the same bytes for the same arguments."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from shared.schemas.ml import FeatureSpec, ModelSignature

NAMES = ("spread", "momentum", "pcr")


def signature(names: Sequence[str] = NAMES, minimum: float = -2.0, maximum: float = 3.0) -> ModelSignature:
    return ModelSignature(features=[FeatureSpec(name=name, minimum=minimum, maximum=maximum) for name in names])


def model(
    features: int = 3,
    *,
    weights: Sequence[float] | None = None,
    raw: Sequence[Any] | None = None,
    calibrated: Sequence[Any] | None = None,
    input_name: str = "features",
    input_type: int = TensorProto.FLOAT,
    outputs: Sequence[tuple[str, int, Sequence[Any]]] | None = None,
    opsets: Sequence[Any] | None = None,
    initializers: Sequence[TensorProto] = (),
) -> ModelProto:
    """Return a logistic model: raw = sigmoid(features . w), calibrated = raw * raw.

    `raw` and `calibrated` replace the nodes that make those outputs; "linear" [n, 1] and "half" [1] are there to use.
    """
    values = weights or [0.5 * (index + 1) * (-1) ** index for index in range(features)]
    constants = [
        numpy_helper.from_array(np.array(values, dtype=np.float32).reshape(features, 1), "weights"),
        numpy_helper.from_array(np.array([0.5], dtype=np.float32), "half"),
        *initializers,
    ]
    nodes = [
        helper.make_node("MatMul", [input_name, "weights"], ["linear"]),
        *(raw or [helper.make_node("Sigmoid", ["linear"], ["raw"])]),
        *(calibrated or [helper.make_node("Mul", ["raw", "raw"], ["calibrated"])]),
    ]
    declared = outputs or [
        ("raw", TensorProto.FLOAT, ["n", 1]),
        ("calibrated", TensorProto.FLOAT, ["n", 1]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(input_name, input_type, ["n", features])],
        [helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in declared],
        constants,
    )
    return helper.make_model(graph, opset_imports=list(opsets or [helper.make_opsetid("", 17)]), ir_version=8)


def external_tensor(location: str) -> TensorProto:
    """Return a float32 [1] tensor whose bytes are said to be in another file."""
    tensor = numpy_helper.from_array(np.array([0.25], dtype=np.float32), "outside")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", "4")):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    return tensor


def hidden_in_branch(node: Any) -> ModelProto:
    """Return a model whose calibrated output comes from an If with the node in its `then` graph."""
    result = helper.make_tensor_value_info("chosen", TensorProto.FLOAT, None)
    plain = helper.make_graph([helper.make_node("Identity", ["raw"], ["chosen"])], "else", [], [result])
    hidden = helper.make_graph([node], "then", [], [result])
    condition = helper.make_tensor("yes", TensorProto.BOOL, [1], [True])
    choice = [helper.make_node("If", ["yes"], ["calibrated"], then_branch=hidden, else_branch=plain)]
    return model(calibrated=choice, initializers=[condition])
