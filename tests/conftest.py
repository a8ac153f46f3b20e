"""What tests in several folders share."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from nlvid_cli.app import main
from nlvid_cli.card.architecture import Head, InceptionArchitecture
from nlvid_cli.card.card import Card, Labels, Preprocess, Sampling

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def fresh_logging() -> None:
    """What a command line has set up in an earlier test must not decide what is logged in this one."""
    log = logging.getLogger("nlvid_cli")
    log.setLevel(logging.NOTSET)
    log.propagate = True
    log.handlers.clear()


@pytest.fixture(scope="session", autouse=True)
def signals_as_on_a_terminal() -> None:
    """Scripts and nohup let what they run in the background ignore these."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real clips, which is no part of the repository."""
    folder = Path(os.environ.get("NLVID_SHARED", REPOSITORY.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"no folder of real clips at {folder} (set NLVID_SHARED)")
    return folder


def make_card(**changes: object) -> Card:
    """A card of a network that is quick to run: 8 frames of 64 x 64, 5 labels."""
    parts: dict[str, object] = {
        "name": "i3d-inception-8x2.test-made",
        "summary": "random weights",
        "paper": "none",
        "licence": "none",
        "origin": "made by a test",
        "format": "safetensors",
        "sources": (),
        "architecture": InceptionArchitecture("inception", Head("softmax_of_mean", (1, 2, 2)), 1e-3),
        "sampling": Sampling(frames=8, step=2, clips=3, clip_starts="ends", short_video="loop"),
        "preprocess": Preprocess(72, 64, 1, "swscale_bilinear", (127.5,) * 3, (127.5,) * 3),
        "labels": Labels("single", 5, names=("dancing", "eating cake", "running", "swimming backstroke", "swimming")),
    }
    return Card(**(parts | changes))  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def card() -> Card:
    return make_card()


@pytest.fixture(scope="session")
def random_tensors(card: Card) -> dict[str, np.ndarray]:
    """Weights for the card's network."""
    return random_tensors_of(card)


def random_tensors_of(card: Card) -> dict[str, np.ndarray]:
    """Make random weights, the same in every run; signals keep their size, so scores tell videos apart."""
    import torch

    from nlvid_cli.network.build import build_network

    torch.manual_seed(0)
    network = build_network(card)
    for name, tensor in network.state_dict().items():
        if name.endswith("conv.weight"):
            torch.nn.init.kaiming_normal_(tensor)
        elif name.endswith("running_var"):
            tensor.uniform_(0.5, 1.5)
        elif name.endswith(("running_mean", "norm.bias")):
            tensor.normal_(0, 0.1)
    return {name: tensor.numpy() for name, tensor in network.state_dict().items() if "num_batches" not in name}


@pytest.fixture(scope="session")
def small_card() -> Card:
    """The same card with the first layers of its network only: a fifteenth of the weights, half the time."""
    return make_card(architecture=InceptionArchitecture("inception", Head("softmax_of_mean"), 1e-3, last="mixed_3b"))


@pytest.fixture(scope="session")
def small_model_file(small_card: Card, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file as nlvid writes it, of the small network."""
    from nlvid_cli.models.model_file import write_checkpoint

    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    write_checkpoint(path, small_card, random_tensors_of(small_card))
    return path


@pytest.fixture(scope="session")
def model_file(card: Card, random_tensors: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file as nlvid writes it."""
    from nlvid_cli.models.model_file import write_checkpoint

    path = tmp_path_factory.mktemp("model") / "random.safetensors"
    write_checkpoint(path, card, random_tensors)
    return path


@dataclass
class Outcome:
    """What a command line gave."""

    status: int
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command line in this process."""

    def call(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["nlvid", *map(str, arguments)])
        status = 0
        try:
            main()
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        captured = capfd.readouterr()
        return Outcome(status, captured.out, captured.err)

    return call
