"""A part of a video as if it were all of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nlvid_cli.errors import UnreadableVideo
from nlvid_cli.video.info import Times, VideoInfo
from nlvid_cli.video.sample import SAME_SECONDS
from nlvid_cli.video.segment import Stretch


def trim(info: VideoInfo, stretch: Stretch | None) -> tuple[VideoInfo, int]:
    """Return the info of the frames of a stretch.

    Args:
        info: Info of the whole video.
        stretch: Part to use; an end beyond the end of the video is that end. None: all of it.

    Returns:
        The part, to choose frames from: its times start at 0 again. Where the rate varies, clips step through time at
        the mean rate of the video, and so they do in a part of it. And the number of its first frame in the whole
        video, to be added to the numbers chosen. Decoding needs the info of the whole video.

    Raises:
        UnreadableVideo: No frame of the video lies in the stretch.
    """
    if stretch is None:
        return info, 0
    times, whole_seconds = info.times_seconds, info.facts.duration_seconds
    first, last = _frames_of(stretch, times)
    if first >= last:
        raise UnreadableVideo(
            f"no frame in the stretch to use, {stretch}; the video has {whole_seconds:.2f} s ({len(times)} frames) "
            "(was it cut out already?)"
        )
    end = whole_seconds if last == len(times) else float(times[last])
    duration = end - float(times[first])
    rate = info.facts.frame_rate if info.facts.variable_frame_rate else (last - first) / duration
    header = info.header and replace(info.header, duration=round(duration / info.header.unit), first_stamp=0)
    part = replace(
        info,
        times_seconds=times[first:last] - times[first],
        facts=replace(info.facts, duration_seconds=duration, frame_rate=rate),
        pts=None,
        key_frames=np.zeros(0, np.int64),
        header=header,
    )
    return part, first


def _frames_of(stretch: Stretch, times: Times) -> tuple[int, int]:
    """Return the number of the first frame of a stretch, and of the first one after it."""
    count = len(times)
    if stretch.start_frame is not None or stretch.end_frame is not None:
        return stretch.start_frame or 0, count if stretch.end_frame is None else min(stretch.end_frame, count)
    start, end = stretch.start_seconds, stretch.end_seconds
    first = 0 if start is None else int(np.searchsorted(times, start - SAME_SECONDS))
    return first, count if end is None else int(np.searchsorted(times, end - SAME_SECONDS))
