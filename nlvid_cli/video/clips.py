"""The clips of a video, ready for the network: probe, trim, sample, read and crop in one go."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nlvid_cli.video.info import Numbers, Pixels, VideoInfo
from nlvid_cli.video.preprocess import crop_corners
from nlvid_cli.video.probe import probe
from nlvid_cli.video.read import read_frames
from nlvid_cli.video.remote import RemotePath, VideoPath
from nlvid_cli.video.sample import FramePlan, sample
from nlvid_cli.video.trim import trim

if TYPE_CHECKING:
    from nlvid_cli.card.card import Preprocess, Sampling


@dataclass(frozen=True)
class Stretch:
    """A video, or the part of it between two times.

    Attributes:
        path: of the file.
        start_seconds: from the first frame; None: where the video begins.
        end_seconds: None: where it ends.
    """

    path: VideoPath | Path
    start_seconds: float | None = None
    end_seconds: float | None = None


@dataclass(frozen=True)
class ClipFacts:
    """What is told about a video beside its labels; plain values, so that they can cross processes as JSON.

    Attributes:
        duration_seconds: of the whole file, as are the five that follow.
        frame_rate: mean frames per second.
        variable_frame_rate: whether the frames lie unevenly in time.
        width: pixels, as displayed.
        height: pixels, as displayed.
        rotation_degrees: clockwise turn that shows the frames upright.
        start_seconds: (clips,) when each clip begins.
        end_seconds: (clips,) when it ends.
        places: (clips,) which of the different clips each one is: those of a short video are all the same.
        warnings: what was odd about the file, in sentences.
    """

    duration_seconds: float
    frame_rate: float
    variable_frame_rate: bool
    width: int
    height: int
    rotation_degrees: int
    start_seconds: tuple[float, ...]
    end_seconds: tuple[float, ...]
    places: tuple[int, ...]
    warnings: tuple[str, ...]


def decode_clips(
    stretch: Stretch, sampling: Sampling, rules: Preprocess, threads: int | None = None
) -> tuple[Pixels, ClipFacts]:
    """Decode what the network has to see.

    Args:
        stretch: of which video.
        sampling: the card's.
        rules: the card's.
        threads: to decode with; None takes all processors that this process may use.

    Returns:
        The different clips, (clips, T, H, W, 3) upright and resized; with one crop already cut to its square, with
        three still whole. And the facts.

    Raises:
        VideoError: the video cannot be used.
        InputShapeError: its frames are smaller than the crop.
    """
    path = stretch.path
    info = probe(path if isinstance(path, RemotePath) else Path(path))
    part, first = trim(info, stretch.start_seconds, stretch.end_seconds)
    plan = sample(part, sampling)
    different, places = np.unique(plan.frame_numbers + first, axis=0, return_inverse=True)
    read = read_frames(info, different, rules.short_side, rules.resize, rules.size, threads)
    frames = read.frames
    if rules.crops == 1:
        height, width = frames.shape[2:4]
        ((top, left),) = crop_corners(height, width, rules)
        frames = frames[:, :, top : top + rules.crop, left : left + rules.crop]
    return frames, _facts(info, plan, places, info.warnings + plan.warnings + read.warnings)


def _facts(info: VideoInfo, plan: FramePlan, places: Numbers, warnings: tuple[str, ...]) -> ClipFacts:
    return ClipFacts(
        info.duration_seconds,
        info.frame_rate,
        info.variable_frame_rate,
        info.width,
        info.height,
        info.rotation_degrees,
        plan.start_seconds,
        plan.end_seconds,
        tuple(places.ravel().tolist()),
        warnings,
    )
