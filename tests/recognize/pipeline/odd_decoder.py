"""A decoding process that misbehaves for files with certain names, such as ``hang`` and ``crash``."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from nlvid_cli.recognize.pipeline import decode_process
from nlvid_cli.recognize.windows import decode_windows
from nlvid_cli.video.clips import ClipTable, decode_clips
from nlvid_cli.video.info import Pixels, VideoInfo
from nlvid_cli.video.read import FramesRead, read_frames
from nlvid_cli.video.segment import Segment


def _odd(stretch: Segment, *rules: object, threads: int | None = None) -> tuple[Pixels, ClipTable]:
    _misbehave(Path(stretch.path).name)
    return decode_clips(stretch, *rules, threads=threads)  # type: ignore[arg-type]


def _odd_windows(segment: Segment, *rules: Any) -> Iterator[tuple[Pixels, ClipTable]]:
    for part in decode_windows(segment, *rules):
        yield part
        _misbehave(Path(segment.path).name)  # in the middle of the video


def _odd_read(info: VideoInfo, *arguments: Any, **options: Any) -> FramesRead:
    _misbehave(Path(info.path).name)
    return read_frames(info, *arguments, **options)


def _misbehave(name: str) -> None:
    vars(decode_process).pop("open", None)
    if name.startswith("hang"):
        time.sleep(1000)
    elif name.startswith("crash"):
        os.kill(os.getpid(), signal.SIGSEGV)
    elif name.startswith("hungry"):
        memory = [np.ones(1 << 23) for _ in range(16)]  # 1 GiB, all of it touched
        time.sleep(1000)
        del memory
    elif name.startswith("greedy"):
        np.empty(1 << 40)
    elif name.startswith("nonsense"):
        decode_process._reply = lambda replies, message: print("what?", file=replies, flush=True)
    elif name.startswith("leave"):
        os._exit(3)
    elif name.startswith("die_late"):
        vars(decode_process)["open"] = _die
    elif name.startswith("no_room"):
        vars(decode_process)["open"] = _no_room
    elif name.startswith("no_proc"):
        vars(decode_process)["open"] = _no_proc


def _die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _no_room(*_: object) -> None:
    raise OSError(errno.ENOSPC, "made by the test")


def _no_proc(path: str, mode: str) -> IO[Any]:
    if path.startswith("/proc"):
        raise PermissionError(errno.EACCES, "made by the test")
    return open(path, mode)


decode_process.decode_clips = _odd
decode_process.decode_windows = _odd_windows
decode_process.read_frames = _odd_read

if __name__ == "__main__":
    decode_process.main()
