"""A walk through an ONNX model: every graph, function, operator, attribute and tensor, at any depth."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, numpy_helper

from nlvid_cli.errors import UnsafeFile
from nlvid_cli.models.onnx_file.read import OnnxModel, Port
from nlvid_cli.models.onnx_file.wire import check_fields

MAX_NODES = 100_000
"""Operators in a file, with those of a function at each of its calls; the largest known network has 2000."""

MAX_DEPTH = 8
"""Graphs within graphs."""

MAX_MADE_VALUES = 2**28
"""Numbers that one operator may make from a shape in the file alone."""

MAX_AXES = 16
MAX_NAME = 2**16
MAX_METADATA = 2**24
"""Characters of a name, and of a value of the metadata."""

TYPES: dict[int, tuple[str, int]] = {
    TensorProto.FLOAT: ("float32", 32),
    TensorProto.UINT8: ("uint8", 8),
    TensorProto.INT8: ("int8", 8),
    TensorProto.UINT16: ("uint16", 16),
    TensorProto.INT16: ("int16", 16),
    TensorProto.INT32: ("int32", 32),
    TensorProto.INT64: ("int64", 64),
    TensorProto.BOOL: ("bool", 8),
    TensorProto.FLOAT16: ("float16", 16),
    TensorProto.DOUBLE: ("float64", 64),
    TensorProto.UINT32: ("uint32", 32),
    TensorProto.UINT64: ("uint64", 64),
    TensorProto.BFLOAT16: ("bfloat16", 16),
    TensorProto.FLOAT8E4M3FN: ("float8e4m3fn", 8),
    TensorProto.FLOAT8E4M3FNUZ: ("float8e4m3fnuz", 8),
    TensorProto.FLOAT8E5M2: ("float8e5m2", 8),
    TensorProto.FLOAT8E5M2FNUZ: ("float8e5m2fnuz", 8),
    TensorProto.UINT4: ("uint4", 4),
    TensorProto.INT4: ("int4", 4),
}
"""Types of elements, and their size in bits."""

DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc")
"""Origins of operators: the standard, and ONNX Runtime itself. Others are in libraries, which are not loaded."""

LOOPS = ("Loop", "Scan")
"""Operators that repeat a graph as often as the file wants."""

SHAPE_INPUT = {"ConstantOfShape": 0, "Expand": 1}
"""Operators that make values from a shape, and which of their inputs is the shape."""

NO_GRAPHS = MAX_DEPTH
"""Depth below which no graph is allowed: a function could use a graph that it is given any number of times."""


def inspect(data: memoryview) -> OnnxModel:
    """Parse an ONNX model and inspect every part of it.

    Raises:
        ValueError: The bytes are not an ONNX model, or are damaged.
        UnsafeFile: The model asks for other files, for libraries, or for absurd amounts of memory.
    """
    check_fields(data, onnx.ModelProto.DESCRIPTOR)
    try:
        model = onnx.ModelProto.FromString(data)
    except DecodeError as error:
        raise ValueError(str(error)) from None
    if not model.HasField("graph"):
        raise ValueError("it has no graph")
    walk = _Walk(model.functions)
    stored = walk.graph(model.graph, 0)
    walk.check_made()
    standard = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    return OnnxModel(
        opset=max(standard, default=1),
        producer=" ".join(name for name in (_name(model.producer_name), _name(model.producer_version)) if name),
        metadata={_text(entry.key): _text(entry.value, MAX_METADATA) for entry in model.metadata_props},
        inputs=tuple(port for port in map(_port, model.graph.input) if port.name not in stored),
        outputs=tuple(map(_port, model.graph.output)),
        operators=dict(walk.operators),
        makers=walk.makers,
        weight_kinds=dict(walk.weight_kinds),
    )


class _Walk:
    """A walk through a model, and what it has found so far."""

    def __init__(self, functions: Iterable[onnx.FunctionProto]) -> None:
        functions = list(functions)
        keys = [(_name(function.domain), _name(function.name)) for function in functions]
        self.operators: Counter[str] = Counter()
        self.weight_kinds: Counter[str] = Counter()
        self.makers: dict[str, tuple[str, str]] = {}
        self._domains = {*DOMAINS, *(domain for domain, _ in keys)}
        self._nodes = 0
        self._made: list[tuple[str, str]] = []  # operators that make values from a shape, and the name of the shape
        self._shapes: Counter[str] = Counter()  # for each small constant by name, its values if it is used as a shape
        self._function_sizes = dict.fromkeys(keys, 0)  # 0 while functions are inspected: they may not call each other
        sizes = [self._function(function) for function in functions]
        for key, size in zip(keys, sizes, strict=True):
            self._function_sizes[key] = max(self._function_sizes[key], size)

    def graph(self, graph: onnx.GraphProto, depth: int) -> set[str]:
        """Inspect a graph; return the names of its weights."""
        if depth > MAX_DEPTH:
            raise UnsafeFile(f"nests graphs deeper than {MAX_DEPTH}, or gives graphs to a function")
        if graph.sparse_initializer:
            raise UnsafeFile("has sparse weights, which nlvid does not read; store them as ordinary ones")
        stored = set()
        for tensor in graph.initializer:
            name = _text(tensor.name)
            kind, size_bytes = self._tensor(tensor, name)
            stored.add(name)
            self.weight_kinds[kind] += size_bytes
        for node in graph.node:
            self._node(node, depth)
        return stored

    def check_made(self) -> None:
        """Refuse huge tensors made from a shape alone. Call this last, because operators may come in any order."""
        for kind, name in self._made:
            if self._shapes[name] > MAX_MADE_VALUES:
                raise UnsafeFile(f"makes a tensor of {self._shapes[name]} values from a shape alone (operator {kind})")

    def _function(self, function: onnx.FunctionProto) -> int:
        """Inspect a function of the file; return the number of its operators."""
        if function.domain in DOMAINS:
            raise UnsafeFile(f"has a function with the name of an operator of the runtime ({_name(function.name)})")
        before = self._nodes
        for node in function.node:
            self._node(node, 0)
        for attribute in function.attribute_proto:  # defaults, for calls that do not give them
            self._attribute(attribute, "", NO_GRAPHS)
        return max(1, self._nodes - before)

    def _node(self, node: onnx.NodeProto, depth: int) -> None:
        kind, domain = _name(node.op_type), _name(node.domain)
        self.operators[kind] += 1
        size = self._function_sizes.get((domain, kind))
        if size == 0:
            raise UnsafeFile(f"has a function that calls another one ({kind}); export it with functions inlined")
        self._nodes += size or 1
        if self._nodes > MAX_NODES:
            raise UnsafeFile(f"has more than {MAX_NODES} operators")
        if domain not in self._domains:
            raise UnsafeFile(f"needs the operator {kind} of {domain!r}, which is in a library, and nlvid loads none")
        if domain in DOMAINS and kind in LOOPS:
            raise UnsafeFile(f"has a loop (operator {kind}); no known network for videos needs one")
        inputs, outputs = list(map(_text, node.input)), list(map(_text, node.output))
        self.makers.update(dict.fromkeys(outputs, (kind, inputs[0] if inputs else "")))
        shape = SHAPE_INPUT.get(kind)
        if shape is not None and len(inputs) > shape:
            self._made.append((kind, inputs[shape]))
        for attribute in node.attribute:
            self._attribute(attribute, outputs[0] if outputs else "", depth if size is None else NO_GRAPHS)

    def _attribute(self, attribute: onnx.AttributeProto, output: str, depth: int) -> None:
        """Inspect an attribute. If it holds a constant, ``output`` is the name of its value."""
        if attribute.HasField("sparse_tensor") or attribute.sparse_tensors:
            raise UnsafeFile("has sparse tensors, which nlvid does not read; store them as ordinary ones")
        # Check all fields, not only the one that the attribute's type names: a runtime may use another one.
        for tensor in (*([attribute.t] if attribute.HasField("t") else ()), *attribute.tensors):
            self._tensor(tensor, output)
        for graph in (*([attribute.g] if attribute.HasField("g") else ()), *attribute.graphs):
            self.graph(graph, depth + 1)
        if attribute.ints:
            self._note_shape(output, attribute.ints[:MAX_AXES])

    def _tensor(self, tensor: TensorProto, name: str) -> tuple[str, int]:
        """Check a tensor, whose value has a ``name``; return the type of its elements and its size in bytes."""
        if tensor.external_data or tensor.data_location == TensorProto.EXTERNAL:
            raise UnsafeFile(_outside(tensor))
        kind, bits = TYPES.get(tensor.data_type, ("", 0))
        if not kind:
            raise ValueError(f"the tensor {tensor.name!r} has elements of the unknown type {tensor.data_type}")
        dims = list(tensor.dims[: MAX_AXES + 1])
        if len(dims) > MAX_AXES or min(dims, default=0) < 0:
            raise ValueError(f"the tensor {tensor.name!r} has the shape {dims}")
        count = math.prod(dims)
        size_bytes = -(-count * bits // 8)
        if tensor.HasField("raw_data"):
            given_bytes = len(tensor.raw_data)
            given, fits = given_bytes * 8 // bits, given_bytes == size_bytes
        else:
            typed = (tensor.float_data, tensor.double_data, tensor.int32_data, tensor.int64_data, tensor.uint64_data)
            given = sum(map(len, typed))
            fits = given >= count * bits // max(bits, 8)
        if not fits:
            raise ValueError(f"the tensor {tensor.name!r} has the shape {dims}, or {count} values, but holds {given}")
        if kind == "int64" and count <= MAX_AXES:
            self._note_shape(name, numpy_helper.to_array(tensor).ravel().tolist())
        return kind, size_bytes

    def _note_shape(self, name: str, lengths: Iterable[int]) -> None:
        """Note what a constant would be as a shape. Functions may use a name again: the largest one counts."""
        self._shapes[name] = max(self._shapes[name], math.prod(map(abs, lengths)))


def _outside(tensor: TensorProto) -> str:
    places = {entry.key: entry.value for entry in tensor.external_data}
    return (
        f"keeps weights in another file, {places.get('location', 'which it does not name')!r}, and nlvid opens only "
        "the file that it is given. If you trust it, make one file of it with the package onnx: "
        "onnx.save(onnx.load('model.onnx'), 'one.onnx')"
    )


def _port(value: onnx.ValueInfoProto) -> Port:
    tensor = value.type.tensor_type
    kind, _ = TYPES.get(tensor.elem_type, ("unknown", 0))
    if not tensor.HasField("shape"):
        return Port(_name(value.name), kind, None)
    if len(tensor.shape.dim) > MAX_AXES:
        raise ValueError(f"an input or output has {len(tensor.shape.dim)} axes")
    lengths = (dim.dim_value for dim in tensor.shape.dim)
    return Port(_name(value.name), kind, tuple(n if n > 0 else None for n in lengths))  # 0 and -1 once meant "any"


def _text(value: str | bytes, limit: int = MAX_NAME) -> str:
    """Check a string of the file."""
    if isinstance(value, bytes):  # the parser returns bytes for what it cannot decode
        raise ValueError("a text is not UTF-8")
    if len(value) > limit:
        raise ValueError(f"a text of {len(value)} characters; at most {limit} are read")
    return value


def _name(value: str | bytes) -> str:
    """Check a string that messages show, and so may reach a terminal."""
    text = _text(value)
    if not text.isprintable():
        raise ValueError(f"the name {text[:80]!r} holds control characters")
    return text
