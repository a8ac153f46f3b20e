"""Files of torch and of safetensors as plain arrays, without running anything that they ask for.

A torch file is a pickle beside the numbers: in an uncompressed zip, or, before torch 1.6, in a row with them. Only
``torch.load(weights_only=True)`` ever acts on that pickle, and not before this file has read its operations and found
no other globals in it than those of

- dense tensors (:data:`TENSOR_GLOBALS`), and
- objects that training programs put beside the weights: logs, configurations, dates (:data:`METADATA_GLOBALS`). They
  are not needed, and not imported: torch gets stand-ins of this file for them, which take any arguments and do nothing.

Whatever else is named is refused with :class:`~nlvid_cli.errors.UnsafeFile`.
"""

from __future__ import annotations

import re
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.serialization import safe_globals

from nlvid_cli.errors import ModelFileError, NlvidError, UnsafeFile
from nlvid_cli.models.formats.operations import global_of, operations
from nlvid_cli.models.formats.safe_pickle import MAX_ARRAYS, MAX_DEPTH, mapped

LEGACY_MAGIC = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
"""The pickle of a number with which torch files began before torch 1.6."""

LEGACY_PICKLES = 5
"""Magic number, version, machine, the object itself, and the keys of the numbers that follow."""

TENSOR_GLOBALS = re.compile(
    r"collections\.(OrderedDict|Counter)|_codecs\.encode"
    r"|torch\._utils\._rebuild_(tensor|tensor_v2|parameter)|torch\.nn\.parameter\.Parameter"
    r"|torch\.(Size|device|(Float|Double|Half|BFloat16|Long|Int|Short|Char|Byte|Bool)Storage)"
    r"|torch\.(b?float\d+|u?int\d+|bool)"
)
"""Dense tensors of real numbers, and dicts of them. Torch itself knows them as safe."""


class _Ignored:
    """Stands in for a class or a function; what it makes can be given any state, and has none."""

    def __new__(cls, *_: object) -> Self:
        return super().__new__(cls)

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, _: object) -> None:
        pass


class _IgnoredDict:
    """Stands in for a kind of dict. Torch fills only plain ones."""

    def __new__(cls, *_: object) -> OrderedDict[Any, Any]:  # type: ignore[misc]
        return OrderedDict()


class _IgnoredList:
    """Stands in for a kind of list. Torch fills only plain ones."""

    def __new__(cls, *_: object) -> list[Any]:  # type: ignore[misc]
        return []


_PROJECTS = r"(mmengine|mmcv|mmaction|mmcls|mmpretrain|addict|yacs|fvcore|iopath|omegaconf|slowfast|pytorchvideo)\."

StandIn = Callable[..., Any] | tuple[Callable[..., Any], str]

METADATA_GLOBALS: tuple[tuple[re.Pattern[str], type], ...] = (
    (re.compile(r"collections\.defaultdict|" + _PROJECTS + r"(\w+\.)*(\w*Dict|CfgNode|DictConfig)"), _IgnoredDict),
    (re.compile(r"collections\.deque|" + _PROJECTS + r"(\w+\.)*(\w*List|ListConfig)"), _IgnoredList),
    (re.compile(_PROJECTS + r"(\w+\.)*\w+"), _Ignored),
    (re.compile(r"numpy\.(_core|core)\.(multiarray\.(scalar|_reconstruct)|numeric\._frombuffer)"), _Ignored),
    (re.compile(r"numpy\.(ndarray|dtype|dtypes\.\w+|random\.mtrand\.RandomState)"), _Ignored),
    (re.compile(r"argparse\.Namespace|datetime\.(date|datetime|time|timedelta|timezone)|enum\.Enum"), _Ignored),
    (re.compile(r"(pathlib|pathlib\._local)\.(Pure)?(Path|PosixPath|WindowsPath)|uuid\.UUID"), _Ignored),
    # functions and types that only name the methods and the fields of the objects above
    (re.compile(r"builtins\.(getattr|object|list|dict|tuple|set|frozenset|slice|range|bytes)"), _Ignored),
    (re.compile(r"builtins\.(int|float|complex|bool|str)|copyreg\._reconstructor"), _Ignored),
)
"""Names of harmless metadata, and what stands in for them."""


def read_torch_zip(path: Path) -> dict[tuple[str, ...], np.ndarray]:
    """The tensors of a torch file, by their path of keys; what is no tensor is left out.

    Where it can be, an array is a view of the file itself, which is read only when the array is.

    Raises:
        UnsafeFile: the file asks for an object that is neither a dense tensor nor harmless metadata, or would unfold
            to more than it holds.
        ModelFileError: it is damaged, or holds something else than dicts of tensors.
    """
    stand_ins = _stand_ins(_zip_globals(path), path.name)
    if path.suffix == ".safetensors":  # by that ending torch would choose another reader
        with open(path, "rb") as file:
            return _load(path, file, stand_ins, mmap=False)
    return _load(path, path, stand_ins, mmap=True)


def read_torch_legacy(path: Path) -> dict[tuple[str, ...], np.ndarray]:
    """The same for a file that torch wrote before 1.6; its arrays are in memory."""
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
    except Exception as error:  # what torch raises for a damaged file is of many kinds
        raise _unreadable(path, error) from None
    return _to_arrays(_leaves(tree, (), path.name), path)


def read_safetensors(path: Path) -> dict[tuple[str, ...], np.ndarray]:
    """The tensors of a safetensors file, with or without a card; each path of keys is one name.

    Raises:
        ModelFileError: it is damaged, or its header lies.
        UnsafeFile: it would unfold to more than it holds.
    """
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {(name,): file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, TypeError, ValueError, AttributeError, MemoryError, RuntimeError) as error:
        raise _unreadable(path, error) from None
    return _to_arrays(tensors.items(), path)


def _zip_globals(path: Path) -> set[str]:
    """The globals that the pickle in a zip names, once the zip is known to be one that torch writes."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if any(member.compress_type != zipfile.ZIP_STORED for member in members):
                raise UnsafeFile(f"{path.name}: the zip is compressed, which torch files never are; it may be a bomb")
            if sum(max(member.file_size, member.compress_size) for member in members) > path.stat().st_size:
                raise UnsafeFile(f"{path.name}: the members of the zip claim more bytes than the file has")
            names = [member.filename for member in members if member.filename.endswith("/data.pkl")]
            if any(member.filename.endswith("/constants.pkl") for member in members) or len(names) != 1:
                raise ModelFileError(f"{path.name}: a zip, but not of tensors that torch saved; give their state_dict")
            return _globals(memoryview(archive.read(names[0])), path.name, 1)
    except NlvidError:
        raise
    except Exception as error:  # what zipfile raises for a damaged file is of many kinds too
        raise _unreadable(path, error) from None


REFUSED_OPERATIONS = ("INST", "OBJ", "STACK_GLOBAL", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4", "PERSID")
"""Ways to reach a function that torch never writes."""


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
                    f"{name}: saved with pickle protocol {operation.argument[0]}; save it again with torch's own, 2"
                )
    return found


def _stand_ins(names: Iterable[str], where: str) -> list[StandIn]:
    """What torch shall use for the globals of a file that are no tensors."""
    found: list[StandIn] = []
    for name in sorted(names):
        if TENSOR_GLOBALS.fullmatch(name):
            continue
        stand_in = next((kind for pattern, kind in METADATA_GLOBALS if pattern.fullmatch(name)), None)
        if stand_in is None:
            raise UnsafeFile(f"{where}: the file asks for {name}, which nlvid does not execute")
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


def _to_arrays(leaves: Iterable[tuple[tuple[str, ...], Tensor]], path: Path) -> dict[tuple[str, ...], np.ndarray]:
    """Floats of all sizes as float32; other numbers as they are."""
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
    return ModelFileError(f"{path.name}: damaged, or not a file of tensors ({reason}); fetch the file again")
