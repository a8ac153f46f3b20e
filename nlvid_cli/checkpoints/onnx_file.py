"""ONNX files, looked through before a runtime gets them: what is in them, and that they hide nothing.

nlvid runs ONNX files where torch is not installed, and the package ``onnx`` need not be either; so this reads the
format itself (onnx.proto of https://github.com/onnx/onnx; the numbers below are its field numbers). A file from outside
may be anything. Refused are weights outside the file, tensors that are not as large as they say, operators of
libraries, loops, and shapes that no video has. What remains is arithmetic on the memory that it asks for.
"""

from __future__ import annotations

import math
import mmap
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from nlvid_cli.checkpoints.protobuf import Value, WireError, fields, int64s, integers, message, text
from nlvid_cli.errors import ModelFileError, UnsafeFile

MAX_FILE_BYTES = 2**31
"""A message of Protocol Buffers cannot be longer."""

MAX_NODES = 100_000
"""Operators in a file; the largest network that nlvid knows has 2000."""

MAX_DEPTH = 8
"""Graphs within graphs."""

MAX_MADE_VALUES = 2**28
"""Numbers that one operator may make out of nothing but a shape that stands in the file."""

TYPES: dict[int, tuple[str, int]] = {
    1: ("float32", 32), 2: ("uint8", 8), 3: ("int8", 8), 4: ("uint16", 16), 5: ("int16", 16), 6: ("int32", 32),
    7: ("int64", 64), 9: ("bool", 8), 10: ("float16", 16), 11: ("float64", 64), 12: ("uint32", 32), 13: ("uint64", 64),
    16: ("bfloat16", 16), 17: ("float8e4m3fn", 8), 18: ("float8e4m3fnuz", 8), 19: ("float8e5m2", 8),
    20: ("float8e5m2fnuz", 8), 21: ("uint4", 4), 22: ("int4", 4),
}  # fmt: skip
"""Types of elements, and their size in bits."""

DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc")
"""Where operators come from: the standard, and ONNX Runtime itself. Others are in libraries, which are not loaded."""

ENDLESS = ("Loop", "Scan")
"""Operators that repeat a graph as often as the file wants."""

_TYPED_DATA = {4: 4, 10: 8}  # float_data and double_data, by the size of an element in bytes
_VARINT_DATA = (5, 7, 11)  # int32_data (also of smaller types), int64_data, uint64_data


@dataclass(frozen=True)
class Port:
    """An input or an output of the graph: its name, the type of its elements, and its shape (None: any length).

    ``shape`` itself is None where the file does not tell it.
    """

    name: str
    kind: str
    shape: tuple[int | None, ...] | None


@dataclass(frozen=True)
class OnnxModel:
    """What an ONNX file says of itself.

    Attributes:
        opset: version of the standard operators.
        producer: the program that wrote the file.
        metadata: texts by key.
        inputs: those that must be given.
        outputs: of the graph.
        operators: how often each operator is in it.
        makers: by name of a value, the operator whose output it is.
        weight_kinds: bytes of weights, by the type of their elements.
    """

    opset: int
    producer: str
    metadata: Mapping[str, str]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    operators: Mapping[str, int]
    makers: Mapping[str, str]
    weight_kinds: Mapping[str, int]


@dataclass
class _Walk:
    """What a walk through a file has come by."""

    domains: set[str]
    operators: Counter[str] = field(default_factory=Counter)
    weight_kinds: Counter[str] = field(default_factory=Counter)
    makers: dict[str, str] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)  # small constants, which may be used as shapes


def is_onnx_name(name: str) -> bool:
    """Whether a file of this name is meant as ONNX."""
    return name.lower().endswith(".onnx")


def read_onnx(path: Path) -> OnnxModel:
    """Look through an ONNX file, without running anything of it.

    Raises:
        ModelFileError: there is no such file, or it is no ONNX model, or damaged.
        UnsafeFile: it asks for other files, for libraries, or for absurd amounts of memory.
    """
    try:
        with open(path, "rb") as file:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)  # closed when the last view of it is gone
        if len(content) > MAX_FILE_BYTES:
            raise ModelFileError(f"{path}: {len(content)} bytes; an ONNX file has at most {MAX_FILE_BYTES}")
        return _model(memoryview(content))
    except OSError as error:
        raise ModelFileError(f"{path}: the model file cannot be read ({error.strerror or error})") from None
    except UnsafeFile as error:
        raise UnsafeFile(f"{path}: {error}") from None
    except (WireError, ValueError) as error:  # an empty file cannot be mapped: ValueError
        reason = "it is empty" if path.stat().st_size == 0 else str(error)
        raise ModelFileError(f"{path}: not a whole ONNX file ({reason}); fetch or export it again") from None


def _model(data: memoryview) -> OnnxModel:
    parts: dict[int, list[Value]] = {}
    for number, value in fields(data):
        parts.setdefault(number, []).append(value)
    graphs, functions = parts.get(7, []), [message(value) for value in parts.get(25, [])]
    if len(graphs) != 1:
        raise WireError(f"it holds {len(graphs)} graphs" if graphs else "it holds no graph")
    walk = _Walk({*DOMAINS, *(_text_of(function, 10) for function in functions)})
    for function in functions:
        for node in _messages(function, 7):
            _node(node, walk, 0)
        for attribute in _messages(function, 11):  # what a call that does not give it gets
            _attribute(attribute, "", walk, 0)
    graph = message(graphs[0])
    stored = _graph(graph, walk, 0)
    opsets = [_opset(message(value)) for value in parts.get(8, [])]
    properties = [message(value) for value in parts.get(14, [])]
    return OnnxModel(
        opset=max((version for domain, version in opsets if domain in ("", "ai.onnx")), default=1),
        producer=" ".join(text(value) for number in (2, 3) for value in parts.get(number, [])[-1:]),
        metadata={_text_of(entry, 1): _text_of(entry, 2, 2**24) for entry in properties},
        inputs=tuple(port for port in map(_port, _messages(graph, 11)) if port.name not in stored),
        outputs=tuple(map(_port, _messages(graph, 12))),
        operators=dict(walk.operators),
        makers=walk.makers,
        weight_kinds=dict(walk.weight_kinds),
    )


def _graph(graph: memoryview, walk: _Walk, depth: int) -> set[str]:
    """Look through a graph; gives the names of the weights in it."""
    if depth > MAX_DEPTH:
        raise UnsafeFile(f"has graphs within graphs deeper than {MAX_DEPTH}")
    stored: set[str] = set()
    nodes = []
    for number, value in fields(graph):
        if number == 5:
            name, kind, size_bytes = _tensor(message(value), walk)
            stored.add(name)
            walk.weight_kinds[kind] += size_bytes
        elif number == 15:
            raise UnsafeFile("has sparse weights, which nlvid does not read; write them as ordinary ones")
        elif number == 1:
            nodes.append(message(value))
    for node in nodes:
        _node(node, walk, depth)
    return stored


def _node(node: memoryview, walk: _Walk, depth: int) -> None:
    kind, domain = _text_of(node, 4), _text_of(node, 7)
    walk.operators[kind] += 1
    if walk.operators.total() > MAX_NODES:
        raise UnsafeFile(f"has more than {MAX_NODES} operators")
    if domain not in walk.domains:
        raise UnsafeFile(f"needs the operator {kind} of {domain!r}, which is in a library; nlvid loads no libraries")
    if domain in DOMAINS and kind in ENDLESS:
        raise UnsafeFile(f"has a loop (operator {kind}); no network that nlvid knows needs one")
    inputs = [text(value) for number, value in fields(node) if number == 1]
    outputs = [text(value) for number, value in fields(node) if number == 2]
    walk.makers.update(dict.fromkeys(outputs, kind))
    shape_at = {"ConstantOfShape": 0, "Expand": 1}.get(kind)
    if shape_at is not None and len(inputs) > shape_at:
        made = math.prod(abs(length) for length in walk.shapes.get(inputs[shape_at], ()))
        if made > MAX_MADE_VALUES:
            raise UnsafeFile(f"makes a tensor of {made} values out of nothing (operator {kind})")
    for attribute in _messages(node, 5):
        _attribute(attribute, outputs[0] if outputs else "", walk, depth)


def _attribute(attribute: memoryview, output: str, walk: _Walk, depth: int) -> None:
    """Look through an attribute; a tensor in it is that of a constant, whose name is the node's ``output``."""
    for number, value in fields(attribute):
        if number in (5, 10):
            _tensor(message(value), walk, output)
        elif number in (6, 11):
            _graph(message(value), walk, depth + 1)
        elif number in (22, 23):
            raise UnsafeFile("has sparse tensors, which nlvid does not read; write them as ordinary ones")


def _tensor(tensor: memoryview, walk: _Walk, name: str | None = None) -> tuple[str, str, int]:
    """Name, type and size in bytes of a tensor, whose data must be in the file and as much as its shape says."""
    dims: list[int] = []
    code, raw, elements = 0, None, 0
    own_name = ""
    for number, value in fields(tensor):
        if number == 1:
            dims += integers(value)
        elif number == 2 and isinstance(value, int):
            code = value
        elif number == 8:
            own_name = text(value)
        elif number == 9:
            raw = message(value)
        elif number == 13 or (number == 14 and value == 1):
            raise UnsafeFile(_outside(tensor))
        elif number in _TYPED_DATA or number in _VARINT_DATA:
            elements += _count(number, value)
    if code not in TYPES:
        raise WireError(f"the tensor {own_name!r} has elements of type {code}, which nlvid does not know")
    kind, bits = TYPES[code]
    if len(dims) > 16 or min(dims, default=0) < 0:
        raise WireError(f"the tensor {own_name!r} has the shape {dims[:17]}")
    count = math.prod(dims)
    there = len(raw) * 8 // bits if raw is not None else elements
    if (raw is not None and len(raw) != -(-count * bits // 8)) or (
        raw is None and there < count * bits // max(bits, 8)
    ):
        raise WireError(f"the tensor {own_name!r} has the shape {dims}, which is {count} values, but {there} are there")
    if kind == "int64" and count <= 16:
        walk.shapes[own_name if name is None else name] = _small(tensor, raw)
    return own_name, kind, -(-count * bits // 8)


def _small(tensor: memoryview, raw: memoryview | None) -> tuple[int, ...]:
    if raw is not None:
        return int64s(raw)
    return tuple(entry for number, value in fields(tensor) if number == 7 for entry in integers(value))


def _count(number: int, value: Value) -> int:
    """How many elements a field of typed data holds."""
    if isinstance(value, int):
        return 1
    if number in _TYPED_DATA:
        return len(value) // _TYPED_DATA[number]
    return int((np.frombuffer(value, np.uint8) < 0x80).sum())  # the last byte of a number is below 128


def _outside(tensor: memoryview) -> str:
    entries = {_text_of(entry, 1): _text_of(entry, 2) for entry in _messages(tensor, 13)}
    return (
        f"keeps weights outside itself, in {entries.get('location', 'a file that it does not name')!r}; nlvid opens no "
        "other file because of a file. If you trust it, make one file of it with the package onnx: "
        "onnx.save(onnx.load('model.onnx'), 'one.onnx')"
    )


def _port(value_info: memoryview) -> Port:
    for type_ in _messages(value_info, 2):
        for tensor in _messages(type_, 1):
            code = next((value for number, value in fields(tensor) if number == 1), 0)
            shape = next((_shape(shape) for shape in _messages(tensor, 2)), None)
            kind = TYPES.get(code, ("unknown", 0))[0] if isinstance(code, int) else "unknown"
            return Port(_text_of(value_info, 1), kind, shape)
    return Port(_text_of(value_info, 1), "unknown", None)


def _shape(shape: memoryview) -> tuple[int | None, ...]:
    lengths: list[int | None] = []
    for dim in _messages(shape, 1):
        length = next((entry for number, value in fields(dim) if number == 1 for entry in integers(value)), None)
        lengths.append(length if length is None or length > 0 else None)  # 0 and -1 are old ways to say "any"
    if len(lengths) > 16:
        raise WireError(f"an input or output has {len(lengths)} axes")
    return tuple(lengths)


def _opset(entry: memoryview) -> tuple[str, int]:
    version = next((value for number, value in fields(entry) if number == 2), 0)
    return _text_of(entry, 1), version if isinstance(version, int) else 0


def _messages(parent: memoryview, wanted: int) -> Iterator[memoryview]:
    """The messages in a field that may be there many times."""
    return (message(value) for number, value in fields(parent) if number == wanted)


def _text_of(parent: memoryview, wanted: int, limit: int = 2**16) -> str:
    """The text in a field; empty where it is not there."""
    return next((text(value, limit) for number, value in fields(parent) if number == wanted), "")
