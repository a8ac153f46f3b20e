"""What the user names as inputs."""

from __future__ import annotations

import glob
import os

from nlvid_cli.inputs.videos import TABLE_SUFFIXES, find_videos


def expand_inputs(names: list[str]) -> list[str]:
    """Paths of the videos that ``names`` stand for; see :func:`nlvid_cli.inputs.videos.find_videos`."""
    return find_videos(names)


def is_one_video(names: list[str]) -> bool:
    """Whether the user asked for exactly one video by its name."""
    if len(names) != 1 or names[0] == "-" or names[0].startswith("@") or os.path.isdir(names[0]):
        return False
    is_pattern = glob.has_magic(names[0]) and not os.path.exists(names[0])
    return not is_pattern and not names[0].lower().endswith(TABLE_SUFFIXES)
