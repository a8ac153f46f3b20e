"""Read torch and safetensors files as plain arrays, without running anything that they ask for.

A torch file holds a pickle and the numbers: in an uncompressed zip or, before torch 1.6, one after the other. Only
``torch.load(weights_only=True)`` executes that pickle, after this module has read its operations and found no globals
other than those of

- dense tensors (:data:`TENSOR_GLOBALS`), and
- objects that training programs store beside the weights, such as logs, configurations and dates
  (:data:`METADATA_GLOBALS`). These are never imported: torch gets stand-ins from this file, which accept any arguments
  and do nothing.

Everything else is refused with :class:`~nlvid_cli.errors.UnsafeFile`.
"""

from __future__ import annotations

import re
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.serialization import safe_globals

from nlvid_cli.errors import ModelFileError, NlvidError, UnsafeFile
from nlvid_cli.models.formats.operations import global_of, operations, refused_global
from nlvid_cli.models.formats.safe_pickle import MAX_ARRAYS, MAX_DEPTH, mapped
from nlvid_cli.models.safetensors_header import check_header

LEGACY_MAGIC = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
"""Start of torch files before torch 1.6: the pickle of a number."""

LEGACY_PICKLES = 5
"""Magic number, version, machine, the object itself, and the keys of the numbers that follow it."""

TENSOR_GLOBALS = re.compile(
    r"collections\.(OrderedDict|Counter)|_codecs\.encode"
    r"|torch\._utils\._rebuild_(tensor|tensor_v2|parameter)|torch\.nn\.parameter\.Parameter"
    r"|torch\.(Size|device|(Float|Double|Half|BFloat16|Long|Int|Short|Char|Byte|Bool)Storage)"
    r"|torch\.(b?float\d+|u?int\d+|bool)"
)
"""Dense tensors of real numbers, and dicts of them. torch itself considers them safe."""


CHECKPOINT_SUFFIXES = (".pth", ".pt", ".pyth", ".ckpt", ".pkl", ".safetensors", ".bin", ".tar")
"""Ends of the names of checkpoints in a zip of several files."""


class _Ignored:
    """Stand-in for a class or a function. What it makes accepts any state and keeps none."""

    def __new__(cls, *_: object) -> Self:
        return super().__new__(cls)

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, _: object) -> None:
        pass


class _IgnoredDict:
    """Stand-in for a kind of dict. torch fills only plain dicts."""

    def __new__(cls, *_: object) -> OrderedDict[Any, Any]:  # type: ignore[misc]
        return OrderedDict()


class _IgnoredList:
    """Stand-in for a kind of list. torch fills only plain lists."""

    def __new__(cls, *_: object) -> list[Any]:  # type: ignore[misc]
        return []


_PROJECTS = (
    r"(mmengine|mmcv|mmaction|mmcls|mmpretrain|addict|yacs|fvcore|iopath|omegaconf|slowfast|pytorchvideo|"
    r"pytorch_lightning|lightning|lightning_fabric|torchmetrics|timm)\."
)

StandIn = Callable[..., Any] | tuple[Callable[..., Any], str]

METADATA_GLOBALS: tuple[tuple[re.Pattern[str], type], ...] = (
    (re.compile(r"collections\.defaultdict|" + _PROJECTS + r"(\w+\.)*(\w*Dict|CfgNode|DictConfig)"), _IgnoredDict),
    (re.compile(r"collections\.deque|" + _PROJECTS + r"(\w+\.)*(\w*List|ListConfig)"), _IgnoredList),
    (re.compile(_PROJECTS + r"(\w+\.)*\w+"), _Ignored),
    (re.compile(r"numpy\.(_core|core)\.(multiarray\.(scalar|_reconstruct)|numeric\._frombuffer)"), _Ignored),
    (re.compile(r"numpy\.(ndarray|dtype|dtypes\.\w+|random\.mtrand\.RandomState)"), _Ignored),
    (re.compile(r"argparse\.Namespace|datetime\.(date|datetime|time|timedelta|timezone)|enum\.Enum"), _Ignored),
    (re.compile(r"(pathlib|pathlib\._local)\.(Pure)?(Path|PosixPath|WindowsPath)|uuid\.UUID"), _Ignored),
    # functions and types with which pickles name methods and fields of the objects above
    (re.compile(r"builtins\.(getattr|object|list|dict|tuple|set|frozenset|slice|range|bytes)"), _Ignored),
    (re.compile(r"builtins\.(int|float|complex|bool|str)|copyreg\._reconstructor"), _Ignored),
)
"""Patterns of harmless metadata, and their stand-ins."""


def read_torch_zip(path: Path) -> dict[tuple[str, ...], np.ndarray]:
    """Read the tensors of a torch file by their path of keys, and leave out anything else.

    If possible, an array is a view of the file, which is read when the array is.

    Raises:
        UnsafeFile: The file asks for an object that is neither a dense tensor nor harmless metadata, or would unfold to
            more than it holds.
        ModelFileError: The file is damaged, or holds something other than dicts of tensors.
    """
    stand_ins = _stand_ins(_zip_globals(path), path.name)
    if path.suffix == ".safetensors":  # with this suffix torch would use another reader
        with open(path, "rb") as file:
            return _load(path, file, stand_ins, mmap=False)
    return _load(path, path, stand_ins, mmap=True)


def read_torch_legacy(path: Path) -> dict[tuple[str, ...], np.ndarray]:
    """Read a file that torch wrote before 1.6, as :func:`read_torch_zip` does. Its arrays are in memory."""
    with open(path, "rb") as file:
        with mapped(file) as data:
            stand_ins = _stand_ins(_globals(data, path.name, LEGACY_PICKLES), path.name)
        return _load(path, file, stand_ins, mmap=False)


def _load(
    path: Path, source: Path | BinaryIO, stand_ins: list[StandIn], mmap: bool
) -> dict[tuple[str, ...], np.ndarray]:
    try:
        with safe_globals(stand_ins):
            tree = torch.load(source, map_location="cpu", weights_only=True, mmap=mmap)
    except Exception as error:  # torch raises errors of many types for damaged files
        raise _unreadable(path, error) from None
    return _to_arrays(_leaves(tree, (), path.name), path)


def read_safetensors(path: Path) -> dict[tuple[str, ...], np.ndarray]:
    """Read the tensors of a safetensors file, with or without a card. Each path of keys is one name.

    Raises:
        ModelFileError: The file is damaged, its header is wrong, or a tensor is of a type that numpy does not have.
        UnsafeFile: The file has too many tensors, or would unfold to more than it holds.
    """
    check_header(path, path.name)
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {(name,): file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, TypeError, ValueError, AttributeError, MemoryError, RuntimeError) as error:
        raise _unreadable(path, error) from None
    return _to_arrays(tensors.items(), path)


def _zip_globals(path: Path) -> set[str]:
    """Check that torch could have written a zip, and return the globals that its pickle names."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _require_tensors([member.filename for member in members], path.name)
            if any(member.compress_type != zipfile.ZIP_STORED for member in members):
                raise UnsafeFile(
                    f"{path.name}: the zip is compressed, which torch files never are; it may be a zip bomb"
                )
            if sum(max(member.file_size, member.compress_size) for member in members) > path.stat().st_size:
                raise UnsafeFile(f"{path.name}: the zip claims more bytes than the file has")
            names = [member.filename for member in members if member.filename.endswith("/data.pkl")]
            return _globals(memoryview(archive.read(names[0])), path.name, 1)
    except NlvidError:
        raise
    except Exception as error:  # so does zipfile
        raise _unreadable(path, error) from None


def _require_tensors(members: Sequence[str], where: str) -> None:
    """Raise ModelFileError for a zip that torch did not write with ``torch.save``, by the names of its members."""
    if any(name.endswith("/constants.pkl") or "/code/" in name for name in members):
        raise ModelFileError(
            f"{where}: a TorchScript program, which nlvid does not execute; save its weights alone: "
            f"torch.save(torch.jit.load({where!r}).state_dict(), 'weights.pth')"
        )
    if any(name.endswith(("/archive_format", "serialized_exported_program.json")) for name in members):
        raise ModelFileError(
            f"{where}: a program of torch.export, which nlvid does not execute; save its weights alone: "
            f"torch.save(torch.export.load({where!r}).state_dict, 'weights.pth')"
        )
    if sum(name.endswith("/data.pkl") for name in members) != 1:
        inside = next((name for name in members if name.endswith(CHECKPOINT_SUFFIXES)), None)
        advice = f"unpack it, and name {inside} in it" if inside else "save the state_dict with torch.save"
        raise ModelFileError(f"{where}: a zip, but not a torch file of tensors; {advice}")


REFUSED_OPERATIONS = ("INST", "OBJ", "STACK_GLOBAL", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4", "PERSID")
"""Operations that reach a function, and that torch never writes."""


def _globals(data: memoryview, name: str, pickles: int) -> set[str]:
    found: set[str] = set()
    end = 0
    for _ in range(pickles):
        for operation in operations(data, name, end):
            end = operation.end
            if operation.name == "GLOBAL":
                found.add(global_of(operation))
            elif operation.name in REFUSED_OPERATIONS:
                what = f"INST {global_of(operation)}" if operation.name == "INST" else operation.name
                raise UnsafeFile(f"{name}: the pickle holds the operation {what}, which nlvid does not execute")
            elif operation.name == "PROTO" and operation.argument != b"\x02":
                raise ModelFileError(
                    f"{name}: saved with pickle protocol {operation.argument[0]}; save it again with torch's default, 2"
                )
    return found


def _stand_ins(names: Iterable[str], where: str) -> list[StandIn]:
    """Return the stand-ins for the globals of a file that are not tensors."""
    found: list[StandIn] = []
    for name in sorted(names):
        if TENSOR_GLOBALS.fullmatch(name):
            continue
        stand_in = next((kind for pattern, kind in METADATA_GLOBALS if pattern.fullmatch(name)), None)
        if stand_in is None:
            raise UnsafeFile(f"{where}: the file {refused_global(name)}")
        found.append((stand_in, name))
    return found


def _leaves(tree: object, keys: tuple[str, ...], where: str) -> Iterator[tuple[tuple[str, ...], Tensor]]:
    if isinstance(tree, Tensor):
        yield keys, tree
    elif isinstance(tree, dict):
        if len(keys) == MAX_DEPTH:
            raise ModelFileError(f"{where}: dicts nested more than {MAX_DEPTH} deep; not a checkpoint")
        for key, value in tree.items():
            yield from _leaves(value, (*keys, str(key)), where)
    elif isinstance(tree, list | tuple) and len(keys) < MAX_DEPTH:
        for place, value in enumerate(tree):  # such as (epoch, state_dict)
            if isinstance(value, dict):
                yield from _leaves(value, (*keys, str(place)), where)


def _to_arrays(leaves: Iterable[tuple[tuple[str, ...], Tensor]], path: Path) -> dict[tuple[str, ...], np.ndarray]:
    """Return floats of any size as float32, and other numbers unchanged."""
    arrays: dict[tuple[str, ...], np.ndarray] = {}
    budget = path.stat().st_size
    for keys, tensor in leaves:
        budget -= tensor.numel()
        if budget < 0 or len(arrays) == MAX_ARRAYS or tensor.nbytes > tensor.untyped_storage().nbytes():
            raise UnsafeFile(f"{path.name}: {'.'.join(keys)} unfolds to more numbers than the file holds")
        tensor = tensor.detach()
        arrays[keys] = (tensor.float() if tensor.is_floating_point() else tensor).numpy()
    return arrays


def _unreadable(path: Path, error: Exception) -> ModelFileError:
    reason = str(error).strip().partition("\n")[0][:200]
    return ModelFileError(f"{path.name}: damaged, or not a file of tensors ({reason}); download the file again")
