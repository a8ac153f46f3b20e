"""From a video file to its explanation: arrows end where the bright patches are, whatever the file."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from nlvid_cli.backends.torch_backend import TorchBackend
from nlvid_cli.card.architecture import Head, InceptionArchitecture, NonLocal
from nlvid_cli.card.card import Card, Preprocess, Sampling
from nlvid_cli.errors import UnknownName, UsageError
from nlvid_cli.network.build import build_network
from nlvid_cli.recognize.explain.places import Place, Point
from nlvid_cli.recognize.explain.run import ExplainOptions
from nlvid_cli.recognize.explain.values import Explanation
from nlvid_cli.recognize.recognizer import Recognizer
from tests.clips import TICKS, make_clip
from tests.conftest import make_card
from tests.recognize.colours import Colours
from tests.small_networks import RESNET, random_weights

SPACETIME = NonLocal(("res3.0",), "dot_product")

CARDS: dict[str, Card] = {
    "resnet": make_card(architecture=replace(RESNET, width=4, nonlocal_blocks=SPACETIME)),
    "resnet, three crops, stretched": make_card(
        architecture=replace(RESNET, width=4, nonlocal_blocks=replace(SPACETIME, pool_place="after")),
        preprocess=Preprocess(256, 224, 3, "opencv_bilinear", (127.5,) * 3, (127.5,) * 3, size="stretched_340x256"),
        sampling=Sampling(frames=8, step=2, clips=1, clip_starts="ends", short_video="loop"),
    ),
    "inception": make_card(
        architecture=InceptionArchitecture(
            "inception",
            Head("softmax_of_mean"),
            1e-3,
            last="mixed_3c",
            nonlocal_blocks=NonLocal(("mixed_3c",), "dot_product"),
        ),
        preprocess=Preprocess(120, 111, 1, "swscale_bilinear", (127.5,) * 3, (127.5,) * 3),
    ),
}


def _pass_through(card: Card) -> dict[str, np.ndarray]:
    """Weights with which each position sees the brightness at its centre, and around it what the max pools take in."""
    network = build_network(card)
    for name, tensor in network.state_dict().items():
        if name.endswith("conv.weight"):
            tensor.zero_()
            centre = [length // 2 for length in tensor.shape[2:]]
            tensor[(slice(None), slice(None), *centre)] = 0.0 if "branch3" in name else 1 / tensor.shape[1]
        elif (name.endswith("weight") and "theta" in name) or "phi" in name or name.endswith("g.weight"):
            tensor.fill_(1 / tensor.shape[-1])
        elif name.endswith(("norm.weight", "running_var")):
            tensor.fill_(1.0)
        elif name.endswith(("bias", "running_mean")):
            tensor.zero_()
    return {name: tensor.numpy() for name, tensor in network.state_dict().items() if "num_batches" not in name}


def _recognizer(card: Card) -> Recognizer:
    dark = replace(card.preprocess, mean=(0.0,) * 3, std=(25.0,) * 3)  # black is 0
    card = replace(card, preprocess=dark)
    return Recognizer(card, TorchBackend(card, _pass_through(card), "cpu", "fp32"))


PATCH = 36


def _video(
    path: Path,
    patches: dict[int, tuple[int, int]],
    size: tuple[int, int],
    rotation: int = 0,
    times: list[int] | None = None,
) -> Path:
    """A black video with a white square from each of the frames on, for 6 frames; places are of the video as shown."""
    width, height = size
    coded = (height, width) if rotation in (90, 270) else size
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1" if path.suffix == ".mkv" else "libx264", rate=25)
        stream.width, stream.height = coded
        stream.pix_fmt = "yuv444p"
        stream.codec_context.time_base = Fraction(1, TICKS)
        stream.options = {"qp": "0"}
        if rotation:
            stream.set_display_rotation(-rotation)  # counter-clockwise
        for number in range(40):
            picture = np.zeros((height, width, 3), np.uint8)
            for start, (x, y) in patches.items():
                if start <= number < start + 6:
                    picture[y : y + PATCH, x : x + PATCH] = 255
            picture = np.rot90(picture, rotation // 90)  # counter-clockwise: what is shown turns it back
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = (times or range(0, 40 * 40, 40))[number], Fraction(1, TICKS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def _uneven() -> list[int]:
    steps = np.random.default_rng(0).integers(20, 60, 40)
    return np.cumsum(steps).tolist()


FILES = {
    "plain": ((160, 120), 0, None),
    "odd size": ((163, 121), 0, None),
    "upright, turned": ((120, 160), 90, None),
    "upside down": ((171, 131), 180, None),
    "turned the other way": ((131, 171), 270, None),
    "variable rate": ((160, 120), 0, _uneven()),
}


@pytest.mark.parametrize("name", CARDS)
@pytest.mark.parametrize("file", FILES)
def test_both_ends_of_the_arrows_are_on_the_patches(file: str, name: str, tmp_path: Path) -> None:
    size, rotation, times = FILES[file]
    recognizer = _recognizer(CARDS[name])
    crops = recognizer.card.preprocess.crops
    span = (0.3, 0.62) if crops == 3 else (0.12, 0.62)  # inside of what each view sees
    short, long = min(size), max(size)
    corners = [(int(share * short), int(other * short)) for share, other in zip(span, span[::-1], strict=True)]
    shift = (long - short) // 2
    corners = [(x + shift, y) if size[0] > size[1] else (x, y + shift) for x, y in corners]
    if crops == 3:
        corners = [(int(0.3 * size[0]), int(0.6 * size[1])), (int(0.5 * size[0]), int(0.15 * size[1]))]
    patches = dict(zip((14, 24), corners, strict=True))
    video = _video(tmp_path / "clip.mkv", patches, size, rotation, times)
    x, y = corners[0]
    stamps = [(stamp - (times or [0])[0]) / TICKS for stamp in times or range(0, 1600, 40)]
    point = Point(stamps[17], x + PATCH / 2, y + PATCH / 2)
    options = ExplainOptions(at_seconds=stamps[21], points=(point,), arrows=10_000)
    explanation = recognizer.explain(video, options)
    assert explanation.prediction.facts.rotation_degrees == rotation
    for frame in explanation.frames:
        assert frame.seconds == pytest.approx(stamps[frame.number], abs=2e-3)
    (query,) = explanation.blocks[0].queries
    box = query.place.box
    assert box.left - 1 <= point.x <= box.right + 1
    assert box.top - 1 <= point.y <= box.bottom + 1
    assert query.place.seconds == pytest.approx(point.seconds, abs=0.17)
    bright = [arrow.place for arrow in query.arrows if arrow.weight > query.arrows[0].weight / 2]
    hits = [_touched(place, explanation, patches) for place in bright]
    assert None not in hits, bright[hits.index(None)]
    assert set(hits) == {14, 24}


MARGIN = 0.05
"""Share of the video by which a max pool may see beyond the box of its position."""


def _touched(place: Place, explanation: Explanation, patches: dict[int, tuple[int, int]]) -> int | None:
    """The patch on which an arrow ends."""
    box, facts = place.box, explanation.prediction.facts
    x_margin, y_margin = MARGIN * facts.width, MARGIN * facts.height
    numbers = [explanation.frames[frame].number for frame in (place.first_frame, place.last_frame)]
    for start, (x, y) in patches.items():
        across = box.left - x_margin <= x + PATCH and box.right + x_margin >= x
        down = box.top - y_margin <= y + PATCH and box.bottom + y_margin >= y
        if across and down and numbers[0] < start + 6 and numbers[1] >= start:
            return start
    return None


def _explained(name: str, tmp_path: Path, **options: object) -> Explanation:
    card = CARDS[name]
    recognizer = Recognizer(card, TorchBackend(card, random_weights(card), "cpu", "fp32"))
    return recognizer.explain(make_clip(tmp_path / "clip.mp4", size=(96, 80)), ExplainOptions(**options))  # type: ignore[arg-type]


def test_an_explanation_as_json(tmp_path: Path) -> None:
    explanation = _explained("resnet", tmp_path, check=True, auto=True, change=True)
    record = json.loads(json.dumps(explanation.to_dict()))
    assert record["label"]["label"] == explanation.prediction.predictions[0].label
    assert [frame["number"] for frame in record["clip"]["frames"]] == [frame.number for frame in explanation.frames]
    (block,) = record["blocks"]
    assert [query["chosen"] for query in block["queries"]] == ["auto", "change"]
    assert all(len(query["arrows"]) == 20 for query in block["queries"])
    assert list(record["check"]) == ["gradcam", "hirescam", "block res3.0", "random", "centre", "motion"]
    assert all(0 <= value <= 1 for curves in record["check"].values() for value in curves.values())
    assert [heat["method"] for heat in record["heat_maps"]] == ["gradcam", "hirescam"]


def test_the_clip_that_decides_is_the_best_one_of_the_label(tmp_path: Path) -> None:
    explanation = _explained("resnet", tmp_path)
    clips = explanation.prediction.clips
    index = explanation.label.index
    scores = [next(label.score for label in clip.predictions if label.index == index) for clip in clips]
    best = clips[int(np.argmax(scores))]
    assert (best.start_seconds, best.end_seconds) == (explanation.start_seconds, explanation.end_seconds)
    assert explanation.score == pytest.approx(max(scores), rel=1e-5)
    recognizer = Recognizer(
        CARDS["resnet"], TorchBackend(CARDS["resnet"], random_weights(CARDS["resnet"]), "cpu", "fp32")
    )
    assert recognizer.classify(tmp_path / "clip.mp4") == explanation.prediction


def test_queries_that_the_network_chooses(tmp_path: Path) -> None:
    explanation = _explained("resnet", tmp_path, auto=True, change=True, grid=(1, 2, 3), arrows=7)
    (block,) = explanation.blocks
    auto, change, *grid = block.queries
    assert auto.place == block.places[np.unravel_index(block.effect.argmax(), block.effect.shape)]  # type: ignore[index]
    assert change.place == block.places[np.unravel_index(block.size.argmax(), block.size.shape)]  # type: ignore[index]
    assert len(grid) == len({(query.place.x, query.place.y) for query in grid}) == 6
    for query in block.queries:
        assert query.weights.shape == block.keys.size
        largest = sorted(query.weights.ravel().tolist(), key=abs, reverse=True)
        assert [arrow.weight for arrow in query.arrows] == largest[:7]


def test_a_fresh_block_has_no_arrows(tmp_path: Path) -> None:
    card = CARDS["resnet"]
    tensors = random_weights(card)
    tensors["res3.0.nonlocal_block.out.norm.weight"][:] = 0
    recognizer = Recognizer(card, TorchBackend(card, tensors, "cpu", "fp32"))
    explanation = recognizer.explain(make_clip(tmp_path / "clip.mp4"))
    assert explanation.blocks[0].ignores_weights
    assert not explanation.blocks[0].queries
    assert any("res3.0 adds the same" in warning for warning in explanation.warnings)


def test_one_label_and_one_time(tmp_path: Path) -> None:
    explanation = _explained("resnet", tmp_path, label="EATING cake", at_seconds=1.2)
    assert explanation.label.label == "eating cake"
    assert explanation.start_seconds < 1.2 < explanation.end_seconds
    assert (explanation.start_seconds + explanation.end_seconds) / 2 == pytest.approx(1.2, abs=0.05)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"label": "eating cakes"}, UnknownName, "eating cake"),
        ({"blocks": ("res3.1",)}, UnknownName, "block"),
        ({"at_seconds": 77.0}, UsageError, "77"),
        ({"points": (Point(0.5, 1e6, 3),)}, UsageError, "sees"),
        ({"points": (Point(99, 40, 40),)}, UsageError, "--at"),
        ({"arrows": 0}, UsageError, "arrow"),
        ({"grid": (1, 0, 1)}, UsageError, "grid"),
    ],
)
def test_what_is_not_there(options: dict[str, object], error: type[UsageError], message: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=message):
        _explained("resnet", tmp_path, **options)


def test_a_point_needs_a_block(card: Card, random_tensors: dict[str, np.ndarray], tmp_path: Path) -> None:
    recognizer = Recognizer(card, TorchBackend(card, random_tensors, "cpu", "fp32"))
    clip = make_clip(tmp_path / "clip.mp4")
    assert not recognizer.explain(clip).blocks
    with pytest.raises(UsageError, match="no non-local blocks"):
        recognizer.explain(clip, ExplainOptions(points=(Point(1, 30, 20),)))


def test_a_backend_without_gradients(card: Card, tmp_path: Path) -> None:
    class Without(Colours):
        def gradients(self, *arguments: object) -> object:
            raise UsageError("no gradients")

    with pytest.raises(UsageError, match="gradients"):
        Recognizer(card, Without()).explain(make_clip(tmp_path / "clip.mp4"))  # type: ignore[arg-type]
