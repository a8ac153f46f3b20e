"""Which files of a folder are videos, judging by their names."""

from __future__ import annotations

VIDEO_SUFFIXES = tuple(
    f".{name}"
    for name in (
        *("3gp", "asf", "avi", "divx", "dv", "flv", "gif", "m2ts", "m4v", "mjpeg", "mkv", "mov", "mp4", "mpeg"),
        *("mpg", "mts", "mxf", "ogv", "ts", "vob", "webm", "wmv", "y4m"),
    )
)
"""Suffixes of the files that are taken from a folder. A file that the user names may have any name."""


def is_video_name(name: str) -> bool:
    """Whether a file of this name counts as a video."""
    return name.lower().endswith(VIDEO_SUFFIXES)
