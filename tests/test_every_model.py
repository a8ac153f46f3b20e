"""No entry of the manifest is only text.

Each model is built in its published form and converted; a narrow twin of each network is compared with a plain one; and
one model of each family runs on a video.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import nlvid_cli
from nlvid_cli.app import app
from nlvid_cli.backends.torch_backend import TorchBackend
from nlvid_cli.card.card import Card
from nlvid_cli.card.manifest import find_card, load_manifest
from nlvid_cli.models.model_file import open_checkpoint
from nlvid_cli.network.build import require_shapes
from nlvid_cli.recognize.answer import Answer
from nlvid_cli.recognize.recognizer import Recognizer
from tests.clips import make_clip
from tests.foreign import Tensors, make_tensors, write_foreign
from tests.plain_resnet import GRAPHS, PlainResNet, clip_size


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", frames=75)


def test_all_but_inception_networks_are_written_down_here() -> None:
    assert list(GRAPHS) == [card.name for card in load_manifest().models if card.architecture.kind == "resnet"]


PUBLISHED = [card for card in load_manifest().models if card.format != "safetensors"]
"""All models but nlvid's own, which is tested as it is."""

NARROW = 8
"""Channels of the stem of a narrow twin, instead of 64: a 64th of the work, and nothing that tells networks apart."""


def _one_a_family() -> list[Card]:
    """The cheapest model of each published form and kind of labels, preferably one with non-local blocks."""
    families: dict[tuple[str, str], list[Card]] = {}
    for card in PUBLISHED:
        families.setdefault((card.format, card.labels.kind), []).append(card)
    return [
        min(cards, key=lambda card: (card.architecture.nonlocal_blocks is None, card.sampling.frames, len(card.name)))
        for cards in families.values()
    ]


@pytest.mark.parametrize("card", PUBLISHED, ids=lambda card: card.name)
def test_every_model_converts(card: Card, tmp_path: Path) -> None:
    tensors, ready = _converted(card, tmp_path)
    own_card, converted = open_checkpoint(ready)
    # the file has not the published sum, so nothing is claimed of its accuracy; all else is the entry's
    assert own_card == replace(
        card, name="theirs", aliases=(), summary=own_card.summary, origin=own_card.origin, sources=(), accuracy=()
    )
    assert converted.keys() == tensors.keys()
    for name, array in tensors.items():
        np.testing.assert_array_equal(converted[name], array, err_msg=name)
    require_shapes(own_card, converted, "theirs")


@pytest.mark.parametrize("name", GRAPHS)
def test_every_network_is_that_of_its_family(name: str) -> None:
    """Outputs equal those of the family's network, which is written down in another place."""
    card = find_card(name)
    narrow = replace(
        card,
        architecture=replace(card.architecture, width=NARROW),
        labels=replace(card.labels, count=20, file=None, names=tuple(map(str, range(20)))),
    )
    tensors = make_tensors(narrow, seed=zlib.crc32(name.encode()))
    clips = np.random.default_rng(0).standard_normal((1, 3, card.sampling.frames, *clip_size(GRAPHS[name])), np.float32)
    logits, scores = PlainResNet(GRAPHS[name], tensors).outputs(clips)
    ours = TorchBackend(narrow, tensors, "cpu", "fp32").outputs(clips)
    # narrow twins agree to 3e-7; the order of softmax and mean in the head moves scores by 5e-5 only
    assert np.abs(ours.logits - logits).max() < 1e-5 * np.abs(logits).max()
    assert np.abs(ours.scores - scores).max() < 1e-5 * scores.max()


@pytest.mark.parametrize("card", _one_a_family(), ids=lambda card: card.name)
def test_a_model_of_each_family_runs_on_a_video(card: Card, clip: Path, tmp_path: Path) -> None:
    _, ready = _converted(card, tmp_path)
    recognizer = nlvid_cli.load(ready, clips=1, precision="fp32", device="cpu")
    if card.name in GRAPHS and GRAPHS[card.name].window is None:  # the head takes maps of any size
        preprocess = replace(recognizer.card.preprocess, short_side=104, crop=96)
        recognizer = Recognizer(replace(recognizer.card, preprocess=preprocess), recognizer.backend)
    result = recognizer.classify(clip, Answer(top_k=None))
    scores = [prediction.score for prediction in result.predictions]
    assert result.model == "theirs"
    assert (result.views.clips, result.views.frames) == (1, card.sampling.frames)
    assert len(scores) == card.labels.count
    assert all(math.isfinite(score) and 0 <= score <= 1 for score in scores)
    assert max(scores) - min(scores) > 1e-6
    if card.labels.kind == "single":
        assert sum(scores) == pytest.approx(1, abs=0.02)


def _converted(card: Card, folder: Path) -> tuple[Tensors, Path]:
    """Made tensors, and nlvid's own file out of the one that the family's program would have written."""
    tensors = make_tensors(card, seed=zlib.crc32(card.name.encode()))
    theirs, ours = folder / "theirs", folder / "ours.safetensors"
    write_foreign(card, tensors, theirs)
    status = CliRunner().invoke(app, ["models", "convert", str(theirs), "--as", card.name, "-o", str(ours)])
    assert (status.exit_code, status.stdout) == (0, f"{ours}\n"), status.output
    theirs.unlink()
    return tensors, ours
