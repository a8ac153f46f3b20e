"""A small network, its model file and its ONNX file, made once for all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from nlvid_cli.card.architecture import Head, InceptionArchitecture
from nlvid_cli.card.card import Accuracy, Card
from nlvid_cli.models.model_file import write_checkpoint
from nlvid_cli.onnx_export import Exported, export_onnx
from tests.clips import make_clip
from tests.conftest import make_card
from tests.small_networks import random_weights


@pytest.fixture(scope="session")
def small_card() -> Card:
    """A network of two Inception blocks, with an invented accuracy."""
    architecture = InceptionArchitecture("inception", Head("softmax_of_mean"), 1e-3, last="mixed_3b")
    figure = Accuracy("made", "top-1", 50.0, "none", "nobody")
    return make_card(architecture=architecture, name="small.test", accuracy=(figure,))


@pytest.fixture(scope="session")
def small_file(small_card: Card, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("small") / "small.safetensors"
    write_checkpoint(path, small_card, random_weights(small_card))
    return path


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two videos."""
    folder = tmp_path_factory.mktemp("clips")
    make_clip(folder / "long.mp4", frames=60)
    make_clip(folder / "short.mp4", frames=10, size=(48, 80))
    return folder


@pytest.fixture(scope="session")
def exported(small_file: Path, clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """An ONNX file in fp32, for clips of any size."""
    path = tmp_path_factory.mktemp("exported") / "small.onnx"
    return export_onnx(small_file, path, video=clips / "long.mp4", device="cpu")
