"""The quick form: probe and read damaged files in this process, and group what goes wrong by its cause.

A crash or a hang of FFmpeg ends it, so it is a tool for the one who mends, and no test.
"""

from __future__ import annotations

import tempfile
import traceback
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from nlvid_cli.errors import VideoError
from nlvid_cli.video.probe import probe
from nlvid_cli.video.read import read_frames
from tests.fuzz.fuzz import Damaged


def read_all(path: Path) -> None:
    """Read a clip at the start, in the middle and at the end of a video, as the road does.

    Raises:
        VideoError: As documented.
    """
    info = probe(path)
    last = len(info.times_seconds) - 1
    starts = np.array([[0], [last // 2], [max(0, last - 7)]])
    read_frames(info, np.minimum(starts + np.arange(8), last), 32, "swscale_bilinear", threads=1)


def causes(files: Iterable[Damaged], keep: Path) -> dict[str, list[str]]:
    """Read all files; return the tracebacks of errors that are not typed, with the names of the files that raise them.

    Args:
        files: Files to read.
        keep: Folder for the first files of each cause.
    """
    found: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for file in files:
            path = Path(folder, file.name)
            path.write_bytes(file.data)
            try:
                read_all(path)
            except VideoError:
                pass
            except Exception as error:
                frames = traceback.extract_tb(error.__traceback__)
                places = [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]
                cause = f"{type(error).__name__}: {str(error).split(': ')[0]}\n  " + "\n  ".join(places)
                found.setdefault(cause, []).append(file.name)
                if len(found[cause]) <= 3:
                    keep.mkdir(parents=True, exist_ok=True)
                    (keep / file.name).write_bytes(file.data)
            path.unlink()
    return found
