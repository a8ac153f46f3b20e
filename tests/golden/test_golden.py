"""Published networks, converted by the command line and run by the public API, give what their own programs gave."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import nn

import nlvid_cli
from nlvid_cli.app import main
from nlvid_cli.models.model_file import open_checkpoint
from nlvid_cli.network.nonlocal_block import NonLocalBlock
from nlvid_cli.recognize.recognizer import Recognizer
from tests.golden.builder import DATA, families, make_input, make_tensors, read_table, write_checkpoint
from tests.plain_resnet import GRAPHS, PlainResNet

TOLERANCE = 1e-4
"""Of the largest logit. The programs themselves differ by 2e-6 from their own results in double precision."""

ENTRIES: dict[str, tuple[str, str]] = {
    "fair32x2": ("nl-i3d-r50-32x2.fair-k400", ""),
    "fair8x8": ("nl-i3d-r50-8x8.fair-k400", ""),
    "fair8x8_c2d_nl": ("nl-c2d-r50-8x8.fair-k400", ""),
    "fair_affine32x4": ("nl-i3d-r50-32x4.fair-k400", ""),
    "gluoncv_i3d_nl10_resnet50": ("nl10-i3d-r50-32x2.gluoncv-k400", ""),
    "gluoncv_i3d_nl5_resnet101": ("nl-i3d-r101-32x2.gluoncv-k400", ""),
    "gluoncv_i3d_nl5_resnet50": ("nl-i3d-r50-32x2.gluoncv-k400", "legacy"),
    "gluoncv_i3d_resnet50": ("i3d-r50-32x2.gluoncv-k400", ""),
    "lfb_charades_r101": ("nl-i3d-r101-32x4.lfb-charades", ""),
    "lfb_charades_r50": ("nl-i3d-r50-32x4.lfb-charades", ""),
    "mmaction2_c2d_r50": ("c2d-r50-8x8.mmaction2-k400", ""),
    "mmaction2_i3d_nl_dot_product": ("nl-i3d-r50-32x2-dot.mmaction2-k400", ""),
    "mmaction2_i3d_nl_embedded_gaussian": ("nl-i3d-r50-32x2.mmaction2-k400", ""),
    "mmaction2_i3d_nl_gaussian": ("nl-i3d-r50-32x2-gaussian.mmaction2-k400", ""),
    "mmaction2_i3d_r50": ("i3d-r50-32x2.mmaction2-k400", "legacy"),
    "mmaction2_i3d_r50_heavy": ("i3d-r50-32x2-heavy.mmaction2-k400", "module"),
    "pyslowfast_C2D_8x8_R50": ("c2d-r50-8x8.pyslowfast-k400", ""),
    "pyslowfast_I3D_8x8_R50": ("i3d-r50-8x8.pyslowfast-k400", "module"),
    "pyslowfast_I3D_NLN_8x8_R50": ("nl-i3d-r50-8x8.pyslowfast-k400", ""),
    "pyslowfast_I3D_NLN_8x8_R50_c2": ("nl-i3d-r50-8x8.pyslowfast-k400", "python3"),
    "pytorch_resnet3d_nl": ("nl-i3d-r50-32x2.pytorch-resnet3d-k400", ""),
    "pytorchvideo_c2d_r50": ("c2d-r50-8x8.pytorchvideo-k400", ""),
    "pytorchvideo_i3d_r50": ("i3d-r50-8x8.pytorchvideo-k400", ""),
}
"""The model of the manifest that has the network of a family, and the form of the file (see ``write_checkpoint``)."""

WITH_OUTPUTS = [family for family in ENTRIES if (DATA / f"{family}.npz").exists()]
STAGES = ("pool1", "res2", "res3", "res4", "res5")


class Loaded(NamedTuple):
    """A converted file: ready to run, and its tensors."""

    recognizer: Recognizer
    tensors: dict[str, np.ndarray]


Load = Callable[..., Loaded]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Load:
    """Build a family's file, convert it, load the result; no file is left."""

    def build_and_load(family: str, add: dict[str, float] | None = None) -> Loaded:
        entry, form = ENTRIES[family]
        table = read_table(family)
        arrays = make_tensors(table)
        for name, value in (add or {}).items():
            arrays[name].flat[0] += value
        foreign, own = tmp_path / "checkpoint", tmp_path / "model.safetensors"
        write_checkpoint(table, arrays, foreign, form)
        del arrays
        monkeypatch.setattr(sys, "argv", ["nlvid", "models", "convert", str(foreign), "--as", entry, "-o", str(own)])
        with pytest.raises(SystemExit) as end:
            main()
        printed = capsys.readouterr()
        assert (end.value.code or 0, printed.out) == (0, f"{own}\n"), printed.err
        recognizer = nlvid_cli.load(own, precision="fp32", device="cpu")
        tensors = {name: np.array(tensor) for name, tensor in open_checkpoint(own)[1].items()}
        foreign.unlink()
        own.unlink()
        return Loaded(recognizer, tensors)

    return build_and_load


def test_every_family_is_tested() -> None:
    assert list(ENTRIES) == families()
    assert len(WITH_OUTPUTS) == 12


SLOW = {"lfb_charades_r50", "pyslowfast_I3D_NLN_8x8_R50_c2"}
"""Families whose inputs take ten seconds, and one whose network is that of another family in another container."""


@pytest.mark.parametrize(
    "family", [pytest.param(family, marks=pytest.mark.slow) if family in SLOW else family for family in WITH_OUTPUTS]
)
def test_outputs_are_those_of_the_family_s_own_program(family: str, load: Load) -> None:
    recognizer, _ = load(family)
    seen = watch(recognizer.backend._network)  # type: ignore[attr-defined]
    with np.load(DATA / f"{family}.npz") as file:
        known = dict(file)
    shapes = [name.removeprefix("logits_") for name in known if name.startswith("logits_")]
    assert shapes == read_table(family).header["inputs"].split()
    for shape in shapes:
        seen.clear()
        clips = make_input(tuple(map(int, shape.split("x"))))
        outputs = recognizer.backend.outputs(clips)
        logits, scores = outputs.logits, outputs.scores
        # the hooks have seen one clip after the other; what is known is of the first, and of all of them
        assert error(logits, known[f"logits_{shape}"]) < TOLERANCE
        if f"nl_out_{shape}" in known:
            assert error(seen["nonlocal"][0][:1, :4], known[f"nl_out_{shape}"]) < TOLERANCE
        stages = [[f(np.concatenate(seen[stage]), dtype=np.float64) for f in (np.mean, np.std)] for stage in STAGES]
        assert error(np.array(stages), known[f"stages_{shape}"]) < TOLERANCE
        if f"scores_{shape}" in known:
            assert error(scores, known[f"scores_{shape}"]) < TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("family", WITH_OUTPUTS)
def test_outputs_of_the_plain_networks_are_those_too(family: str, load: Load) -> None:
    """``tests/test_every_model.py`` compares all models with these plain networks."""
    _, tensors = load(family)
    shape = read_table(family).header["inputs"].split()[0]
    plain, _ = PlainResNet(GRAPHS[ENTRIES[family][0]], tensors).outputs(make_input(tuple(map(int, shape.split("x")))))
    with np.load(DATA / f"{family}.npz") as known:
        assert error(plain, known[f"logits_{shape}"]) < TOLERANCE


@pytest.mark.parametrize("family", [family for family in ENTRIES if family not in WITH_OUTPUTS])
def test_files_of_the_other_networks_convert_and_load(family: str, load: Load) -> None:
    recognizer, _ = load(family)
    count = sum(tensor.numel() for tensor in recognizer.backend._network.parameters())  # type: ignore[attr-defined]
    assert count > 20e6


def test_a_single_wrong_bias_is_noticed(load: Load) -> None:
    shape = "1x3x32x112x144"
    recognizer, _ = load("mmaction2_i3d_r50", {"backbone.layer2.1.conv2.bn.bias": 0.3})
    with np.load(DATA / "mmaction2_i3d_r50.npz") as known:
        logits = recognizer.logits(make_input(tuple(map(int, shape.split("x")))))
        assert error(logits, known[f"logits_{shape}"]) > 5 * TOLERANCE


def error(got: np.ndarray, known: np.ndarray) -> float:
    """The largest difference, in units of the largest known number."""
    assert got.shape == known.shape
    return float(np.abs(got - known).max() / np.abs(known).max())


def watch(network: nn.Module) -> dict[str, list[np.ndarray]]:
    """Outputs of the stages of a network and of the first non-local block, as they come to be, clip by clip."""
    seen: dict[str, list[np.ndarray]] = {}

    def keep(name: str) -> Callable[[nn.Module, object, torch.Tensor], None]:
        return lambda _module, _inputs, out: seen.setdefault(name, []).append(out.numpy())

    for stage in STAGES:
        network.get_submodule(stage).register_forward_hook(keep(stage))
    for module in network.modules():
        if isinstance(module, NonLocalBlock):
            module.register_forward_hook(keep("nonlocal"))
            break
    return seen
