"""No entry of the manifest is only text: each is built in its published form, converted, loaded and run on a video."""

from __future__ import annotations

import math
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import nlvid_cli
from nlvid_cli.card.card import Card
from nlvid_cli.card.manifest import load_manifest
from nlvid_cli.models.model_file import open_checkpoint
from nlvid_cli.recognize.answer import Answer
from nlvid_cli.recognize.recognizer import Recognizer
from tests.clips import make_clip
from tests.conftest import Run
from tests.foreign import Tensors, make_tensors, write_foreign
from tests.plain_resnet import GRAPHS, Graph, PlainResNet, clip_size


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", frames=75)


def test_all_but_inception_networks_are_written_down_here() -> None:
    assert list(GRAPHS) == [card.name for card in load_manifest().models if card.architecture.kind == "resnet"]


PUBLISHED = [card for card in load_manifest().models if card.format != "safetensors"]
"""All but nlvid's own, which is tested as it is."""


@pytest.mark.parametrize("card", PUBLISHED, ids=lambda card: card.name)
def test_every_model_goes_all_the_way(card: Card, clip: Path, tmp_path: Path, run: Run) -> None:
    source, ready = tmp_path / "theirs", tmp_path / "ours.safetensors"
    tensors = make_tensors(card, seed=zlib.crc32(card.name.encode()))
    write_foreign(card, tensors, source)
    outcome = run("models", "convert", source, "--as", card.name, "-o", ready)
    source.unlink()
    assert (outcome.status, outcome.out) == (0, f"{ready}\n"), outcome.err

    own_card, converted = open_checkpoint(ready)
    # the file has not the published sum, so nothing is claimed of its accuracy; all else is the entry's
    assert own_card == replace(
        card, name="theirs", aliases=(), summary=own_card.summary, origin=own_card.origin, sources=(), accuracy=()
    )
    assert converted.keys() == tensors.keys()
    for name, array in tensors.items():
        np.testing.assert_array_equal(converted[name], array, err_msg=name)

    recognizer = nlvid_cli.load(ready, clips=1, precision="fp32", device="cpu")
    ready.unlink()
    if card.name in GRAPHS:
        _compare(recognizer, GRAPHS[card.name], tensors)

    result = recognizer.classify(clip, Answer(top_k=None))
    scores = [prediction.score for prediction in result.predictions]
    assert result.model == "theirs"
    assert (result.views.clips, result.views.frames) == (1, card.sampling.frames)
    assert len(scores) == card.labels.count
    assert all(math.isfinite(score) and 0 <= score <= 1 for score in scores)
    assert max(scores) - min(scores) > 1e-6
    if card.labels.kind == "single":
        assert sum(scores) == pytest.approx(1, abs=0.02)


def _compare(recognizer: Recognizer, graph: Graph, tensors: Tensors) -> None:
    """Its outputs are those of the family's network, which is written down in another place."""
    shape = (1, 3, recognizer.card.sampling.frames, *clip_size(graph))
    clips = np.random.default_rng(0).standard_normal(shape, np.float32)
    logits, scores = PlainResNet(graph, tensors).outputs(clips)
    ours = recognizer.backend.outputs(clips)
    assert np.abs(ours.logits - logits).max() < 1e-4 * np.abs(logits).max()
    assert np.abs(ours.scores - scores).max() < 1e-4 * scores.max()
