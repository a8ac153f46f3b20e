"""The choice of the backend: pinned, or the faster one in a trial that is remembered."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from nlvid_cli.backends import Outputs, choose
from nlvid_cli.backends.choose import open_backend, seconds_per_view, usable_export
from nlvid_cli.backends.machine import describe_machine, runtime_version
from nlvid_cli.card.card import CARD_KEY, Card, card_to_json
from nlvid_cli.card.manifest import find_card
from nlvid_cli.errors import DeviceError, InputShapeError, ModelFileError, NlvidError, UsageError
from nlvid_cli.models.store.cache import cached_path, slot_of
from tests.conftest import Run
from tests.onnx_models import make_model, write_model


class FakeBackend:
    """A backend that answers at once."""

    device, precision, views_per_batch = "cpu", "fp32", 1

    def __init__(self, name: str) -> None:
        self.name = name

    def outputs(self, views: np.ndarray) -> Outputs:
        nothing = np.zeros((len(views), 400), np.float32)
        return Outputs(nothing, nothing)


@pytest.fixture
def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Card:
    """The manifest's ``i3d``, in a cache of its own; its file is never read."""
    monkeypatch.setenv("NLVID_CACHE", str(tmp_path / "cache"))
    card = find_card("i3d")
    ready = slot_of(card).ready
    ready.parent.mkdir(parents=True)
    ready.write_bytes(b"weights")
    return card


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the opened backends, in order."""
    names: list[str] = []

    def opener(name: str) -> object:
        def open_(card: Card, path: Path, device: str, precision: str) -> FakeBackend:
            if precision == "bf16" and name == "onnx":
                raise DeviceError("computes in fp32")
            names.append(name)
            return FakeBackend(name)

        return open_

    monkeypatch.setattr(choose, "BACKENDS", {name: opener(name) for name in ("torch", "onnx")})
    return names


def _export(card: Card) -> Path:
    """Write a file in the place of the exported one, with this card inside."""
    model = make_model(classes=card.labels.count)
    helper.set_model_props(model, {CARD_KEY: card_to_json(card)})
    return write_model(slot_of(find_card(card.name)).onnx, model)


def _times(monkeypatch: pytest.MonkeyPatch, **seconds: float) -> None:
    monkeypatch.setattr(choose, "seconds_per_view", lambda backend, card: seconds[backend.name])


def _open(card: Card, backend: str = "auto", precision: str = "auto") -> str:
    path = cached_path(find_card(card.name))
    assert path is not None
    return open_backend(card, path, backend, "auto", precision).name  # type: ignore[arg-type]


def test_torch_runs_a_model_that_was_not_exported(known: Card, opened: list[str]) -> None:
    assert _open(known) == "torch"
    with pytest.raises(UsageError, match=r"nlvid export --onnx --model i3d-inception"):
        _open(known, "onnx")
    assert opened == ["torch"]


@pytest.mark.parametrize(("torch", "onnx", "faster"), [(1.0, 2.0, "torch"), (2.0, 1.0, "onnx")])
def test_the_faster_backend_is_used_and_remembered(
    torch: float, onnx: float, faster: str, known: Card, opened: list[str], monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    caplog.set_level(logging.INFO)
    _export(known)
    _times(monkeypatch, torch=torch, onnx=onnx)
    assert _open(known) == faster
    assert opened == ["torch", "onnx"]
    assert f"torch {torch:.2f} s in fp32, onnx {onnx:.2f} s in fp32 per view: using {faster}" in caplog.text
    _times(monkeypatch)  # another trial would be a KeyError
    assert _open(known) == faster
    assert opened == ["torch", "onnx", faster]
    (memory,) = slot_of(known).ready.parent.glob("*-faster-*.json")
    assert json.loads(memory.read_text()) == {"chosen": faster, "seconds_per_view": {"torch": torch, "onnx": onnx}}


@pytest.mark.parametrize("error", [ModelFileError, InputShapeError, DeviceError])
@pytest.mark.parametrize("when", ["opening", "timing"])
def test_torch_is_used_if_the_exported_file_does_not_run(
    when: str, error: type[NlvidError], known: Card, opened: list[str], monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    caplog.set_level(logging.INFO)
    _export(known)

    def fail(*_: object) -> FakeBackend:
        raise error("exported.onnx: does not run here")

    if when == "opening":
        monkeypatch.setitem(choose.BACKENDS, "onnx", fail)
        _times(monkeypatch, torch=9.0)
    else:
        monkeypatch.setattr(choose, "seconds_per_view", lambda backend, _: 9.0 if backend.name == "torch" else fail())
    assert _open(known) == "torch"
    assert "exported.onnx: does not run here" in caplog.text
    # a new export may mend the file, so the choice is not remembered
    assert len(list(slot_of(known).ready.parent.glob("*-faster-*.json"))) == (error is DeviceError)


def test_a_remembered_backend_that_no_longer_runs_is_replaced(
    known: Card, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _export(known)
    _times(monkeypatch, torch=2.0, onnx=1.0)
    assert _open(known) == "onnx"

    def fail(*_: object) -> FakeBackend:
        raise ModelFileError("exported.onnx: does not run here")

    monkeypatch.setitem(choose.BACKENDS, "onnx", fail)
    assert _open(known) == "torch"
    monkeypatch.setitem(choose.BACKENDS, "torch", fail)
    with pytest.raises(ModelFileError, match="does not run here"):
        _open(known)


@pytest.mark.parametrize("change", ["machine", "version", "precision", "damage", "deep", "list"])
def test_a_change_that_matters_leads_to_a_new_trial(
    change: str, known: Card, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _export(known)
    _times(monkeypatch, torch=1.0, onnx=2.0)
    _open(known)
    if change == "machine":
        monkeypatch.setattr(choose, "describe_machine", lambda: ["another one"])
    elif change == "version":
        monkeypatch.setattr(choose, "runtime_version", lambda name: f"{name} 99")
    elif change == "damage":
        next(slot_of(known).ready.parent.glob("*-faster-*.json")).write_text("{")
    elif change == "deep":
        next(slot_of(known).ready.parent.glob("*-faster-*.json")).write_text("[" * 100_000)
    elif change == "list":
        next(slot_of(known).ready.parent.glob("*-faster-*.json")).write_text('{"chosen": ["torch"]}')
    _times(monkeypatch, torch=3.0, onnx=2.0)
    assert _open(known, precision="fp32" if change == "precision" else "auto") == "onnx"


def test_a_pinned_backend_needs_no_trial(known: Card, opened: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    _export(known)
    _times(monkeypatch)
    assert (_open(known, "onnx"), _open(known, "torch")) == ("onnx", "torch")
    assert not list(slot_of(known).ready.parent.glob("*-faster-*.json"))


def test_a_precision_that_only_one_backend_has(known: Card, opened: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    _export(known)
    _times(monkeypatch, torch=9.0)
    assert _open(known, precision="bf16") == "torch"


def test_a_runtime_that_is_not_installed(known: Card, opened: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    _times(monkeypatch)
    missing = {"torch"}
    monkeypatch.setattr(choose, "runtime_version", lambda name: None if name in missing else "1.0")
    with pytest.raises(DeviceError, match="torch is not installed"):
        _open(known)
    _export(known)
    assert _open(known) == "onnx"
    missing.clear()
    missing.add("onnx")
    assert _open(known) == "torch"
    with pytest.raises(DeviceError, match="ONNX Runtime is not installed"):
        _open(known, "onnx")


def test_an_exported_file_of_another_network_is_not_used(
    known: Card, opened: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    path = _export(replace(known, labels=replace(known.labels, count=5)))
    assert slot_of(known).onnx == path
    assert _open(known) == "torch"
    assert "another version of i3d-inception-64x1.deepmind-k400" in caplog.text
    path.write_bytes(b"damaged")
    assert _open(known) == "torch"
    assert "ONNX file" in caplog.text


def test_a_file_outside_the_cache_has_no_exported_file(known: Card, tmp_path: Path, opened: list[str]) -> None:
    _export(known)
    mine = tmp_path / "mine.safetensors"
    mine.write_bytes(b"weights")
    assert usable_export(known, mine) is None
    with pytest.raises(UsageError, match=r"nlvid export --onnx --model .*mine\.safetensors -o model\.onnx"):
        open_backend(known, mine, "onnx", "auto", "auto")


def test_removing_a_model_removes_its_export_and_choice(
    known: Card, opened: list[str], monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    _export(known)
    _times(monkeypatch, torch=1.0, onnx=2.0)
    _open(known)
    assert len(list(slot_of(known).ready.parent.iterdir())) == 3
    assert run("models", "remove", "i3d").status == 0
    assert list(slot_of(known).ready.parent.iterdir()) == []


def test_seconds_per_view_of_a_backend_that_answers_at_once(card: Card) -> None:
    assert 0 < seconds_per_view(FakeBackend("torch"), card) < 0.5


def test_machine_and_versions() -> None:
    assert describe_machine() == describe_machine()
    assert all(isinstance(fact, str) for fact in describe_machine())
    assert str(runtime_version("onnx")).split()[1] == onnx_runtime_version()
    assert str(runtime_version("torch")).startswith("torch ")


def onnx_runtime_version() -> str:
    import onnxruntime

    return str(onnxruntime.__version__)
