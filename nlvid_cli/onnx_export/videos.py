"""Clips of the user's videos, for the comparison with torch and for the calibration of int8."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import numpy as np

from nlvid_cli.backends import Array
from nlvid_cli.card.card import Card, Preprocess
from nlvid_cli.errors import VideoError
from nlvid_cli.video.clips import decode_clips
from nlvid_cli.video.preprocess import preprocess
from nlvid_cli.video.remote import VideoPath
from nlvid_cli.video.segment import Segment

log = logging.getLogger(__name__)

ENOUGH_VIEWS = 8
"""Number of views from which on the videos alone decide the ranges. A clip of two seconds has only one."""

CALIBRATION_VIEWS = 32
"""Most views to calibrate int8 on. More than a few dozen hardly move the largest values."""


def clips_of(card: Card, video: VideoPath, clips: int = 1) -> Array:
    """Decode evenly spread clips of a video, cropped at the centre: (clips, 3, T, crop, crop).

    Raises:
        VideoError: The video cannot be used; the message names it.
    """
    card = card.with_views(clips=clips, crops=1, step=None)
    try:
        frames, _ = decode_clips(Segment(video), card.sampling, card.preprocess)
    except VideoError as error:
        raise type(error)(f"{video}: {error}") from error
    return preprocess(frames, card.preprocess)


def first_usable(card: Card, videos: Sequence[VideoPath]) -> VideoPath | None:
    """Return the first video that can be decoded, or None without videos.

    Raises:
        VideoError: There are videos, and none can be decoded; the error is that of the first.
    """
    first_error: VideoError | None = None
    for path in videos:
        try:
            clips_of(card, path)
        except VideoError as error:
            first_error = first_error or error
        else:
            return path
    if first_error is not None:
        raise first_error
    return None


def calibration_views(card: Card, videos: Sequence[VideoPath]) -> Iterator[Array]:
    """Yield views of evenly chosen videos, (1, 3, T, crop, crop) each; warn of videos that cannot be used.

    If there are fewer than :data:`ENOUGH_VIEWS`, altered ones follow.
    """
    count = min(len(videos), CALIBRATION_VIEWS)
    chosen = [videos[i] for i in np.linspace(0, len(videos) - 1, count).round().astype(int)]
    clips_each = max(1, CALIBRATION_VIEWS // len(chosen))
    used = 0
    first: list[Array] = []
    for path in chosen:
        try:
            clips = clips_of(card, path, min(clips_each, card.sampling.clips))
        except VideoError as error:
            log.warning("not calibrated on: %s", error)
            continue
        used += len(clips)
        first += list(clips[: ENOUGH_VIEWS - len(first)])
        yield from (clip[None] for clip in clips)
    more = max(0, ENOUGH_VIEWS - used)
    yield from (clip[None] for clip in islice(_altered(first, card.preprocess), more))
    altered = f", and altered ones up to {ENOUGH_VIEWS}, because these are few" if more else ""
    log.info("calibrated on %d views of %d videos%s", used, len(chosen), altered)


def _altered(views: Sequence[Array], rules: Preprocess) -> Iterator[Array]:
    """Yield views that differ in light, colour, direction and speed: (3, T, crop, crop), one change after the other."""
    black, white = (
        ((np.full(3, value) - rules.mean) / rules.std).astype(np.float32)[:, None, None, None] for value in (0, 255)
    )
    grey = (black + white) / 2

    def light(view: Array, contrast: float, brightness: float) -> Array:
        changed: Array = np.clip(grey + (view - grey) * contrast + (white - grey) * brightness, black, white)
        return changed

    changes: tuple[Callable[[Array], Array], ...] = (
        lambda view: light(view, 1.5, 0.0),
        lambda view: light(view, -1.0, 0.0),
        lambda view: light(view, 0.6, 0.3),
        lambda view: light(view, 1.2, -0.3),
        lambda view: view[..., ::-1],
        lambda view: view[:, ::-1],
        lambda view: np.repeat(view[:, ::2], 2, axis=1)[:, : view.shape[1]],  # half the speed
    )
    for change in changes:
        yield from (np.ascontiguousarray(change(view)) for view in views)
