"""Choose the backend of a model: the one that was asked for, or the faster one.

ONNX Runtime can run a named model after ``nlvid export`` put its ONNX file into the cache, beside the weights. If torch
is installed too, both run clips of noise, and the faster one is remembered with the model, for this machine, device,
precision and these versions. Nothing is ever exported without being asked for.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from pathlib import Path

import numpy as np

from nlvid_cli._version import __version__
from nlvid_cli.backends import BACKENDS, Backend, BackendName, Precision
from nlvid_cli.backends.machine import describe_machine, runtime_version
from nlvid_cli.card.card import Card
from nlvid_cli.card.manifest import find_card
from nlvid_cli.errors import DeviceError, InputShapeError, ModelError, NlvidError, UsageError
from nlvid_cli.models.onnx_file.contract import card_in
from nlvid_cli.models.onnx_file.read import is_onnx_name, read_onnx
from nlvid_cli.models.store.cache import slot_of, slot_of_manifest_file
from nlvid_cli.system.atomic import atomic_file
from nlvid_cli.system.strict_json import parse_json

log = logging.getLogger(__name__)

PASSES = 2
"""Forward passes of each backend in a trial. The fastest counts, because the first one also allocates memory."""


def open_backend(card: Card, path: Path, backend: BackendName, device: str, precision: Precision) -> Backend:
    """Open a model file with a backend.

    Args:
        card: Card of the model.
        path: The model file, in a format that nlvid writes.
        backend: ``auto``, or a key of :data:`BACKENDS`.
        device: ``auto``, or a device of the backend.
        precision: ``auto``, or a precision of the backend.

    Raises:
        UsageError: The backend cannot run such a file, or there is no exported file to run.
        DeviceError: The device, the precision or the backend's runtime is not available.
        ModelError: The file is damaged.
    """
    if is_onnx_name(path.name):
        if backend == "torch":
            raise UsageError(f"{path}: torch cannot run ONNX files; leave out --backend, or name the model itself")
        return _open("onnx", card, path, device, precision)
    if backend == "torch":
        return _open("torch", card, path, device, precision)
    exported = usable_export(card, path)
    if backend == "onnx" and exported is None:
        raise UsageError(_how_to_export(card, path))
    if exported is not None and (backend == "onnx" or runtime_version("torch") is None):
        return _open("onnx", card, exported, device, precision)
    if exported is None or runtime_version("onnx") is None:
        return _open("torch", card, path, device, precision)
    return _faster(card, {"torch": path, "onnx": exported}, device, precision)


def usable_export(card: Card, path: Path) -> Path | None:
    """Return the cached ONNX file of the manifest's model whose weights are ``path``, if it has the same network."""
    slot = slot_of_manifest_file(card, path)
    if slot is None or not slot.onnx.is_file():
        return None
    exported = slot.onnx
    try:
        inside = card_in(read_onnx(exported), str(exported))
    except ModelError as error:
        log.warning("%s; going on without it", error)
        return None
    if inside is None or (inside.architecture, inside.labels.count) != (card.architecture, card.labels.count):
        log.warning("%s is from another version of %s; export it again", exported, card.name)
        return None
    return exported


def _how_to_export(card: Card, path: Path) -> str:
    if slot_of_manifest_file(card, path) is not None:
        return (
            f"{card.name} has no ONNX file in the cache; make one with `nlvid export --onnx --model {card.name}` "
            "(a few minutes), or leave out --backend onnx"
        )
    return (
        f"{path}: ONNX Runtime runs only ONNX files; make one with `nlvid export --onnx --model {path} -o model.onnx` "
        "and name that"
    )


def _open(name: str, card: Card, path: Path, device: str, precision: Precision) -> Backend:
    if runtime_version(name) is None:
        if name == "torch":
            raise DeviceError(
                "torch is not installed; install it with `pip install torch torchvision`, or use an ONNX file "
                "(`nlvid export` makes one on a machine with torch)"
            )
        raise DeviceError("ONNX Runtime is not installed; install it with `pip install onnxruntime`")
    return BACKENDS[name](card, path, device, precision)


def _faster(card: Card, files: dict[str, Path], device: str, precision: Precision) -> Backend:
    """Open the faster backend, by an earlier trial or a new one."""
    memory = _memory_of(card, device, precision)
    remembered = _recall(memory)
    if remembered is not None:
        try:
            return _open(remembered, card, files[remembered], device, precision)
        except (ModelError, DeviceError) as error:
            log.warning("%s; trying again which backend to use", error)
    log.info("trying which backend is faster here for %s; the choice is remembered (--backend pins one)", card.name)
    backends: dict[str, Backend] = {}
    seconds: dict[str, float] = {}
    failures: list[NlvidError] = []
    for name, path in files.items():
        try:
            backends[name] = _open(name, card, path, device, precision)
            seconds[name] = seconds_per_view(backends[name], card)
        except DeviceError as error:  # a device or a precision that only the other one has, or too little memory
            log.info("%s: %s", name, error)
            failures.append(error)
        except (ModelError, InputShapeError) as error:
            log.warning("%s; going on without it", error)
            failures.append(error)
    if not seconds:
        raise failures[0]
    chosen = min(seconds, key=lambda name: seconds[name])
    times = ", ".join(f"{name} {s:.2f} s in {backends[name].precision}" for name, s in seconds.items())
    log.info("%s per view: using %s", times, chosen)
    if all(isinstance(failure, DeviceError) for failure in failures):  # a damaged file may be replaced
        _remember(memory, chosen, seconds)
    return backends[chosen]


def seconds_per_view(backend: Backend, card: Card, passes: int = PASSES) -> float:
    """Time the forward pass of views of noise, as many as the backend runs best; return the fastest pass."""
    size = (backend.views_per_batch, 3, card.sampling.frames, card.preprocess.crop, card.preprocess.crop)
    noise = np.random.default_rng(0).standard_normal(size, dtype=np.float32)
    taken = []
    for _ in range(passes):
        started = time.perf_counter()
        backend.outputs(noise)
        taken.append(time.perf_counter() - started)
    return min(taken) / len(noise)  # not by views_per_batch, which falls when memory runs out


def _memory_of(card: Card, device: str, precision: str) -> Path:
    """File that remembers the choice, beside the model, so that ``nlvid models remove`` removes it too."""
    slot = slot_of(find_card(card.name))
    versions = [__version__, runtime_version("torch"), runtime_version("onnx")]
    size = [card.sampling.frames, card.preprocess.crop]
    facts = json.dumps([describe_machine(), versions, device, precision, size])
    return slot.beside(f"-faster-{hashlib.sha256(facts.encode()).hexdigest()[:16]}.json")


def _recall(memory: Path) -> str | None:
    try:
        chosen = parse_json(memory.read_bytes())["chosen"]
    except OSError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        log.warning("%s: damaged, and ignored (%s)", memory, error)
        return None
    return chosen if isinstance(chosen, str) and chosen in BACKENDS else None


def _remember(memory: Path, chosen: str, seconds: dict[str, float]) -> None:
    """Remember the choice. If the cache cannot be written, the next run tries again."""
    record = {"chosen": chosen, "seconds_per_view": {name: round(value, 4) for name, value in seconds.items()}}
    try:
        with atomic_file(memory) as file:
            file.write_text(json.dumps(record), encoding="utf-8")
    except OSError as error:
        log.debug("the choice of the backend cannot be remembered (%s)", error)
