"""Find the tensors of a network among all that a checkpoint holds: in which dict they are, and behind which prefix.

Programs wrap the weights in dicts (``model_state_dict``, ``model``, ``state_dict``) beside the optimiser's state, and
the network in modules, each of which adds a prefix (``module.``, ``model.``, ``net.``). Nobody agrees on these names,
so the tensors themselves decide: a network is where tensors have the names of a known family.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

import numpy as np

from nlvid_cli.errors import shortened

log = logging.getLogger(__name__)

Arrays = dict[tuple[str, ...], np.ndarray]
"""Tensors by the keys of the dicts that lead to them; the last key is the tensor's name."""

CONTAINERS = ("blobs", "model_state", "state_dict")
"""Where the weights are in a checkpoint of no known family, which only its error message needs."""

WRAPPERS = re.compile(r"(?<![^.])(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
"""Parts of names that torch.compile and torch.distributed add, at any depth."""

AVERAGE = re.compile(r"(?i)(?<![a-z])(swa|ema|\w*averaged?\w*|shadow|teacher|momentum|target)(?![a-z])|encoder_k")
"""Name of a dict or a prefix that holds a second network: a moving average of the first one."""

MAX_DEPTH = 4
"""Dicts within dicts, and parts of a prefix."""


@dataclass(frozen=True)
class _Network:
    """A network in a checkpoint.

    Attributes:
        container: Keys of the dict that holds it.
        prefix: What its names begin with, up to a dot.
        tensors: Its tensors, without the prefix.
        beside: Names of the tensors in the dict that are in no network.
    """

    container: tuple[str, ...]
    prefix: str
    tensors: dict[str, np.ndarray]
    beside: tuple[str, ...]

    @property
    def place(self) -> str:
        """Where it is, for messages."""
        return "|".join((*self.container, self.prefix.rstrip("."))).strip("|")


def network_tensors(arrays: Arrays, is_network: Callable[[Collection[str]], bool], where: str) -> dict[str, np.ndarray]:
    """Return the tensors of the network in a checkpoint, by its own names. Nested keys are joined by ``|``.

    Of several networks the first that is no moving average is taken. Notes say which it is, and what was left out
    beside it.

    Args:
        arrays: All tensors of the file.
        is_network: Whether tensors of these names are a network of a known family.
        where: File, for messages.
    """
    found = list(_networks(arrays, is_network))
    if not found:
        return _most_likely(arrays)
    chosen = min(found, key=lambda network: AVERAGE.search(network.place) is not None)
    if len(found) > 1:
        places = ", ".join(network.place for network in found)
        log.info(
            "%s: it holds %d networks (%s), and %s is taken; to take another one, save its tensors alone",
            where, len(found), places, chosen.place,
        )  # fmt: skip
    if chosen.beside:
        log.info("%s: left out, because it is beside the network: %s", where, shortened(chosen.beside, 3))
    return chosen.tensors


def _networks(arrays: Arrays, is_network: Callable[[Collection[str]], bool]) -> Iterator[_Network]:
    """Yield the networks, the outermost dict and the shortest prefix first; none is inside another."""
    taken: list[tuple[str, ...]] = []
    for container, tensors in _dicts(arrays).items():
        if any(container[: len(outer)] == outer for outer in taken):
            continue
        prefixes = _network_prefixes(tensors, is_network)
        others = tuple(name for name, array in tensors.items() if array.ndim and not name.startswith(tuple(prefixes)))
        for prefix in prefixes:
            taken.append(container)
            own = {name.removeprefix(prefix): array for name, array in tensors.items() if name.startswith(prefix)}
            yield _Network(container, prefix, own, others)


def _dicts(arrays: Arrays) -> dict[tuple[str, ...], dict[str, np.ndarray]]:
    """Return all dicts of the tree by their keys, the outermost first, with all that is in them."""
    dicts: dict[tuple[str, ...], dict[str, np.ndarray]] = {}
    for depth in range(MAX_DEPTH + 1):
        for keys, array in arrays.items():
            if len(keys) > depth or not depth:  # a bare tensor has no keys at all
                dicts.setdefault(keys[:depth], {})[WRAPPERS.sub("", "|".join(keys[depth:]))] = array
    return dicts


def _network_prefixes(names: Collection[str], is_network: Callable[[Collection[str]], bool]) -> list[str]:
    """Return the prefixes behind which the names are those of a network; none is the beginning of another."""
    behind: dict[str, set[str]] = {"": set(names)}
    for name in names:
        parts = [] if "|" in name else name.split(".")  # what nested dicts hold has its own turn
        for depth in range(1, min(MAX_DEPTH + 1, len(parts))):
            behind.setdefault(".".join(parts[:depth]) + ".", set()).add(".".join(parts[depth:]))
    found: list[str] = []
    for prefix in sorted(behind, key=lambda prefix: prefix.count(".")):
        if not any(prefix.startswith(shorter) for shorter in found) and is_network(behind[prefix]):
            found.append(prefix)
    return found


def _most_likely(arrays: Arrays) -> dict[str, np.ndarray]:
    dicts = _dicts(arrays)
    return next((dicts[(name,)] for name in CONTAINERS if (name,) in dicts), dicts.get((), {}))
