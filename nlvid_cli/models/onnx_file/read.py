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
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from nlvid_cli.errors import ModelFileError, UnsafeFile
from nlvid_cli.models.onnx_file.protobuf import (
    Parts,
    Value,
    WireError,
    int64s,
    integers_at,
    message_at,
    messages_at,
    name_at,
    number_at,
    parts_of,
    text,
    text_at,
)

MAX_FILE_BYTES = 2**31
"""A message of Protocol Buffers cannot be longer."""

MAX_NODES = 100_000
"""Operators in a file, with those of a function at each of its calls; the largest network that nlvid knows has 2000."""

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

MAX_AXES = 16

NO_GRAPHS = MAX_DEPTH
"""The depth at which no graph may follow: a function may use one that it is given as often as it likes."""

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
        makers: by name of a value, the operator whose output it is, and the name of the first value that this takes.
        weight_kinds: bytes of weights, by the type of their elements.
    """

    opset: int
    producer: str
    metadata: Mapping[str, str]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    operators: Mapping[str, int]
    makers: Mapping[str, tuple[str, str]]
    weight_kinds: Mapping[str, int]


@dataclass
class _Walk:
    """What a walk through a file has come by.

    Attributes:
        domains: where operators may be from.
        functions: of the file, by domain and name, with the number of their operators; 0 until all are looked through.
        nodes: operators so far, with those of functions at each call.
        shapes: by name of a small constant, which may be used as a shape: how many values that would be.
        made: operators that make values out of nothing but a shape, and the name of that.
    """

    domains: set[str]
    functions: dict[tuple[str, str], int]
    nodes: int = 0
    operators: Counter[str] = field(default_factory=Counter)
    weight_kinds: Counter[str] = field(default_factory=Counter)
    makers: dict[str, tuple[str, str]] = field(default_factory=dict)
    shapes: Counter[str] = field(default_factory=Counter)
    made: list[tuple[str, str]] = field(default_factory=list)

    def note_shape(self, name: str, lengths: Iterable[int]) -> None:
        """Names may be there again in functions: the largest one counts."""
        self.shapes[name] = max(self.shapes[name], math.prod(map(abs, lengths)))


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
    parts = parts_of(data, 2, 3)
    graphs = messages_at(parts, 7)
    if len(graphs) != 1:
        raise WireError(f"it holds {len(graphs)} graphs" if graphs else "it holds no graph")
    functions = [parts_of(function, 1, 10) for function in messages_at(parts, 25)]
    keys = [(name_at(function, 10), name_at(function, 1)) for function in functions]
    walk = _Walk({*DOMAINS, *(domain for domain, _ in keys)}, dict.fromkeys(keys, 0))
    sizes = [_function(function, walk) for function in functions]
    for key, size in zip(keys, sizes, strict=True):
        walk.functions[key] = max(walk.functions[key], size)
    graph = parts_of(graphs[0])
    stored = _graph(graph, walk, 0)
    for kind, name in walk.made:  # operators need not stand in the order in which they are computed
        if walk.shapes[name] > MAX_MADE_VALUES:
            raise UnsafeFile(f"makes a tensor of {walk.shapes[name]} values out of nothing (operator {kind})")
    opsets = [_opset(entry) for entry in messages_at(parts, 8)]
    properties = [parts_of(entry, 1, 2) for entry in messages_at(parts, 14)]
    return OnnxModel(
        opset=max((version for domain, version in opsets if domain in ("", "ai.onnx")), default=1),
        producer=" ".join(name_at(parts, number) for number in (2, 3) if number in parts),
        metadata={text_at(entry, 1): text_at(entry, 2, 2**24) for entry in properties},
        inputs=tuple(port for port in map(_port, messages_at(graph, 11)) if port.name not in stored),
        outputs=tuple(map(_port, messages_at(graph, 12))),
        operators=dict(walk.operators),
        makers=walk.makers,
        weight_kinds=dict(walk.weight_kinds),
    )


def _function(function: Parts, walk: _Walk) -> int:
    """Look through a function of the file; gives the number of its operators."""
    if text_at(function, 10) in DOMAINS:
        raise UnsafeFile(f"has a function under the name of an operator of the runtime ({name_at(function, 1)})")
    before = walk.nodes
    for node in messages_at(function, 7):
        _node(node, walk, 0)
    for attribute in messages_at(function, 11):  # what a call that does not give it gets
        _attribute(attribute, "", walk, NO_GRAPHS)
    return max(1, walk.nodes - before)


def _graph(graph: Parts, walk: _Walk, depth: int) -> set[str]:
    """Look through a graph; gives the names of the weights in it."""
    if depth > MAX_DEPTH:
        raise UnsafeFile(f"has graphs within graphs deeper than {MAX_DEPTH}, or gives them to a function")
    if 15 in graph:
        raise UnsafeFile("has sparse weights, which nlvid does not read; write them as ordinary ones")
    stored: set[str] = set()
    for tensor in messages_at(graph, 5):
        name, kind, size_bytes = _tensor(tensor, walk)
        stored.add(name)
        walk.weight_kinds[kind] += size_bytes
    for node in messages_at(graph, 1):
        _node(node, walk, depth)
    return stored


def _node(node: memoryview, walk: _Walk, depth: int) -> None:
    parts = parts_of(node, 4, 7)
    kind, domain = name_at(parts, 4), name_at(parts, 7)
    walk.operators[kind] += 1
    size = walk.functions.get((domain, kind))
    if size == 0:
        raise UnsafeFile(f"has a function that calls another one ({kind}); export it with functions written out")
    walk.nodes += size or 1
    if walk.nodes > MAX_NODES:
        raise UnsafeFile(f"has more than {MAX_NODES} operators")
    if domain not in walk.domains:
        raise UnsafeFile(f"needs the operator {kind} of {domain!r}, which is in a library; nlvid loads no libraries")
    if domain in DOMAINS and kind in ENDLESS:
        raise UnsafeFile(f"has a loop (operator {kind}); no network that nlvid knows needs one")
    inputs, outputs = ([text(value) for value in parts.get(number, ())] for number in (1, 2))
    walk.makers.update(dict.fromkeys(outputs, (kind, inputs[0] if inputs else "")))
    shape_at = {"ConstantOfShape": 0, "Expand": 1}.get(kind)
    if shape_at is not None and len(inputs) > shape_at:
        walk.made.append((kind, inputs[shape_at]))
    for attribute in messages_at(parts, 5):
        _attribute(attribute, outputs[0] if outputs else "", walk, depth if size is None else NO_GRAPHS)


def _attribute(attribute: memoryview, output: str, walk: _Walk, depth: int) -> None:
    """Look through an attribute; what is in it may be a constant, whose name is the node's ``output``."""
    parts = parts_of(attribute, 5, 6)
    if 22 in parts or 23 in parts:
        raise UnsafeFile("has sparse tensors, which nlvid does not read; write them as ordinary ones")
    for tensor in (*messages_at(parts, 5), *messages_at(parts, 10)):
        _tensor(tensor, walk, output)
    for graph in (*messages_at(parts, 6), *messages_at(parts, 11)):
        _graph(parts_of(graph), walk, depth + 1)
    if 8 in parts:
        walk.note_shape(output, integers_at(parts, 8, MAX_AXES))


def _tensor(tensor: memoryview, walk: _Walk, name: str | None = None) -> tuple[str, str, int]:
    """Name, type and size in bytes of a tensor, whose data must be in the file and as much as its shape says."""
    parts = parts_of(tensor, 2, 8, 9, 14)
    own_name = text_at(parts, 8)
    if 13 in parts or parts.get(14) == [1]:
        raise UnsafeFile(_outside(parts))
    code = number_at(parts, 2)
    if code not in TYPES:
        raise WireError(f"the tensor {own_name!r} has elements of type {code}, which nlvid does not know")
    kind, bits = TYPES[code]
    dims = integers_at(parts, 1, MAX_AXES + 1)
    if len(dims) > MAX_AXES or min(dims, default=0) < 0:
        raise WireError(f"the tensor {own_name!r} has the shape {dims}")
    count = math.prod(dims)
    raw = message_at(parts, 9) if 9 in parts else None
    if raw is not None:
        there, fits = len(raw) * 8 // bits, len(raw) == -(-count * bits // 8)
    else:
        there = sum(
            _count(number, value) for number in (*_TYPED_DATA, *_VARINT_DATA) for value in parts.get(number, ())
        )
        fits = there >= count * bits // max(bits, 8)
    if not fits:
        raise WireError(f"the tensor {own_name!r} has the shape {dims}, which is {count} values, but {there} are there")
    if kind == "int64" and count <= MAX_AXES:
        lengths = int64s(raw) if raw is not None else integers_at(parts, 7, count)
        walk.note_shape(own_name if name is None else name, lengths)
    return own_name, kind, -(-count * bits // 8)


def _count(number: int, value: Value) -> int:
    """How many elements a field of typed data holds."""
    if isinstance(value, int):
        return 1
    if number in _TYPED_DATA:
        return len(value) // _TYPED_DATA[number]
    return int((np.frombuffer(value, np.uint8) < 0x80).sum())  # the last byte of a number is below 128


def _outside(tensor: Parts) -> str:
    entries = [parts_of(entry, 1, 2) for entry in messages_at(tensor, 13)]
    places = {text_at(entry, 1): text_at(entry, 2) for entry in entries}
    return (
        f"keeps weights outside itself, in {places.get('location', 'a file that it does not name')!r}; nlvid opens no "
        "other file because of a file. If you trust it, make one file of it with the package onnx: "
        "onnx.save(onnx.load('model.onnx'), 'one.onnx')"
    )


def _port(value_info: memoryview) -> Port:
    info = parts_of(value_info, 1, 2)
    tensor = parts_of(message_at(parts_of(message_at(info, 2), 1), 1), 1, 2)
    kind = TYPES.get(number_at(tensor, 1), ("unknown", 0))[0]
    return Port(name_at(info, 1), kind, _shape(message_at(tensor, 2)) if 2 in tensor else None)


def _shape(shape: memoryview) -> tuple[int | None, ...]:
    dims = [parts_of(dim, 1) for dim in messages_at(parts_of(shape), 1)]
    if len(dims) > MAX_AXES:
        raise WireError(f"an input or output has {len(dims)} axes")
    lengths = [integers_at(dim, 1, 1) for dim in dims]
    return tuple(found[0] if found and found[0] > 0 else None for found in lengths)  # 0 and -1 are old for "any"


def _opset(entry: memoryview) -> tuple[str, int]:
    parts = parts_of(entry, 1, 2)
    return text_at(parts, 1), number_at(parts, 2)
