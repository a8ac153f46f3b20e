"""Where outputs go that are one file per video: subtitles, pages, scores. All is checked before the work begins."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TextIO
from urllib.parse import urlsplit

from nlvid_cli.errors import OutputError, UsageError
from nlvid_cli.recognize.timeline import Timeline, TimelineResult
from nlvid_cli.report import Renderer
from nlvid_cli.report.output import open_whole
from nlvid_cli.video.remote import RemotePath
from nlvid_cli.video.segment import Segment

FILE_SUFFIXES = (".srt", ".vtt", ".html", ".npz", ".csv", ".mp4", ".webm", ".gif", ".webp")
"""Names with these mean a file, never a folder to make."""

Files = Mapping[str, Path]
"""From the video of a result to its file."""


def file_per_video(
    videos: Sequence[Segment], output: Path | None, suffix: str, single: bool, option: str = "-o"
) -> dict[str, Path]:
    """Choose a file for each video: ``video.srt`` beside it, or in the folder that the user names.

    Args:
        videos: All videos of the command.
        output: What the user named: a folder, or a file if there is one video; None: beside each video.
        suffix: Suffix of the files, for example ``.srt``.
        single: Whether the user named exactly one video.
        option: Name of the option, for messages.

    Returns:
        From the video of a result to its file. The folder exists.

    Raises:
        UsageError: Two videos would get the same file, a file beside a video exists, or there is no such place.
        OutputError: The folder cannot be made.
    """
    if single and output is not None and not output.is_dir():
        return {str(video.path): output for video in videos}
    if output is None:
        return _distinct([(video, _beside(video, suffix, option)) for video in videos], option)
    if not output.is_dir() and (output.exists() or output.suffix.lower() in FILE_SUFFIXES):
        raise UsageError(f"{output}: is a file; several videos need a folder for {option}")
    chosen = _distinct([(video, output / (_stem(video) + suffix)) for video in videos], option)
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{output}: cannot make the folder ({error.strerror})") from None
    return chosen


class FilePerVideo:
    """Writes each result into its own file, whole or not at all; a video that failed gets none."""

    def __init__(self, files: Files, make: Callable[[TextIO], Renderer[TimelineResult]]) -> None:
        self._files = files
        self._make = make

    def add(self, result: TimelineResult, elapsed_seconds: float) -> None:
        """Write the file of one video.

        Raises:
            OutputError: It cannot be written.
        """
        if isinstance(result, Timeline):
            with open_whole(self._files[result.video]) as stream:
                renderer = self._make(stream)
                renderer.add(result, elapsed_seconds)
                renderer.close()

    def close(self) -> None:
        """Do nothing: each file is complete."""


def _beside(video: Segment, suffix: str, option: str) -> Path:
    if isinstance(video.file, RemotePath):
        raise UsageError(f"{video.file}: no file can be written beside an address; name a folder with {option}")
    path = video.file.with_name(_stem(video) + suffix)
    if path.exists():
        raise UsageError(f"{path}: exists and may be the work of others; move it, or name a folder with {option}")
    return path


def _stem(video: Segment) -> str:
    """Return the name of a video without its suffix; that of an address stays percent-encoded, so it is one name."""
    if isinstance(video.file, RemotePath):
        return PurePosixPath(urlsplit(video.file.address).path).stem or "video"
    return video.file.name if video.file.is_dir() else video.file.stem


def _distinct(chosen: Sequence[tuple[Segment, Path]], option: str) -> dict[str, Path]:
    taken: dict[str, Segment] = {}
    for video, path in chosen:
        place = os.path.realpath(path)
        if place in taken:
            raise UsageError(
                f"{taken[place]} and {video} would both be written to {path}; give them in two commands, each with "
                f"another folder for {option}"
            )
        taken[place] = video
    return {str(video.path): path for video, path in chosen}
