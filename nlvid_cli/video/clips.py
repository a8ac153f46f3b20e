"""The clips of a video, ready for the network: probe, trim, sample, read and crop in one call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nlvid_cli.errors import UnreadableVideo
from nlvid_cli.video.info import Pixels, VideoFacts
from nlvid_cli.video.preprocess import crop_to_view
from nlvid_cli.video.probe import probe_segment
from nlvid_cli.video.read import read_frames
from nlvid_cli.video.sample import sample
from nlvid_cli.video.segment import Segment
from nlvid_cli.video.trim import trim

if TYPE_CHECKING:
    from nlvid_cli.card.card import Preprocess, Sampling


@dataclass(frozen=True)
class ClipTable:
    """Where the clips of a video are; plain values, so that they can cross processes as JSON.

    Attributes:
        facts: Facts of the whole file.
        start_seconds: (clips,) start of each clip, from the first frame of the whole file.
        end_seconds: (clips,) end of each clip.
        places: (clips,) index of each clip among the different ones: the clips of a short video are all the same.
        warnings: Oddities of the file, in sentences.
        frame_places: (different clips, T) index of each clip's frames among all frames, (frames, H, W, 3), where clips
            share them; empty: the frames are those of one clip after another, (different clips, T, H, W, 3).
        last: Whether these are all clips of the video, or the last ones. Windows come in parts.
    """

    facts: VideoFacts
    start_seconds: tuple[float, ...]
    end_seconds: tuple[float, ...]
    places: tuple[int, ...]
    warnings: tuple[str, ...]
    frame_places: tuple[tuple[int, ...], ...] = ()
    last: bool = True

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> ClipTable:
        """Rebuild the table from the JSON of its ``asdict``."""
        lists = {name: tuple(value) for name, value in values.items() if isinstance(value, list | tuple)}
        lists["frame_places"] = tuple(map(tuple, lists["frame_places"]))
        return cls(VideoFacts(**values["facts"]), **lists, last=values["last"])


def decode_clips(
    segment: Segment, sampling: Sampling, rules: Preprocess, threads: int | None = None
) -> tuple[Pixels, ClipTable]:
    """Decode the clips that the network has to see.

    Args:
        segment: Video to decode, or part of one.
        sampling: The card's sampling.
        rules: The card's preprocessing.
        threads: Number of decoding threads; None uses all processors of this process.

    Returns:
        The different clips, (clips, T, H, W, 3) upright and resized, and where they are. One crop is already cut to its
        square; with three crops the frames are whole.

    Raises:
        VideoError: The video cannot be used.
        InputShapeError: Its frames are smaller than the crop.
    """
    info = probe_segment(segment, promised=True)
    while True:
        try:
            part, first = trim(info, segment.stretch)
        except UnreadableVideo:
            if info.recount is None:
                raise
            info = probe_segment(segment)  # perhaps the video is longer than its packets promise
            continue
        plan = sample(part, sampling)
        different, places = np.unique(plan.frame_numbers + first, axis=0, return_inverse=True)
        read = read_frames(info, different, rules.short_side, rules.resize, rules.size, threads)
        if info.recount is None or read.stamps is None:
            break
        promised, info = info, info.recount(read.stamps)
        if np.array_equal(promised.times_seconds, info.times_seconds):
            break
    frames = crop_to_view(read.frames, rules)
    warnings = info.warnings + plan.warnings + read.warnings
    offset = float(info.times_seconds[first])
    starts, ends = (tuple(offset + time for time in times) for times in (plan.start_seconds, plan.end_seconds))
    return frames, ClipTable(info.facts, starts, ends, tuple(places.ravel().tolist()), warnings)
