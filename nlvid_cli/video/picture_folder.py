"""Decode the pictures of a folder that stand for the frames of a video, see :mod:`nlvid_cli.video.frame_names`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from av.video.frame import VideoFrame

from nlvid_cli.errors import UnreadableVideo, VideoError, VideoNotFound
from nlvid_cli.video.container import open_picture
from nlvid_cli.video.packets import PacketReader, decode
from nlvid_cli.video.refusals import check_still_picture


def decode_picture(path: Path) -> VideoFrame | None:
    """Decode a file of a picture; None if it is missing, damaged, too large or not a picture."""
    try:
        return _decode(path)
    except VideoError:
        return None


def first_frame(folder: Path, names: Sequence[str]) -> VideoFrame:
    """Decode the first picture that can be decoded.

    Raises:
        VideoError: There is none; the error is that of the first picture.
    """
    first_error: VideoError | None = None
    for name in names:
        try:
            return _decode(folder / name)
        except VideoError as error:
            first_error = first_error or type(error)(f"{name}: {error}")
    raise first_error or VideoNotFound("no pictures in this folder")


def nearest_frame(folder: Path, names: Sequence[str], number: int, broken: set[int]) -> VideoFrame:
    """Decode the nearest earlier picture that can be decoded, or else the nearest later one.

    Args:
        folder: The folder.
        names: Names of its pictures, in their order.
        number: Number of the picture to replace.
        broken: Numbers of pictures that do not decode; each is tried once, and more are added.

    Raises:
        UnreadableVideo: There is none.
    """
    broken.add(number)
    for other in chain(range(number - 1, -1, -1), range(number + 1, len(names))):
        if other in broken:
            continue
        frame = decode_picture(folder / names[other])
        if frame is not None:
            return frame
        broken.add(other)
    raise UnreadableVideo("no picture of this folder can be decoded")


def _decode(path: Path) -> VideoFrame:
    with open_picture(path) as (container, stream):
        for packet in PacketReader(container, stream):
            for frame in decode(packet) or []:
                if not frame.is_corrupt:
                    return frame
    with path.open("rb") as file:
        check_still_picture(file)
    raise UnreadableVideo("the picture does not decode (it is damaged)")
