"""Checkpoints of other programs whose outputs are known.

``data/<family>.tsv`` lists the tensors of a published network: name, shape, and what it is for (its role). The numbers
follow from name, shape and role alone, so that the file can be built anew in the form in which the other program
wrote it. ``data/<family>.npz`` holds what that program computed from them, for :func:`make_input`:

- ``logits_SHAPE``, averaged over positions; ``scores_SHAPE``, where the program gives scores;
- ``nl_out_SHAPE``: the first non-local block's output, clip 0, channels 0 to 3;
- ``stages_SHAPE``: mean and deviation of the outputs of the stem with its pool, and of res2 to res5.
"""

from __future__ import annotations

import pickle
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

DATA = Path(__file__).parent / "data"

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Table:
    """One family.

    Attributes:
        header: facts by name.
        rows: name, shape and role of each tensor, in the order of the file.
    """

    header: dict[str, str]
    rows: tuple[tuple[str, tuple[int, ...], str], ...]


def families() -> list[str]:
    """All that there are."""
    return sorted(path.stem for path in DATA.glob("*.tsv"))


def read_table(family: str) -> Table:
    """Header lines are ``# name: value``, the others name, shape (``2x3`` or ``scalar``) and role."""
    header, rows = {}, []
    for line in (DATA / f"{family}.tsv").read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            name, _, value = line.removeprefix("#").partition(":")
            header[name.strip()] = value.strip()
        else:
            name, shape, role = line.split("\t")
            rows.append((name, () if shape == "scalar" else tuple(map(int, shape.split("x"))), role))
    return Table(header, tuple(rows))


FAN_IN = {
    "conv": 1.0,
    "conv_small": 0.3,
    "conv_stream": 8.0,
    "attention": 2.0,
    "attention_raw": 0.4,
    "attention_dot": 0.18,
}
"""Normal, with this deviation over the root of the number of inputs."""

NORMAL = {"bias": 0.1, "beta": 0.2, "beta_stream": 0.025, "mean": 0.1}
"""Normal, with this deviation."""

UNIFORM = {"gamma": 1.0, "gamma_small": 0.3, "gamma_stream": 0.125, "gamma_stream_small": 0.0375, "var": 1.0}
"""Uniform between a half and one and a half times this."""


def make_values(name: str, shape: tuple[int, ...], role: str) -> np.ndarray:
    """The numbers of a tensor: drawn in double precision, multiplied once, rounded once."""
    if role == "counter":
        return np.zeros(shape, np.int64)
    random = np.random.RandomState(zlib.crc32(name.encode()))
    if role in UNIFORM:
        return np.asarray(UNIFORM[role] * (0.5 + random.random_sample(shape))).astype(np.float32)
    if role in FAN_IN:
        deviation = FAN_IN[role] * np.sqrt(1.0 / int(np.prod(shape[1:])))
        return np.asarray(random.standard_normal(shape) * deviation).astype(np.float32)
    return np.asarray(NORMAL[role] * random.standard_normal(shape)).astype(np.float32)


def make_tensors(table: Table) -> Arrays:
    """All tensors; the role ``alias:NAME`` stands for the very array of another one.

    Raises:
        AssertionError: the numbers are not those that the outputs were computed from.
    """
    arrays = {name: make_values(name, shape, role) for name, shape, role in table.rows if not _aliased(role)}
    arrays = {name: arrays[_aliased(role) or name] for name, _, role in table.rows}
    sum_ = 0
    for array in arrays.values():
        sum_ = zlib.crc32(array.tobytes(), sum_)
    assert f"{sum_:08x}" == table.header["values-crc32"]
    return arrays


def _aliased(role: str) -> str:
    return role.removeprefix("alias:") if role.startswith("alias:") else ""


def make_input(shape: tuple[int, ...]) -> np.ndarray:
    """The clips that the outputs belong to, (N, 3, T, H, W), taken as normalised."""
    return np.random.RandomState(1234).standard_normal(shape).astype(np.float32)


def write_checkpoint(table: Table, arrays: Arrays, path: Path, form: str = "") -> None:
    """Write the file as the program does; its header says which container that is.

    Args:
        table: of the family.
        arrays: its tensors.
        path: of the new file.
        form: ``python3``: a Caffe2 file as Python 3 pickles it; ``legacy``: a torch file as before torch 1.6;
            ``module``: with the prefix that data-parallel training leaves.
    """
    container = table.header["container"]
    if container == "caffe2-blobs":
        blobs: dict[str, object] = dict(arrays)
        for name in table.header.get("momentum", "").split():
            blobs[f"{name}_momentum"] = make_values(f"{name}_momentum", arrays[name].shape, "bias")
        blobs |= {"lr": np.array(1e-4, np.float32), "model_iter": 400000}
        if form == "python3":
            path.write_bytes(pickle.dumps({"blobs": blobs}, protocol=2))
        else:
            dump_python2({"blobs": blobs}, path)
        return
    import torch

    shared = {id(array): torch.from_numpy(array) for array in arrays.values()}  # aliases share memory in the file too
    prefix = "module." if form == "module" else ""
    state = {prefix + name: shared[id(array)] for name, array in arrays.items()}
    extras = {"epoch": 1, "optimizer_state": {"state": {}}, "cfg": table.header.get("cfg", "")}
    content: object = {
        "bare": state,
        "state_dict": {"meta": {"epoch": 100, "mmaction2": "1.0"}, "state_dict": state},
        "model_state": {"model_state": state} | {name: extras[name] for name in table.header.get("extras", "").split()},
    }[container]
    torch.save(content, path, _use_new_zipfile_serialization=form != "legacy")


def dump_python2(tree: dict[str, object], path: Path) -> None:
    """Pickle dicts of arrays and whole numbers as Python 2 did, with protocol 2.

    Text and the bytes of arrays are both byte strings there, and numpy's function lives in ``numpy.core``.
    """
    with path.open("wb") as file:
        file.write(pickle.PROTO + b"\x02")
        _dump(tree, file)
        file.write(pickle.STOP)


def _dump(value: object, file: BinaryIO) -> None:
    if isinstance(value, dict):
        file.write(pickle.EMPTY_DICT + pickle.MARK)
        for key, item in value.items():
            _dump(key, file)
            _dump(item, file)
        file.write(pickle.SETITEMS)
    elif isinstance(value, int):
        file.write(pickle.BININT + struct.pack("<i", value))
    elif isinstance(value, str | bytes):
        raw = value.encode() if isinstance(value, str) else value
        short = len(raw) < 256
        file.write(
            pickle.SHORT_BINSTRING + bytes([len(raw)]) if short else pickle.BINSTRING + struct.pack("<i", len(raw))
        )
        file.write(raw)
    else:
        assert isinstance(value, np.ndarray)
        _dump_array(np.ascontiguousarray(value).reshape(value.shape), file)


def _dump_array(array: np.ndarray, file: BinaryIO) -> None:
    """``_reconstruct(ndarray, (0,), "b")``, and its state ``(1, shape, dtype, Fortran order?, bytes)``."""
    file.write(pickle.GLOBAL + b"numpy.core.multiarray\n_reconstruct\n" + pickle.GLOBAL + b"numpy\nndarray\n")
    file.write(pickle.BININT1 + b"\x00" + pickle.TUPLE1 + pickle.SHORT_BINSTRING + b"\x01b" + pickle.TUPLE3)
    file.write(pickle.REDUCE + pickle.MARK + pickle.BININT1 + b"\x01" + pickle.MARK)
    for size in array.shape:
        _dump(size, file)
    file.write(pickle.TUPLE + pickle.GLOBAL + b"numpy\ndtype\n")
    _dump(array.dtype.str[1:], file)
    file.write(pickle.BININT1 + b"\x00" + pickle.BININT1 + b"\x01" + pickle.TUPLE3 + pickle.REDUCE)
    file.write(pickle.MARK + pickle.BININT1 + b"\x03")
    _dump("<", file)
    file.write(3 * pickle.NONE + 2 * (pickle.BININT + struct.pack("<i", -1)) + pickle.BININT1 + b"\x00")
    file.write(pickle.TUPLE + pickle.BUILD + pickle.NEWFALSE)
    _dump(array.tobytes(), file)
    file.write(pickle.TUPLE + pickle.BUILD)
