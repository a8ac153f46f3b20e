"""A part of a video as if it were all of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nlvid_cli.errors import UnreadableVideo
from nlvid_cli.video.info import VideoInfo
from nlvid_cli.video.sample import SAME_SECONDS


def trim(info: VideoInfo, start_seconds: float | None, end_seconds: float | None) -> tuple[VideoInfo, int]:
    """Return the info of the frames from ``start_seconds`` to before ``end_seconds``.

    Args:
        info: Info of the whole video.
        start_seconds: Start, from the first frame; None: the start of the video.
        end_seconds: End; None, or a time beyond the end: the end of the video.

    Returns:
        The part, to choose frames from: its times start at 0 again. And the number of its first frame in the whole
        video, to be added to the numbers chosen. Decoding needs the info of the whole video.

    Raises:
        UnreadableVideo: No frame of the video lies between these times.
    """
    if start_seconds is None and end_seconds is None:
        return info, 0
    times, whole_seconds = info.times_seconds, info.facts.duration_seconds
    first = 0 if start_seconds is None else int(np.searchsorted(times, start_seconds - SAME_SECONDS))
    last = len(times) if end_seconds is None else int(np.searchsorted(times, end_seconds - SAME_SECONDS))
    if first >= last:
        raise UnreadableVideo(
            f"no frame between {start_seconds or 0:g} s and {end_seconds or whole_seconds:g} s, the part to use; "
            f"the file has {whole_seconds:.2f} s (was it cut out already?)"
        )
    end = whole_seconds if last == len(times) else float(times[last])
    duration = end - float(times[first])
    header = info.header and replace(info.header, duration=round(duration / info.header.unit), first_stamp=0)
    part = replace(
        info,
        times_seconds=times[first:last] - times[first],
        facts=replace(info.facts, duration_seconds=duration, frame_rate=(last - first) / duration),
        pts=None,
        key_frames=np.zeros(0, np.int64),
        header=header,
    )
    return part, first
