"""Conversion: norms are folded correctly, tensors that do not fit are refused, and hostile files change nothing."""

from __future__ import annotations

import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn

from nlvid_cli.card.architecture import Head, Kernel3d, NonLocal, ResNetArchitecture
from nlvid_cli.card.card import BundledSource, Card
from nlvid_cli.card.manifest import find_card, weights_folder
from nlvid_cli.errors import CheckpointMismatch, ModelFileError
from nlvid_cli.models.convert import convert, fit_norms
from nlvid_cli.models.model_file import open_checkpoint
from nlvid_cli.network.build import load_weights
from nlvid_cli.network.resnet3d import ResNet3d
from nlvid_cli.system.hashes import sha256_of
from tests.conftest import Run
from tests.golden.builder import read_table, write_checkpoint

Arrays = dict[str, np.ndarray]

BATCH = ResNetArchitecture(
    "resnet",
    (1, 2, 2, 1),
    stem=Kernel3d((1, 7, 7), (1, 2, 2), (0, 3, 3)),
    pool1=Kernel3d((1, 3, 3), (1, 2, 2)),
    head=Head("mean_of_softmax"),
    width=4,
    norm_eps=1e-3,  # a large one, so that leaving it out is noticed
    nonlocal_blocks=NonLocal(("res3.0", "res4.1")),
)


def with_nonlocal(blocks_norm: str, **changes: object) -> ResNetArchitecture:
    assert BATCH.nonlocal_blocks is not None
    return replace(BATCH, nonlocal_blocks=replace(BATCH.nonlocal_blocks, norm=blocks_norm), **changes)  # type: ignore[arg-type]


def network_of(architecture: ResNetArchitecture, tensors: Arrays) -> nn.Module:
    network = ResNet3d(architecture, 5).eval()
    load_weights(network, {name: torch.from_numpy(array) for name, array in tensors.items()}, "test")
    return network


@pytest.fixture(scope="module")
def tensors() -> Arrays:
    """Weights of BATCH whose norms all do something."""
    torch.manual_seed(0)
    state = ResNet3d(BATCH, 5).state_dict()
    for name, tensor in state.items():
        if name.endswith(("running_var", "norm.weight")):
            tensor.uniform_(0.01, 1.5)
        elif name.endswith(("running_mean", "bias")):
            tensor.normal_(0, 0.5)
    return {name: tensor.numpy() for name, tensor in state.items() if tensor.ndim}


CLIPS = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 3, 4, 64, 64), np.float32))


def outputs(network: nn.Module) -> Tensor:
    with torch.inference_mode():
        result: Tensor = network(CLIPS)
        return result


@pytest.mark.parametrize(
    "architecture",
    [
        with_nonlocal("affine", norm="affine"),
        with_nonlocal("none", norm="affine"),
        with_nonlocal("none"),
        with_nonlocal("affine"),
        BATCH,
    ],
)
def test_folded_norms_compute_the_same(tensors: Arrays, architecture: ResNetArchitecture) -> None:
    fitted = fit_norms(tensors, architecture)
    expected = outputs(network_of(BATCH, tensors))
    got = outputs(network_of(architecture, fitted))
    assert (got - expected).abs().max() < 1e-5 * expected.abs().max()


def test_a_convolution_without_bias_gets_the_norms_shift(tensors: Arrays) -> None:
    source = replace(BATCH, nonlocal_blocks=replace(BATCH.nonlocal_blocks, out_bias=False))  # type: ignore[type-var]
    given = {name: array for name, array in tensors.items() if not name.endswith(".out.conv.bias")}
    fitted = fit_norms(given, with_nonlocal("none"))
    expected = outputs(network_of(source, given))
    assert (outputs(network_of(with_nonlocal("none"), fitted)) - expected).abs().max() < 1e-5 * expected.abs().max()


def test_an_affine_norm_before_none_is_folded_too(tensors: Arrays) -> None:
    affine = fit_norms(tensors, with_nonlocal("affine", norm="affine"))
    assert not any("running" in name for name in affine)
    fitted = fit_norms(affine, with_nonlocal("none", norm="affine"))
    expected = outputs(network_of(BATCH, tensors))
    got = outputs(network_of(with_nonlocal("none", norm="affine"), fitted))
    assert (got - expected).abs().max() < 1e-5 * expected.abs().max()


def test_nothing_is_made_up(tensors: Arrays) -> None:
    affine = fit_norms(tensors, with_nonlocal("affine", norm="affine"))
    assert fit_norms(affine, BATCH) == affine  # it has no statistics
    for lost in ("running_var", "running_mean", "norm.bias"):
        partial = {name: array for name, array in tensors.items() if not name.endswith(lost)}
        assert fit_norms(partial, with_nonlocal("none", norm="affine")) == partial


@pytest.fixture
def small(make_card: Callable[..., Card]) -> Card:
    return make_card()


@pytest.fixture
def source(foreign_file: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "theirs.pkl"
    path.write_bytes(foreign_file)
    return path


def test_the_new_file_has_card_tensors_and_origin(
    small: Card, source: Path, small_tensors: Arrays, tmp_path: Path
) -> None:
    notes: list[str] = []
    out = convert(source, small, tmp_path / "ours.safetensors", note=notes.append)
    card, tensors = open_checkpoint(out)
    assert card == small
    assert tensors.keys() == small_tensors.keys()
    for name, array in small_tensors.items():
        np.testing.assert_array_equal(tensors[name], array)
    with safe_open(out, framework="numpy") as file:
        assert file.metadata()["source_sha256"] == sha256_of(source)
    size = sum(array.nbytes for array in small_tensors.values()) / 1e6
    assert notes == [f"theirs.pkl: nlvid checkpoint; wrote {len(tensors)} tensors, {size:.1f} MB"]
    assert {path.name for path in tmp_path.iterdir()} == {"theirs.pkl", "ours.safetensors"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors: tensors.pop("head.classifier.bias"), r"missing head\.classifier\.bias$"),
        (lambda tensors: tensors.update({"head.x": np.ones(1, "f4")}), r"unexpected head\.x$"),
        (
            lambda tensors: tensors.update({"stem.norm.bias": np.ones(3, "f4")}),
            r"stem\.norm\.bias is \(3,\), the network needs \(2,\)$",
        ),
    ],
)
def test_what_does_not_fit_is_named_and_the_old_file_stays(
    small: Card, small_tensors: Arrays, tmp_path: Path, change: Callable[[Arrays], object], message: str
) -> None:
    tensors = dict(small_tensors)
    change(tensors)
    source, out = tmp_path / "theirs.pkl", tmp_path / "ours.safetensors"
    source.write_bytes(pickle.dumps(tensors, 4))
    out.write_bytes(b"old")
    with pytest.raises(CheckpointMismatch, match=r"theirs\.pkl: .*" + message):
        convert(source, small, out)
    assert out.read_bytes() == b"old"
    assert {path.name for path in tmp_path.iterdir()} == {source.name, out.name}


@pytest.fixture(scope="module")
def mmaction2_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of full size with zeros: only shapes matter here."""
    table = read_table("mmaction2_i3d_nl_gaussian")
    zeros = {name: np.zeros(shape, "i8" if role == "counter" else "f4") for name, shape, role in table.rows}
    path = tmp_path_factory.mktemp("mmaction2") / "gaussian.pth"
    write_checkpoint(table, zeros, path)
    return path


def test_a_mismatch_names_a_model_that_fits(mmaction2_file: Path, tmp_path: Path, run: Run) -> None:
    outcome = run("models", "convert", mmaction2_file, "--as", "nl-i3d", "-o", tmp_path / "x.safetensors")
    assert (outcome.status, outcome.out) == (3, "")
    assert "missing res3.1.nonlocal_block.phi.bias; missing" in outcome.err
    assert "--as nl-i3d-r50-32x2-gaussian.mmaction2-k400 (1 models" in outcome.err
    assert list(tmp_path.iterdir()) == []


def test_the_command_reports_what_it_found(mmaction2_file: Path, tmp_path: Path, run: Run) -> None:
    out = tmp_path / "x.safetensors"
    out.write_bytes(b"old")
    name = "nl-i3d-r50-32x2-gaussian.mmaction2-k400"
    outcome = run("models", "convert", mmaction2_file, "--as", name, "-o", out)
    assert (outcome.status, outcome.out) == (0, f"{out}\n")
    assert outcome.err == "note: gaussian.pth: mmaction2 checkpoint; wrote 302 tensors, 127.1 MB\n"
    assert open_checkpoint(out)[0].architecture == find_card(name).architecture
    quiet = run("models", "convert", "-q", out, "--as", name, "-o", out)
    assert (quiet.status, quiet.out, quiet.err) == (0, f"{out}\n", "")


@pytest.mark.parametrize(
    ("file", "as_name", "out", "status", "message"),
    [
        ("none.pkl", "i3d", "x.safetensors", 3, "none.pkl: no such file"),
        ("folder", "i3d", "x.safetensors", 3, "folder: a folder"),
        ("text", "i3d", "x.safetensors", 3, "text: not a checkpoint"),
        ("theirs.pkl", "i4d", "x.safetensors", 2, "did you mean 'i3d'"),
        ("theirs.pkl", "i3d", "x.pth", 2, ".safetensors"),
        ("theirs.pkl", "i3d", "x.safetensors", 3, "missing conv_1a"),
    ],
)
def test_mistakes_are_reported(
    source: Path, tmp_path: Path, run: Run, file: str, as_name: str, out: str, status: int, message: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "text").write_text("hello")
    before = sorted(tmp_path.iterdir())
    outcome = run("models", "convert", tmp_path / file, "--as", as_name, "-o", tmp_path / out)
    assert outcome.status == status
    assert outcome.out == ""
    assert message in outcome.err
    assert outcome.err.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("out", ["none/x.safetensors", "folder.safetensors"])
def test_an_output_that_cannot_be_written_is_reported(tmp_path: Path, run: Run, out: str) -> None:
    (tmp_path / "folder.safetensors").mkdir()
    tiny = find_card("tiny").sources[0]
    assert isinstance(tiny, BundledSource)
    outcome = run("models", "convert", weights_folder() / tiny.path, "--as", "tiny", "-o", tmp_path / out)
    assert (outcome.status, outcome.out) == (1, "")
    assert str(tmp_path / out) in outcome.err
    assert list(tmp_path.iterdir()) == [tmp_path / "folder.safetensors"]


class Runs:
    """An object that pickles as a call of a function."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.function, self.arguments


def as_pickle(path: Path, content: object) -> None:
    path.write_bytes(pickle.dumps(content, 2))


def as_zip(path: Path, content: object) -> None:
    torch.save(content, path)


def as_legacy(path: Path, content: object) -> None:
    torch.save(content, path, _use_new_zipfile_serialization=False)


@pytest.mark.parametrize("write", [as_pickle, as_zip, as_legacy])
@pytest.mark.parametrize(
    "attack",
    [
        lambda canary: Runs(os.system, f"touch {canary}"),
        lambda canary: Runs(getattr, Runs(__import__, "os"), "system"),
        lambda canary: Runs(map, os.system, [f"touch {canary}"]),
        lambda canary: Runs(eval, f"open({str(canary)!r}, 'w')"),
        lambda canary: Runs(open, str(canary), "w"),
        lambda canary: Runs(np.save, str(canary), np.ones(1)),
        lambda canary: Runs(torch.hub.load_state_dict_from_url, "http://127.0.0.1/x", str(canary)),
    ],
)
@pytest.mark.parametrize("place", ["beside", "inside"])
def test_hostile_pickles_are_refused(
    tmp_path: Path,
    cache: Path,
    run: Run,
    write: Callable[[Path, object], None],
    attack: Callable[[Path], object],
    place: str,
) -> None:
    canary, hostile = tmp_path / "canary", attack(tmp_path / "canary")
    weights = {"conv1_w": np.ones(1, "f4")} if write is as_pickle else {"conv1_w": torch.ones(1)}
    content = {"blobs": weights, "x": hostile} if place == "beside" else {"blobs": {**weights, "x": hostile}}
    path = tmp_path / "hostile.pth"
    write(path, content)
    refused(run, path, "does not execute")
    assert not canary.exists()
    assert not cache.exists()


def test_arrays_of_objects_are_refused(tmp_path: Path, run: Run) -> None:
    canary = tmp_path / "canary"
    path = tmp_path / "hostile.pkl"
    as_pickle(path, {"blobs": {"conv1_w": np.array([Runs(os.system, f"touch {canary}")], dtype=object)}})
    refused(run, path, "not of plain numbers")
    as_pickle(path, {"blobs": {"conv1_w": np.array([None, 1], dtype=object)}})
    refused(run, path, "not of plain numbers")
    assert not canary.exists()


def test_zip_bombs_are_refused(tmp_path: Path, run: Run) -> None:
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/data.pkl", bytes(10_000_000))
    refused(run, path, "compressed")


@pytest.mark.parametrize(
    "header",
    [
        {"stem.conv.weight": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 8]}},
        {"stem.conv.weight": {"dtype": "F32", "shape": [2**20, 2**20], "data_offsets": [0, 2**42]}},
        {"stem.conv.weight": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}},
        {"stem.conv.weight": {"dtype": "F32", "shape": [2], "data_offsets": [8, 16]}},
        {
            "stem.conv.weight": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
            "stem.norm.bias": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
        },
        {"stem.conv.weight": {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}},
    ],
)
def test_safetensors_with_a_lying_header_are_refused(tmp_path: Path, run: Run, header: object) -> None:
    path = tmp_path / "hostile.safetensors"
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(8))
    refused(run, path, "hostile.safetensors: damaged")


@pytest.mark.parametrize("length", [2**62, 99_999_999, 200_000_000, 10, 0])
def test_safetensors_with_a_header_of_another_length_are_refused(tmp_path: Path, run: Run, length: int) -> None:
    path = tmp_path / "hostile.safetensors"
    path.write_bytes(struct.pack("<Q", length) + b'{"a": {}}')
    refused(run, path, "hostile.safetensors: damaged")


def refused(run: Run, path: Path, reason: str) -> None:
    """Check that the command says why, returns 3, leaves no file, and does not touch the old one."""
    out = path.with_name("out.safetensors")
    out.write_bytes(b"old")
    before = sorted(path.parent.iterdir())
    outcome = run("models", "convert", path, "--as", "nl-i3d-r50-8x8.fair-k400", "-o", out)
    assert (outcome.status, outcome.out) == (3, "")
    assert outcome.err.startswith(f"error: {path.name}: ")
    assert reason in outcome.err
    assert sorted(path.parent.iterdir()) == before
    assert out.read_bytes() == b"old"


def test_a_missing_file_is_an_error_of_the_function_too(small: Card, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="no such file"):
        convert(tmp_path / "none", small, tmp_path / "x.safetensors")
