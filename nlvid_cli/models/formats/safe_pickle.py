"""Read pickles of plain data and numpy arrays, without running anything that they ask for.

A pickle is a program. This reader restricts it:

1. The operations are read before any is executed. Only those that build plain data are allowed, and none may reserve
   memory that the file does not fill.
2. The only Python globals allowed are those of numpy arrays and byte strings. The pickle gets stand-ins from this file
   for them, never the functions themselves.
3. Arrays are made here, from bytes whose number matches a plain number type and the shape.

Everything else that a pickle names is refused with :class:`~nlvid_cli.errors.UnsafeFile`, which names it.
"""

from __future__ import annotations

import math
import mmap
import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import numpy as np

from nlvid_cli.errors import ModelFileError, NlvidError, UnsafeFile
from nlvid_cli.models.formats.operations import WHOLE_MODEL, global_of, operations, refused_global

# fmt: off
ALLOWED_OPCODES = frozenset((
    "PROTO", "FRAME", "STOP", "MARK", "MEMOIZE", "BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET",
    "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT",
    "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
    "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_LIST", "APPEND", "APPENDS",
    "EMPTY_DICT", "SETITEM", "SETITEMS", "GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD",
))
NUMBER_TYPES = frozenset(("b1", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8"))
# fmt: on
MAX_DEPTH = 16
"""Dicts within dicts."""
MAX_ARRAYS = 100_000


def read_arrays(path: Path) -> dict[tuple[str, ...], np.ndarray]:
    """Read a pickle of nested dicts with arrays as leaves, written by Python 2 or 3.

    Args:
        path: The file. Only its largest array is in memory twice.

    Returns:
        The read-only arrays by their path of keys, without leaves that are not arrays.

    Raises:
        UnsafeFile: The pickle asks for a global or an operation other than those of plain arrays.
        ModelFileError: The pickle is damaged, truncated, or not of nested dicts.
    """
    with open(path, "rb") as file:
        with mapped(file) as data:
            _scan(data, path.name)
        try:
            # Python 2 wrote both names and the bytes of arrays as byte strings, so read both as bytes.
            tree = _ArrayUnpickler(file, encoding="bytes").load()
        except NlvidError as error:
            raise type(error)(f"{path.name}: {error}") from None
        except Exception as error:  # a damaged pickle may raise anything, as pickle's documentation says
            raise ModelFileError(f"{path.name}: the pickle is damaged ({error}); download the file again") from error
    arrays: dict[tuple[str, ...], np.ndarray] = {}
    _collect(tree, (), arrays, path.name)
    return arrays


@contextmanager
def mapped(file: BinaryIO) -> Iterator[memoryview]:
    """Map the bytes of an open file without reading them into memory."""
    if not os.fstat(file.fileno()).st_size:
        yield memoryview(b"")
        return
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapping, memoryview(mapping) as data:
        yield data


def _scan(data: memoryview, name: str) -> None:
    """Check the operations without executing them; see point 1 of the module's docstring."""
    for count, operation in enumerate(operations(data, name), 1):
        if operation.name not in ALLOWED_OPCODES:
            what = f"INST {global_of(operation)}" if operation.name == "INST" else operation.name
            raise UnsafeFile(
                f"{name}: the pickle holds the operation {what}, which nlvid does not execute; {WHOLE_MODEL}"
            )
        # A memo index far beyond the number of entries makes Python reserve a table of that size.
        if operation.name in ("BINPUT", "LONG_BINPUT") and int.from_bytes(operation.argument, "little") > count:
            raise UnsafeFile(f"{name}: the pickle reserves memory that it does not use")


def _collect(tree: Any, keys: tuple[str, ...], arrays: dict[tuple[str, ...], np.ndarray], name: str) -> None:
    if isinstance(tree, _Array):
        arrays[keys] = tree.array()
    elif isinstance(tree, dict):
        if len(keys) == MAX_DEPTH or len(arrays) > MAX_ARRAYS:
            raise ModelFileError(f"{name}: the pickle is nested too deeply or too large")
        for key, value in tree.items():
            key = _text(key)
            if not isinstance(key, str):
                raise ModelFileError(f"{name}: the pickle has a key that is not a text; not a known checkpoint")
            _collect(value, (*keys, key), arrays, name)
    elif not keys:
        raise ModelFileError(f"{name}: the pickle is not a dict of arrays; not a known checkpoint")


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        stand_in = _GLOBALS.get((module, name))
        if stand_in is None:
            raise UnsafeFile(f"the pickle {refused_global(f'{module}.{name}')}")
        return stand_in

    def persistent_load(self, pid: Any) -> NoReturn:
        raise UnsafeFile("the pickle refers to objects outside the file")


class _StandIn:
    """What a pickle gets for a global. It cannot be changed, and only some subclasses can be called."""

    __slots__ = ()

    def __call__(self, *_: Any) -> Any:
        raise UnsafeFile("the pickle calls numpy.ndarray itself, which nlvid does not execute")

    def __setstate__(self, _: Any) -> NoReturn:
        raise UnsafeFile("the pickle tries to change a function of numpy")


class _Reconstruct(_StandIn):
    """``numpy.core.multiarray._reconstruct(ndarray, (0,), b"b")``: an array that BUILD fills."""

    __slots__ = ()

    def __call__(self, *arguments: Any) -> _Array:
        if len(arguments) != 3 or arguments[0] is not _NDARRAY:
            raise UnsafeFile("the pickle reconstructs something other than a plain numpy.ndarray")
        return _Array()


class _DtypeMaker(_StandIn):
    """``numpy.dtype("f4", False, True)``."""

    __slots__ = ()

    def __call__(self, *arguments: Any) -> _Dtype:
        code = _text(arguments[0]) if arguments else None
        if code not in NUMBER_TYPES:
            raise UnsafeFile(f"the pickle has an array of the type {str(code)[:40]!r}, not of plain numbers")
        return _Dtype(code)


class _Encode(_StandIn):
    """``_codecs.encode(text, "latin1")``: Python 3's form of byte strings in pickles for Python 2."""

    __slots__ = ()

    def __call__(self, *arguments: Any) -> bytes:
        text, encoding = arguments
        if not isinstance(text, str) or encoding != "latin1":
            raise UnsafeFile("the pickle calls _codecs.encode for something other than a byte string")
        return text.encode("latin1")


class _OrderedDict(_StandIn):
    """``collections.OrderedDict()``: a dict that SETITEMS fills."""

    __slots__ = ()

    def __call__(self, *arguments: Any) -> dict[Any, Any]:
        if arguments:
            raise UnsafeFile("the pickle calls collections.OrderedDict with arguments, which nlvid does not execute")
        return {}


class _Dtype:
    __slots__ = ("_code", "_order")

    def __init__(self, code: str) -> None:
        self._code = code
        self._order = "="

    def __setstate__(self, state: Any) -> None:
        # (version, byte order, subarray, names, fields, item size, alignment, flags)
        order = _text(state[1])
        if order not in ("<", ">", "|", "=") or any(part is not None for part in state[2:5]):
            raise UnsafeFile("the pickle has an array of records, not of plain numbers")
        self._order = order

    def numpy(self) -> np.dtype[Any]:
        return np.dtype(self._code).newbyteorder(self._order)  # type: ignore[arg-type]


class _Array:
    __slots__ = ("_array",)

    def __init__(self) -> None:
        self._array: np.ndarray | None = None

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, is_fortran, raw = state  # (version, shape, dtype, Fortran order?, bytes)
        if not isinstance(dtype, _Dtype) or not isinstance(raw, bytes):
            raise UnsafeFile("the pickle has an array whose contents are objects, not numbers")
        kind = dtype.numpy()
        if not all(type(size) is int and size >= 0 for size in shape):
            raise ModelFileError("the pickle has an array with an impossible shape")
        if math.prod(shape) * kind.itemsize != len(raw):
            raise ModelFileError(f"the pickle has an array of shape {shape} with {len(raw)} bytes, which do not fit")
        self._array = np.frombuffer(raw, kind).reshape(shape, order="F" if is_fortran else "C")

    def array(self) -> np.ndarray:
        if self._array is None:
            raise ModelFileError("the pickle has an array without contents")
        return self._array


_NDARRAY = _StandIn()
_RECONSTRUCT = _Reconstruct()

_GLOBALS: dict[tuple[str, str], _StandIn] = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,  # numpy 2 and later
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _DtypeMaker(),
    ("_codecs", "encode"): _Encode(),
    ("collections", "OrderedDict"): _OrderedDict(),
}


def _text(value: Any) -> Any:
    """Return byte strings of Python 2 as text, and anything else unchanged."""
    return value.decode("latin1") if isinstance(value, bytes) else value
