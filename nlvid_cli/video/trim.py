"""A part of a video as if it were all of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nlvid_cli.errors import UnreadableVideo
from nlvid_cli.video.info import VideoInfo
from nlvid_cli.video.sample import SAME_SECONDS


def trim(info: VideoInfo, start_seconds: float | None, end_seconds: float | None) -> tuple[VideoInfo, int]:
    """What is known of the frames shown from ``start_seconds`` to before ``end_seconds``.

    Args:
        info: of the whole video.
        start_seconds: from its first frame; None: the beginning.
        end_seconds: None: the end; so does one beyond the end.

    Returns:
        The part, whose times begin at 0 again, to choose frames from; and the number of its first frame in the whole
        video, which is to be added to the numbers chosen. The part cannot be decoded from: that takes the whole.

    Raises:
        UnreadableVideo: no frame of the video lies between these times.
    """
    if start_seconds is None and end_seconds is None:
        return info, 0
    times = info.times_seconds
    first = 0 if start_seconds is None else int(np.searchsorted(times, start_seconds - SAME_SECONDS))
    last = len(times) if end_seconds is None else int(np.searchsorted(times, end_seconds - SAME_SECONDS))
    if first >= last:
        stretch = f"{start_seconds or 0:g} s and {end_seconds or info.duration_seconds:g} s"
        raise UnreadableVideo(
            f"no frame between {stretch}, the stretch that was asked for; the file has {info.duration_seconds:.2f} s "
            "(was it cut out already?)"
        )
    end = info.duration_seconds if last == len(times) else float(times[last])
    duration = end - float(times[first])
    part = replace(
        info,
        times_seconds=times[first:last] - times[first],
        duration_seconds=duration,
        frame_rate=(last - first) / duration,
        pts=None,
        key_frames=np.zeros(0, np.int64),
    )
    return part, first
