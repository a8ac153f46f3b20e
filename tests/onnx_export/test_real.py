"""Every network of the manifest, and real weights on real clips. Each test takes minutes: `make test-long`."""

from __future__ import annotations

import csv
import zlib
from dataclasses import replace
from pathlib import Path

import pytest

import nlvid_cli
from nlvid_cli.card.card import Card
from nlvid_cli.card.manifest import load_manifest
from nlvid_cli.models.model_file import write_checkpoint
from nlvid_cli.onnx_export import export_onnx
from nlvid_cli.recognize.answer import Answer
from tests.foreign import make_tensors

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]

ALL = Answer(top_k=None)


def one_of_each() -> list[Card]:
    """The first model of each different network in the manifest."""
    return list({repr(card.architecture): card for card in reversed(load_manifest().models)}.values())


@pytest.mark.parametrize("card", one_of_each(), ids=lambda card: card.name)
def test_every_network_of_the_manifest(card: Card, tmp_path: Path) -> None:
    """In fp32, at two sizes and batches. A difference over 1e-4 of the largest logit is an error."""
    card = replace(card, aliases=(), sources=(), format="safetensors")
    path = tmp_path / "random.safetensors"
    write_checkpoint(path, card, make_tensors(card, seed=zlib.crc32(card.name.encode())))
    exported = export_onnx(path, tmp_path / "random.onnx", device="cpu")
    assert len(exported.comparisons) == 4  # so sizes are free
    assert max(row.relative_difference for row in exported.comparisons) < 1e-4


def _labelled(folder: Path) -> dict[Path, str]:
    with (folder / "labels.csv").open(newline="") as file:
        return {folder / row["file"]: row["kinetics_label"] for row in csv.DictReader(file)}


def _scores(model: str | Path, videos: list[Path], **options: object) -> list[dict[str, float]]:
    recognizer = nlvid_cli.load(model, device="cpu", clips=3, **options)  # type: ignore[arg-type]
    return [{entry.label: entry.score for entry in recognizer.classify(video, ALL).predictions} for video in videos]


@pytest.mark.network
@pytest.mark.parametrize("name", ["i3d", "tiny"])
def test_real_weights_on_real_clips(name: str, shared: Path, tmp_path: Path) -> None:
    """fp32 scores equal torch's on all clips; fp16 and int8 keep the best label where torch is right."""
    wanted = _labelled(shared / "videos" / "action")
    videos = list(wanted)
    by_torch = _scores(name, videos, backend="torch", precision="fp32")
    best = [max(scores, key=scores.__getitem__) for scores in by_torch]
    right = [place for place, video in enumerate(videos) if best[place] == wanted[video]]
    assert name != "i3d" or len(right) == 8
    sizes = {}
    for precision in ("fp32", "fp16", "int8"):
        calibrate = videos if precision == "int8" else []
        out = tmp_path / f"{precision}.onnx"
        sizes[precision] = export_onnx(name, out, precision=precision, calibrate=calibrate, device="cpu").size_bytes
        scores = _scores(out, videos)
        if precision == "fp32":
            assert scores == [pytest.approx(expected, abs=1e-3) for expected in by_torch]
        assert all(max(scores[place], key=scores[place].__getitem__) == best[place] for place in right)
    assert sizes["int8"] < 0.3 * sizes["fp32"]
