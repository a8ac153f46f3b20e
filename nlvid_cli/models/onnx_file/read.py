"""ONNX files, inspected before a runtime gets them: what they contain, and that they hide nothing.

A file from outside may be anything. Refused are weights outside the file, tensors of another size than they state,
operators of libraries, loops, and shapes that no video has. What remains is arithmetic on the memory that it asks for.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nlvid_cli.errors import ModelFileError, UnsafeFile

MAX_FILE_BYTES = 2**31
"""A message of Protocol Buffers cannot be longer."""


@dataclass(frozen=True)
class Port:
    """An input or an output of a graph.

    Attributes:
        name: Its name.
        kind: Type of its elements, such as ``float32``.
        shape: Length of each axis, None for any length. None as a whole if the file does not state it.
    """

    name: str
    kind: str
    shape: tuple[int | None, ...] | None


@dataclass(frozen=True)
class OnnxModel:
    """What an ONNX file says of itself.

    Attributes:
        opset: Version of the standard operators.
        producer: Program that wrote the file.
        metadata: Texts by key.
        inputs: Inputs that must be given, without the weights that old files list among them.
        outputs: Outputs of the graph.
        operators: Number of times each operator occurs.
        makers: For each value by name, the operator that computes it and the name of that operator's first input.
        weight_kinds: Bytes of weights, by the type of their elements.
    """

    opset: int
    producer: str
    metadata: Mapping[str, str]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    operators: Mapping[str, int]
    makers: Mapping[str, tuple[str, str]]
    weight_kinds: Mapping[str, int]


def is_onnx_name(name: str) -> bool:
    """Whether a file of this name is taken for an ONNX file."""
    return name.lower().endswith(".onnx")


def read_onnx(path: Path) -> OnnxModel:
    """Inspect an ONNX file, without running anything in it.

    Raises:
        ModelFileError: The file does not exist, is not an ONNX model, or is damaged.
        UnsafeFile: It asks for other files, for libraries, or for absurd amounts of memory.
    """
    # The package onnx takes 0.2 s to import, so import it only for an ONNX file.
    from nlvid_cli.models.onnx_file.inspection import inspect

    try:
        return inspect(_mapped(path))
    except OSError as error:
        raise ModelFileError(f"{path}: the model file cannot be read ({error.strerror or error})") from None
    except UnsafeFile as error:
        raise UnsafeFile(f"{path}: {error}") from None
    except ValueError as error:
        raise ModelFileError(f"{path}: not a complete ONNX file ({error}); download or export it again") from None


def _mapped(path: Path) -> memoryview:
    """Return the content of a file, without reading it into memory."""
    with open(path, "rb") as file:
        size_bytes = os.fstat(file.fileno()).st_size
        if size_bytes == 0:
            raise ValueError("it is empty")
        if size_bytes > MAX_FILE_BYTES:
            raise ValueError(f"{size_bytes} bytes; an ONNX file has at most {MAX_FILE_BYTES}")
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))  # closed with its last view
