"""Open video files; only this module does. A file must be regular, self-contained, and not too large.

FFmpeg's formats include play lists, scripts, stream descriptions, capture devices and generators, which make it read
other files, the network or the screen. Three fences restrict it to the named file:

- The path must be a regular file. It is passed with the ``file:`` protocol in front, so that no part of the name
  (``http://``, ``concat:``, a leading dash) means anything else.
- ``protocol_whitelist=file``: nothing that a file mentions can be fetched from elsewhere.
- ``format_whitelist``: formats that open further files are refused before their code sees the content.

A remote video is read through a file object (see :mod:`nlvid_cli.video.remote`), and no protocol is allowed at all.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO

import av
from av.container import InputContainer
from av.stream import Discard, Disposition
from av.video.stream import VideoStream

from nlvid_cli.errors import ForbiddenFormat, FrameTooLarge, NoVideoStream, UnreadableVideo, VideoNotFound
from nlvid_cli.video.remote import RemoteFile, RemotePath, open_remote

MAX_FRAME_PIXELS = 8192 * 8192
"""Largest frame to decode. 8K television (7680 x 4320) has half of these pixels, square 8K headset video all of them. A
frame of this size takes 200 MB as RGB, and decoders hold several; anything larger is more likely an attack."""

MAX_ASPECT = 32
"""Largest ratio of the sides of a frame. The widest cameras and video walls have about 1:10; a frame of 2 x 20000 would
take 490 MB at the short side of a network."""

FORBIDDEN_FORMATS = frozenset({
    # play lists, scripts and stream descriptions: they name other files or addresses
    "hls", "dash", "concat", "imf", "sdp", "rtsp", "rtp", "sap", "webm_dash_manifest", "ffmetadata", "vapoursynth",
    "avisynth", "vobsub",
    # recordings that go on in neighbouring files
    "mlv",
    # file name patterns: many files under one name
    "image2", "image2pipe", "alias_pix", "brender_pix",
    # generators and capture devices
    "lavfi", "alsa", "fbdev", "kmsgrab", "video4linux2,v4l2", "x11grab", "xcbgrab", "v4l2", "dshow", "gdigrab",
    "vfwcap", "avfoundation", "decklink", "jack", "oss", "pulse", "sndio", "openal", "libcdio", "libdc1394", "iec61883",
    "android_camera", "audiotoolbox", "bktr", "ndi", "libndi_newtek",
    # text and arbitrary bytes shown as moving pictures, and modules of outside libraries
    "tty", "bin", "xbin", "adf", "idf", "data", "libopenmpt", "libgme", "libmodplug",
    # raw samples without any signature: only the file name would speak for them
    "rawvideo", "bitpacked", "v210", "v210x",
})  # fmt: skip
"""Demuxers to refuse: those that read more than the named file, and those that accept any bytes as video."""

_DESCRIPTIONS = {
    b"#EXTM3U": "an HLS play list",
    b"ffconcat version": "a concat script",
    b"v=0": "an SDP stream description",
    b"<MPD": "a DASH manifest",
    b"<?xml": "an XML document",
    b"<AssetMap": "an IMF asset map",
    b"<smil": "a SMIL play list",
    b"[playlist]": "a play list",
    b"[Reference]": "an ASX reference file",
    b"RTSPtext": "an RTSP reference file",
}
"""First bytes of text files that point to media elsewhere, to tell the user why such a file is refused."""

Again = Callable[[], "IO[bytes] | RemoteFile"]
"""Opens the file again, at its start."""


@contextmanager
def open_video(path: Path | RemotePath) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a video file and choose its video stream.

    The decoder is set up for one thread; callers that want more set ``stream.codec_context.thread_count``.

    Args:
        path: Path of a regular file, or a remote path. A name may start with a dash, and contain colons, per cent signs
            or bytes that are not UTF-8.

    Yields:
        The container and its best video stream, with all other streams discarded. Closed on leaving.

    Raises:
        VideoNotFound: There is no such file, or it is a folder, pipe or device.
        ForbiddenFormat: It is a play list, script or stream description.
        UnreadableVideo: It is empty, may not be read, or has no known format.
        NoVideoStream: It has no video stream.
        FrameTooLarge: Its frames have more than :data:`MAX_FRAME_PIXELS` pixels.
        RemoteFailure: The address cannot be read.
    """
    if isinstance(path, RemotePath):
        with open_remote(path) as file, open_file(file) as opened:
            yield opened
        return
    _check_regular_file(path)
    name = "file:" + os.fspath(path)
    with _open(name, {"protocol_whitelist": "file"}, lambda: path.open("rb"), path.name) as container:
        yield container, _choose_stream(container, lambda: path.open("rb"))


@contextmanager
def open_file(file: RemoteFile, only_index: bool = False) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a file object as :func:`open_video` does; FFmpeg can reach nothing else. The file object stays open.

    Args:
        file: File to read.
        only_index: Whether to trust the file's index, instead of checking it against the packets.
    """

    def again() -> RemoteFile:
        file.seek(0)
        return file

    flags = {"fflags": "+noparse+nofillin"} if only_index else {}
    with _open(again(), {"protocol_whitelist": "none"} | flags, again, "") as container:
        yield container, _choose_stream(container, again)


def _check_regular_file(path: Path) -> None:
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise VideoNotFound("no such file") from None
    except (OSError, ValueError) as error:
        raise VideoNotFound(f"not accessible ({_reason(error)})") from None
    if stat.S_ISDIR(status.st_mode):
        raise VideoNotFound("a folder, not a file")
    if not stat.S_ISREG(status.st_mode):
        raise VideoNotFound("not a regular file (copy the pipe or device to a file first)")
    if status.st_size == 0:
        raise UnreadableVideo("empty file (0 bytes)")


def _open(
    source: str | RemoteFile, options: dict[str, str], again: Callable[[], IO[bytes] | RemoteFile], name: str
) -> InputContainer:
    """Open a source with FFmpeg; if that fails, ``again`` shows its first bytes, which may tell why."""
    try:
        return av.open(
            source,
            "r",
            options={"max_pixels": str(MAX_FRAME_PIXELS)},
            container_options=options | {"format_whitelist": _allowed_formats()},
            metadata_errors="replace",
        )
    except PermissionError:
        raise UnreadableVideo("cannot be opened (permission denied)") from None
    except MemoryError:
        raise UnreadableVideo("cannot be opened (FFmpeg ran out of memory over its header)") from None
    except (OSError, ValueError) as error:  # av.error.FFmpegError is one or both of these
        with again() as file:
            head = file.read(512)
        raise _refusal(head, name, error) from None


@lru_cache(maxsize=1)
def _allowed_formats() -> str:
    """Return the comma-separated names of this FFmpeg's demuxers, without the forbidden ones."""
    names = {name for name in av.formats_available if not name.startswith("lib")}
    return ",".join(sorted(names - FORBIDDEN_FORMATS))


def _refusal(head: bytes, name: str, error: Exception) -> ForbiddenFormat | UnreadableVideo:
    head = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    for signature, what in _DESCRIPTIONS.items():
        if head[: len(signature)].lower() == signature.lower():
            return ForbiddenFormat(f"{what}, not a video (it points to other files; name those instead)")
    if "%" in name:
        return UnreadableVideo(
            f"not a video; if it is a picture, rename it, because the name looks like a pattern for many files "
            f"(FFmpeg says: {_reason(error)})"
        )
    return UnreadableVideo(f"not a video, or damaged beyond reading (FFmpeg says: {_reason(error)})")


def _reason(error: Exception) -> str:
    reason = getattr(error, "strerror", None) or str(error)
    return str(reason)[:1].lower() + str(reason)[1:]


def _choose_stream(container: InputContainer, again: Again) -> VideoStream:
    """Choose the video stream: FFmpeg's best one, unless that is a cover picture."""
    pictures = Disposition.attached_pic | Disposition.timed_thumbnails
    streams = [stream for stream in container.streams.video if not stream.disposition & pictures]
    if not streams:
        raise NoVideoStream(_what_is_there(container))
    best = container.streams.best("video")
    stream = next((stream for stream in streams if best is not None and stream.index == best.index), streams[0])
    if stream.codec_context is None:
        raise UnreadableVideo("FFmpeg has no decoder for its video codec (convert it to H.264 first)")
    check_frame_size(*_declared_size(stream, again))
    stream.codec_context.options = {"max_pixels": str(MAX_FRAME_PIXELS)}
    stream.codec_context.thread_count = 1
    for other in container.streams:
        if other.index != stream.index:
            other.discard = Discard.all
    return stream


def check_frame_size(width: int, height: int) -> None:
    """Raise :class:`FrameTooLarge` if a frame of this size is beyond :data:`MAX_FRAME_PIXELS`."""
    if width * height > MAX_FRAME_PIXELS:
        raise FrameTooLarge(
            f"frames of {width} x {height} pixels are larger than nlvid decodes "
            f"(the limit is {MAX_FRAME_PIXELS / 1e6:.0f} million pixels; scale the video down first)"
        )


def check_frame_shape(width: int, height: int) -> None:
    """Raise :class:`FrameTooLarge` if frames would be very long at the short side of the network."""
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise FrameTooLarge(
            f"frames of {width} x {height} pixels are too narrow: one side may be at most {MAX_ASPECT} times the other "
            "(crop the video to what matters first)"
        )


def _declared_size(stream: VideoStream, again: Again) -> tuple[int, int]:
    """Return width and height by the header.

    FFmpeg drops a size beyond its own limits, and then decodes nothing. For PNG and GIF the header is read again, so
    that the user learns the reason.
    """
    context = stream.codec_context
    if context.width or context.name not in ("png", "gif"):
        return context.width, context.height
    with again() as file:
        head = file.read(24)
    width, height = struct.unpack_from(">II", head, 16) if context.name == "png" else struct.unpack_from("<HH", head, 6)
    return width, height


def _what_is_there(container: InputContainer) -> str:
    if len(container.streams.video):
        return "no video stream (the file has only audio and a cover picture)"
    if len(container.streams.audio):
        return "no video stream (the file has only audio)"
    return "no video stream (nothing in the file is video)"
