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

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import av
from av.container import InputContainer
from av.stream import Discard, Disposition
from av.video.stream import VideoStream

from nlvid_cli.errors import NoVideoStream, UnreadableVideo, VideoNotFound
from nlvid_cli.video.boxes import is_mp4, size_of
from nlvid_cli.video.encryption import is_encrypted
from nlvid_cli.video.packets import reason_of
from nlvid_cli.video.payload import WithoutPayload
from nlvid_cli.video.positioned import PositionedFile
from nlvid_cli.video.refusals import MAX_FRAME_PIXELS, check_frame_size, encrypted, mp4_refusal, refusal
from nlvid_cli.video.remote import RemotePath, open_remote

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


STILL_FORMATS = tuple(
    f"{name}_pipe"
    for name in (
        *("bmp", "dpx", "j2k", "jpeg", "jpegls", "pam", "pbm", "pcx", "pgm", "png", "ppm", "qoi", "sgi", "tiff"),
        "webp",
    )
)
"""Demuxers of still pictures that folders of frames may hold."""


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
        FrameTooLarge: Its frames have more than :data:`~nlvid_cli.video.refusals.MAX_FRAME_PIXELS` pixels.
        EncryptedVideo: It is encrypted.
        RemoteFailure: The address cannot be read.
    """
    with open_with_bytes(path) as (container, stream, _):
        yield container, stream


@contextmanager
def open_with_bytes(path: Path | RemotePath) -> Iterator[tuple[InputContainer, VideoStream, io.RawIOBase]]:
    """Open a video file as :func:`open_video` does, and the same file as bytes, unbuffered."""
    if isinstance(path, RemotePath):
        with open_remote(path) as file, _open(_View(file, path), {"protocol_whitelist": "none"}, file) as container:
            yield container, _choose_stream(container, file), file
        return
    _check_regular_file(path)
    name, options = "file:" + os.fspath(path), {"protocol_whitelist": "file"}
    with _open_local(path) as local, _open(name, options, local) as container:
        yield container, _choose_stream(container, local), local


@contextmanager
def open_sound(path: Path | RemotePath) -> Iterator[InputContainer]:
    """Open a video file for its sound, as :func:`open_video` does for its pictures; other streams are discarded."""
    if isinstance(path, RemotePath):
        with open_remote(path) as file, _open(_View(file, path), {"protocol_whitelist": "none"}, file) as container:
            _discard_all_but_sound(container)
            yield container
        return
    _check_regular_file(path)
    name, options = "file:" + os.fspath(path), {"protocol_whitelist": "file"}
    with _open_local(path) as local, _open(name, options, local) as container:
        _discard_all_but_sound(container)
        yield container


def _discard_all_but_sound(container: InputContainer) -> None:
    for stream in container.streams:
        if stream.type != "audio":
            stream.discard = Discard.all


@contextmanager
def open_picture(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a file of a still picture, one of :data:`STILL_FORMATS`, as :func:`open_video` opens videos.

    Its decoder takes damage for an error, where it would else fill the rest of the picture with grey.
    """
    _check_regular_file(path)
    options = {"protocol_whitelist": "none"}
    with _open_local(path) as local, _open(_View(local), options, local, ",".join(STILL_FORMATS)) as container:
        stream = _choose_stream(container, local)
        if "tiff" not in container.format.name:  # which refuses damage anyway, and takes an unusual tag for it
            stream.codec_context.options = stream.codec_context.options | {"err_detect": "explode"}
        yield container, stream


@contextmanager
def open_index(file: WithoutPayload, index: int) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a file without its content, for what it states about packets. No packet can be decoded.

    Args:
        file: The file.
        index: Number of the video stream.
    """
    options = {"protocol_whitelist": "none", "fflags": "+noparse+nofillin"}
    with _open(file, options, file) as container:
        stream = container.streams[index]
        assert isinstance(stream, VideoStream)
        _discard_others(container, stream)
        yield container, stream


def _check_regular_file(path: Path) -> None:
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise VideoNotFound("no such file") from None
    except (OSError, ValueError) as error:
        raise VideoNotFound(f"not accessible ({reason_of(error)})") from None
    if stat.S_ISDIR(status.st_mode):
        raise VideoNotFound("a folder, not a file")
    if not stat.S_ISREG(status.st_mode):
        raise VideoNotFound("not a regular file (copy the pipe or device to a file first)")
    if status.st_size == 0:
        raise UnreadableVideo("empty file (0 bytes)")


def _open_local(path: Path) -> io.RawIOBase:
    try:
        return path.open("rb", buffering=0)
    except OSError as error:
        raise UnreadableVideo(f"cannot be opened ({reason_of(error)})") from None


class _View(PositionedFile):
    """A file with a position of its own, and without a name, or with a suffix only.

    By the name of a picture FFmpeg would choose the reader of numbered files, which is refused.
    """

    def __init__(self, file: io.RawIOBase, path: RemotePath | None = None) -> None:
        super().__init__(size_of(file))
        self._file = file
        if path is not None:  # some formats are recognised with the help of the suffix
            self.name = "video" + PurePosixPath(urlsplit(path.address).path).suffix

    def read(self, size: int = -1) -> bytes:
        self._file.seek(self._position)
        read = self._file.read(size) or b""
        self._position += len(read)
        return read


def _open(
    source: str | io.RawIOBase, options: dict[str, str], file: io.RawIOBase, formats: str | None = None
) -> InputContainer:
    """Open a source with FFmpeg; if that fails, ``file`` may tell why. ``formats`` limits the allowed ones."""
    try:
        return av.open(
            source,
            "r",
            options={"max_pixels": str(MAX_FRAME_PIXELS)},
            container_options=options | {"format_whitelist": formats or _allowed_formats()},
            metadata_errors="replace",
        )
    except PermissionError:
        raise UnreadableVideo("cannot be opened (permission denied)") from None
    except av.error.ArgumentError as error:
        if not isinstance(source, str) and not hasattr(source, "name"):
            raise refusal(file, reason_of(error)) from None
        return _open(_View(file), {"protocol_whitelist": "none"}, file)
    except MemoryError:
        raise UnreadableVideo("cannot be opened (FFmpeg ran out of memory over its header)") from None
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise refusal(file, reason_of(error)) from None


@lru_cache(maxsize=1)
def _allowed_formats() -> str:
    """Return the comma-separated names of this FFmpeg's demuxers, without the forbidden ones."""
    names = {name for name in av.formats_available if not name.startswith("lib")}
    return ",".join(sorted(names - FORBIDDEN_FORMATS))


def _choose_stream(container: InputContainer, file: io.RawIOBase) -> VideoStream:
    """Choose the video stream: FFmpeg's best one, unless that is a cover picture."""
    pictures = Disposition.attached_pic | Disposition.timed_thumbnails
    streams = [stream for stream in container.streams.video if not stream.disposition & pictures]
    if not streams:
        if is_mp4(file) and (error := mp4_refusal(file)):
            raise error
        raise NoVideoStream(_what_is_there(container))
    best = container.streams.best("video")
    stream = next((stream for stream in streams if best is not None and stream.index == best.index), streams[0])
    if stream.codec_context is None:
        if is_encrypted(container, stream, file):
            raise encrypted()
        raise UnreadableVideo("FFmpeg has no decoder for its video codec (convert it to H.264 first)")
    check_frame_size(stream.codec_context.width, stream.codec_context.height)
    stream.codec_context.options = {"max_pixels": str(MAX_FRAME_PIXELS)}
    stream.codec_context.thread_count = 1
    _discard_others(container, stream)
    return stream


def _discard_others(container: InputContainer, stream: VideoStream) -> None:
    for other in container.streams:
        if other.index != stream.index:
            other.discard = Discard.all


def _what_is_there(container: InputContainer) -> str:
    if len(container.streams.video):
        return "no video stream (the file has only audio and a cover picture)"
    if len(container.streams.audio):
        return "no video stream (the file has only audio)"
    return "no video stream (nothing in the file is video)"
