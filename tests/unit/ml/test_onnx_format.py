import pickle
from pathlib import Path

import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from services.ml.core.onnx_format import ALLOWED_DOMAINS, LAYOUT, REFUSED_OPERATORS, REPEATED, structure_problems
from tests.unit.ml.onnx_factory import external_tensor, hidden_in_branch, model

pytestmark = pytest.mark.unit


def test_the_layout_is_that_of_onnx() -> None:
    for message, fields in LAYOUT.items():
        real = getattr(onnx, message, None) or onnx.onnx_ml_pb2.__dict__[message]
        for name, (number, kind) in fields.items():
            field = real.DESCRIPTOR.fields_by_name[name]
            assert field.number == number, (message, name)
            assert field.is_repeated == (name in REPEATED), (message, name)
            assert (field.message_type.name if field.message_type else "") == kind.removeprefix("#"), (message, name)


def test_no_message_of_onnx_that_can_hold_a_tensor_or_a_graph_is_left_out() -> None:
    dangerous = {"TensorProto", "SparseTensorProto", "GraphProto", "NodeProto", "AttributeProto"}
    for message in dangerous | {"ModelProto"}:
        for field in getattr(onnx, message).DESCRIPTOR.fields:
            if field.message_type is not None and field.message_type.name in dangerous:
                assert field.name in LAYOUT[message], (message, field.name)


def test_a_plain_model_has_no_problems() -> None:
    assert structure_problems(model().SerializeToString()) == []


def test_ml_operators_are_taken() -> None:
    scaler = helper.make_node("Scaler", ["linear"], ["scaled"], domain="ai.onnx.ml", offset=[0.0], scale=[1.0])
    sigmoid = helper.make_node("Sigmoid", ["scaled"], ["raw"])
    made = model(raw=[scaler, sigmoid], opsets=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)])
    assert structure_problems(made.SerializeToString()) == []


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello, this is no model",
        pickle.dumps({"model": [1.0, 2.0]}),
        model().SerializeToString()[:-7],
        model().SerializeToString()[:60],
        b"\x08\x08",
        bytes(range(256)) * 4,
        b"\x00" * 1000,
    ],
    ids=["empty", "text", "pickle", "truncated", "cut short", "no graph", "noise", "zeros"],
)
def test_other_bytes_are_not_a_model(data: bytes) -> None:
    (problem,) = structure_problems(data)
    assert problem.startswith("the bytes are not an ONNX model")


def test_the_flatbuffer_format_of_onnxruntime_is_not_taken(tmp_path: Path) -> None:
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "model.ort")
    options.add_session_config_entry("session.save_model_format", "ORT")
    options.log_severity_level = 4
    onnxruntime.InferenceSession(model().SerializeToString(), options)
    assert structure_problems((tmp_path / "model.ort").read_bytes())


def test_contrib_operators_that_onnxruntime_would_run_are_refused() -> None:
    node = helper.make_node("Gelu", ["linear"], ["raw"], domain="com.microsoft")
    made = model(raw=[node], opsets=[helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)])
    data = made.SerializeToString()
    onnxruntime.InferenceSession(data)
    assert structure_problems(data) == ["operator domain com.microsoft is not taken; only ai.onnx and ai.onnx.ml are"]


def test_an_operator_hidden_in_a_branch_is_found() -> None:
    node = helper.make_node("Gelu", ["raw"], ["chosen"], domain="com.microsoft")
    assert any("com.microsoft" in problem for problem in structure_problems(hidden_in_branch(node).SerializeToString()))


@pytest.mark.parametrize("operator", sorted(REFUSED_OPERATORS))
def test_operators_that_loop_or_draw_are_refused(operator: str) -> None:
    node = helper.make_node(operator, ["linear"], ["raw"])
    assert any(
        f"operator {operator} " in problem for problem in structure_problems(model(raw=[node]).SerializeToString())
    )


def test_every_random_operator_of_onnx_is_refused() -> None:
    random = {
        schema.name
        for schema in onnx.defs.get_all_schemas()
        if schema.domain in ALLOWED_DOMAINS and "seed" in schema.attributes
    }
    assert random
    assert random <= REFUSED_OPERATORS


def test_a_tensor_in_another_file_is_refused() -> None:
    data = model(
        initializers=[external_tensor("/etc/hostname")],
        raw=[
            helper.make_node("Mul", ["linear", "outside"], ["scaled"]),
            helper.make_node("Sigmoid", ["scaled"], ["raw"]),
        ],
    ).SerializeToString()
    assert structure_problems(data) == ["tensor outside is kept in another file"]


def test_a_tensor_in_another_file_is_refused_inside_an_attribute() -> None:
    node = helper.make_node("Constant", [], ["chosen"], value=external_tensor("weights.bin"))
    assert structure_problems(hidden_in_branch(node).SerializeToString()) == ["tensor outside is kept in another file"]


def test_local_functions_are_refused() -> None:
    made = model()
    made.functions.append(
        helper.make_function("", "Twice", ["x"], ["y"], [helper.make_node("Add", ["x", "x"], ["y"])], made.opset_import)
    )
    assert structure_problems(made.SerializeToString()) == ["local functions are not taken"]


def test_names_from_the_file_are_shown_short_and_printable() -> None:
    node = helper.make_node("Sigmoid", ["linear"], ["raw"], domain="evil\n\x00" + "x" * 10_000)
    (problem,) = structure_problems(model(raw=[node]).SerializeToString())
    assert problem.isprintable()
    assert len(problem) < 200


def _field(number: int, payload: bytes) -> bytes:
    size, rest = b"", len(payload)
    while rest >= 128:
        size, rest = size + bytes([rest & 127 | 128]), rest >> 7
    return bytes([number << 3 | 2]) + size + bytes([rest]) + payload


@pytest.mark.parametrize(("depth", "taken"), [(10, True), (5_000, False)])
def test_deep_nesting_is_no_crash(depth: int, *, taken: bool) -> None:
    identity = _field(1, _field(4, b"Identity"))
    graph = identity
    for _ in range(depth):
        graph = identity + _field(1, _field(4, b"If") + _field(5, _field(6, graph)))
    problems = structure_problems(b"\x08\x08" + _field(7, graph))
    assert problems == ([] if taken else ["the bytes are not an ONNX model"])


def test_type_of_an_element_is_left_to_onnxruntime() -> None:
    assert structure_problems(model(input_type=TensorProto.DOUBLE).SerializeToString()) == []
