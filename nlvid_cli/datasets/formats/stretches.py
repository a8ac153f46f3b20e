"""Whether the files of a table with starts and ends are whole videos, or cut already."""

from __future__ import annotations

from collections.abc import Sequence

from nlvid_cli.datasets.entries import Entry
from nlvid_cli.errors import VideoError
from nlvid_cli.video.probe import probe

PROBED = 5
"""Number of files probed to tell whether the videos are already cut."""

CUT_SLACK_SECONDS = 1.0
"""A cut file may be this much longer than its time range, since programs cut at key frames."""

END_SLACK_SECONDS = 0.5
"""A time range may end this much after the end of a whole video, since times are rounded."""


def are_cut(entries: Sequence[Entry]) -> bool:
    """Whether the files are no longer than their time ranges, which do not fit into them: they must be cut already.

    Folders of frames do not count, since their times are what somebody says.
    """
    timed = [
        (entry.path, entry.stretch)
        for entry in entries
        if entry.stretch and entry.stretch.end_seconds is not None and not entry.path.is_dir()
    ]
    outside = False
    for path, stretch in timed[:PROBED]:
        try:
            duration = probe(path).facts.duration_seconds
        except VideoError:
            continue
        start, end = stretch.start_seconds or 0.0, stretch.end_seconds or 0.0
        if duration > end - start + CUT_SLACK_SECONDS:
            return False
        outside = outside or end > duration + END_SLACK_SECONDS
    return outside
