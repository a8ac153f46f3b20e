"""Timelines of videos whose every second is known (:mod:`tests.joined`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

import nlvid_cli
from nlvid_cli.recognize.recognizer import Recognizer
from nlvid_cli.recognize.timeline import ActionSegment, Timeline
from tests import empty_scenes
from tests.conftest import make_card
from tests.joined import SIZE, Part, Picture, Truth, join, labelled_clips, looped
from tests.recognize.colours import Colours


def overlap(segment: ActionSegment, part: Truth) -> float:
    return min(segment.end_seconds, part.end_seconds) - max(segment.start_seconds, part.start_seconds)


def border_errors(segments: Sequence[ActionSegment], truth: Sequence[Truth]) -> list[float]:
    """Distance of both borders of each labelled part from those of its segments; infinite if it has none."""
    errors = []
    for part in truth:
        own = [s for s in segments if s.label == part.label and overlap(s, part) > 0]
        first = min((s.start_seconds for s in own), default=np.inf)
        last = max((s.end_seconds for s in own), default=np.inf)
        errors += [abs(first - part.start_seconds), abs(last - part.end_seconds)] if part.label else []
    return errors


def f1_at_half(segments: Sequence[ActionSegment], truth: Sequence[Truth]) -> float:
    """F1 of segments that share half of their union with a part of their label; each part counts once."""
    parts = [part for part in truth if part.label]
    found = 0
    for part in parts:
        shares = [
            overlap(s, part) / (max(s.end_seconds, part.end_seconds) - min(s.start_seconds, part.start_seconds))
            for s in segments
            if s.label == part.label
        ]
        found += max(shares, default=0) >= 0.5
    return 2 * found / (len(parts) + len(segments))


def window_seconds(timeline: Timeline) -> float:
    return float(np.median(timeline.end_seconds - timeline.start_seconds))


def flat(colour: Picture, seed: int) -> Iterator[tuple[float, Picture]]:
    """One colour, without an end, at 15 to 50 uneven pictures per second."""
    rng, picture = np.random.default_rng(seed), np.broadcast_to(colour, (SIZE[1], SIZE[0], 3)).copy()
    seconds = 0.0
    while True:
        yield seconds, picture
        seconds += float(rng.uniform(0.02, 0.066))


@pytest.mark.parametrize("rate", [25.0, None], ids=["constant rate", "variable rate"])
def test_colours_that_stand_for_labels(tmp_path: Path, rate: float | None) -> None:
    """Each colour has one label by far; two parts follow each other only if their labels differ."""
    card = make_card()
    colours = np.random.default_rng(1).integers(16, 240, (200, 3)).astype(np.uint8)
    views = (colours[:, :, None, None, None] / 127.5 - 1) * np.ones((1, 1, 1, 2, 2), np.float32)
    scores = Colours().outputs(views.astype(np.float32)).scores
    names, parts = card.labels.names or (), []
    for number in np.flatnonzero(scores.max(axis=1) > 0.97):
        label = names[scores[number].argmax()]
        if len(parts) < 12 and (not parts or parts[-1].label != label):
            parts.append(Part(label, 2.0 + len(parts) / 4, flat(colours[number], len(parts))))
    assert len(parts) == 12
    truth = join(tmp_path / "colours.mp4", parts, rate)
    timeline = Recognizer(card, Colours()).timeline(tmp_path / "colours.mp4").timeline
    assert [segment.label for segment in timeline.segments] == [part.label for part in truth]
    assert max(border_errors(timeline.segments, truth)) <= window_seconds(timeline) / 2


def weizmann(shared: Path, seconds: float, seed: int) -> list[Part]:
    """Clips of the data set, each played over and over for some seconds, never two of one action in turn."""
    rng, files = np.random.default_rng(seed), sorted((shared / "datasets" / "weizmann").glob("*/*.avi"))
    parts: list[Part] = []
    while sum(part.seconds for part in parts) < seconds:
        file = files[rng.integers(len(files))]
        if not parts or parts[-1].label != file.parent.name:
            parts.append(Part(file.parent.name, round(float(rng.uniform(4, 10)), 2), looped(file)))
    return parts


def check_weizmann(path: Path, parts: list[Part], rate: float | None) -> None:
    truth = join(path, parts, rate)
    timeline = nlvid_cli.load("tiny").timeline(path).timeline
    assert f1_at_half(timeline.segments, truth) >= 0.8
    assert np.median(border_errors(timeline.segments, truth)) <= window_seconds(timeline) / 2


@pytest.mark.slow
def test_a_minute_of_weizmann(shared: Path, tmp_path: Path) -> None:
    check_weizmann(tmp_path / "weizmann.mp4", weizmann(shared, 60, 11), None)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("rate", [25.0, None], ids=["constant rate", "variable rate"])
def test_twelve_minutes_of_weizmann(shared: Path, tmp_path: Path, rate: float | None) -> None:
    check_weizmann(tmp_path / "weizmann.mp4", weizmann(shared, 720, 12), rate)


@pytest.mark.long
@pytest.mark.network
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("rate", [25.0, None], ids=["constant rate", "variable rate"])
def test_action_clips(shared: Path, tmp_path: Path, rate: float | None) -> None:
    """Real clips of eight Kinetics labels, each twice, with made scenes between some of them."""
    rng, clips = np.random.default_rng(1 if rate else 2), labelled_clips(shared / "videos" / "action")
    parts: list[Part] = []
    for number, label in enumerate([*clips, *clips]):
        parts.append(Part(label, round(float(rng.uniform(6, 16)), 2), looped(clips[label])))
        if number % 4 == 3:
            parts.append(Part(None, 8.0, empty_scenes.shown(("landscape", "checks", "gears", "still")[number // 4])))
    truth = join(tmp_path / "actions.mp4", parts, rate)
    timeline = nlvid_cli.load("i3d").timeline(tmp_path / "actions.mp4").timeline
    errors = border_errors(timeline.segments, truth)
    assert np.isfinite(errors).all()  # no label without a segment
    assert np.median(errors) <= window_seconds(timeline) / 2
    for segment in timeline.segments:
        if segment.end_seconds - segment.start_seconds >= 1.5 * window_seconds(timeline):  # of two windows
            assert segment.label in {part.label for part in truth if overlap(segment, part) > 0}


@pytest.mark.long
@pytest.mark.network
@pytest.mark.timeout(3600)
def test_scenes_without_people(tmp_path: Path) -> None:
    """Twelve minutes of made scenes have segments for at most a twentieth of the time."""
    parts = [Part(None, 20.0, empty_scenes.shown(name, seed)) for seed in (1, 2) for name in empty_scenes.SCENES]
    truth = join(tmp_path / "empty.mp4", parts)
    timeline = nlvid_cli.load("i3d").timeline(tmp_path / "empty.mp4").timeline
    told = sum(segment.end_seconds - segment.start_seconds for segment in timeline.segments)
    assert told <= 0.05 * truth[-1].end_seconds
