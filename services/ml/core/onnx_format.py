"""What an ONNX file says of itself, read without running or loading it.

onnxruntime alone does not suffice: it also loads its own contrib operators, its flatbuffer format and tensors kept in
other files. The message layout is a subset of onnx.proto; protobuf skips the fields that are not named here.
"""

from collections.abc import Iterator
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory  # type: ignore[import-untyped]
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

ALLOWED_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml"})
# A score must end and must be the same each time: no unbounded loops, no random draws.
REFUSED_OPERATORS = frozenset(
    {"Loop", "Scan", "Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform"}
    | {"RandomUniformLike", "Dropout"}
)

# message -> field name -> (number, message of the field, "" for bytes and "#" for an integer)
LAYOUT: dict[str, dict[str, tuple[int, str]]] = {
    "ModelProto": {
        "ir_version": (1, "#"),
        "graph": (7, "GraphProto"),
        "opset_import": (8, "OperatorSetIdProto"),
        "training_info": (20, "TrainingInfoProto"),
        "functions": (25, "FunctionProto"),
    },
    "OperatorSetIdProto": {"domain": (1, "")},
    "TrainingInfoProto": {},
    "FunctionProto": {},
    "GraphProto": {
        "node": (1, "NodeProto"),
        "initializer": (5, "TensorProto"),
        "sparse_initializer": (15, "SparseTensorProto"),
    },
    "NodeProto": {"op_type": (4, ""), "attribute": (5, "AttributeProto"), "domain": (7, "")},
    "AttributeProto": {
        "t": (5, "TensorProto"),
        "g": (6, "GraphProto"),
        "tensors": (10, "TensorProto"),
        "graphs": (11, "GraphProto"),
        "sparse_tensor": (22, "SparseTensorProto"),
        "sparse_tensors": (23, "SparseTensorProto"),
    },
    "SparseTensorProto": {"values": (1, "TensorProto"), "indices": (2, "TensorProto")},
    "TensorProto": {"name": (8, ""), "external_data": (13, "StringStringEntryProto"), "data_location": (14, "#")},
    "StringStringEntryProto": {},
}
REPEATED = frozenset(
    {"opset_import", "training_info", "functions", "node", "initializer", "sparse_initializer", "attribute"}
    | {"tensors", "graphs", "sparse_tensors", "external_data"}
)


def structure_problems(data: bytes) -> list[str]:
    """Return why these bytes are not an ONNX model this service takes; empty if they are.

    Checks: parses as ModelProto, operators of ai.onnx and ai.onnx.ml alone, none of REFUSED_OPERATORS, no local
    functions, no training graph, no tensor kept in another file, in every nested graph.
    """
    try:
        model = _MODEL.FromString(data)
    except DecodeError:
        return ["the bytes are not an ONNX model"]
    if not model.HasField("graph") or not model.graph.node or not model.ir_version:
        return ["the bytes are not an ONNX model: they hold no graph"]
    problems: dict[str, None] = {}
    for entry in model.opset_import:
        _check_domain(_text(entry.domain), problems)
    if model.functions:
        problems["local functions are not taken"] = None
    if model.training_info:
        problems["a training graph is not taken"] = None
    for message in _walk(model.graph):
        kind = message.DESCRIPTOR.name
        if kind == "NodeProto":
            _check_domain(_text(message.domain), problems)
            operator = _text(message.op_type)
            if operator in REFUSED_OPERATORS:
                problems[f"operator {operator} is not taken: a score must end and be the same each time"] = None
        elif kind == "TensorProto" and (message.data_location or message.external_data):
            problems[f"tensor {_text(message.name) or 'without a name'} is kept in another file"] = None
    return list(problems)


def _check_domain(domain: str, problems: dict[str, None]) -> None:
    if domain not in ALLOWED_DOMAINS:
        problems[f"operator domain {domain} is not taken; only ai.onnx and ai.onnx.ml are"] = None


def shown(text: str) -> str:
    """Return a name out of a model file fit for answers and logs: short and printable."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:64])


def _text(value: bytes) -> str:
    return shown(value[:64].decode("ascii", "replace"))


def _walk(message: Any) -> Iterator[Any]:
    """Yield every message below a graph. Nesting is bounded by protobuf's own limit of 100."""
    stack = [message]
    while stack:
        current = stack.pop()
        yield current
        for field, value in current.ListFields():
            if field.message_type is not None:
                stack.extend(value if field.name in REPEATED else [value])


def _model_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="keelson_onnx.proto", package="keelson_onnx", syntax="proto2")
    field_kind = descriptor_pb2.FieldDescriptorProto
    for message, fields in LAYOUT.items():
        described = file.message_type.add(name=message)
        for name, (number, kind) in fields.items():
            field = described.field.add(name=name, number=number)
            field.label = field_kind.LABEL_REPEATED if name in REPEATED else field_kind.LABEL_OPTIONAL
            if kind == "":
                field.type = field_kind.TYPE_BYTES
            elif kind == "#":
                field.type = field_kind.TYPE_INT64
            else:
                field.type, field.type_name = field_kind.TYPE_MESSAGE, f".keelson_onnx.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("keelson_onnx.ModelProto"))


_MODEL = _model_class()
