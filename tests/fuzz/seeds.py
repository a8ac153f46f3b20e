"""Small clips in every container that this FFmpeg writes: what the fuzzer damages."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av

from tests.clips import make_clip, picture

MOST_BYTES = 150_000
"""Size of the largest seed: a frame of DV has 144,000 bytes."""

NOT_FILES = frozenset({
    "alsa", "fbdev", "oss", "rtp", "rtp_mpegts", "rtsp", "sap", "whip",  # devices and networks
    "crc", "framecrc", "framehash", "framemd5", "hash", "md5", "null", "streamhash", "uncodedframecrc",  # sums
    "dash", "hds", "hls", "image2", "image2pipe", "segment", "smoothstreaming", "stream_segment,ssegment",  # many files
    "fifo", "tee",  # muxers around others
    "data", "rawvideo",  # no container
})  # fmt: skip
"""Muxers that do not write one file."""

CODECS = (
    *("libx264", "mpeg4", "mpeg2video", "libvpx", "mjpeg", "rv20", "gif", "apng", "flv", "h263", "h261", "libx265"),
    "mpeg1video",
    *("libsvtav1", "cinepak", "dvvideo", "dnxhd", "rawvideo", "roqvideo", "amv", "ffv1", "fits"),
)
"""Encoders to try for a container, until one works; its default comes first."""

MORE = {
    "mp4": ("mpeg4", "libx265", "libsvtav1", "libvpx-vp9", "png"),
    "mov": ("mjpeg", "prores", "qtrle", "svq1", "mpeg2video"),
    "3gp": ("h263",),
    "matroska": ("libvpx-vp9", "libsvtav1", "libx265", "msmpeg4", "ffv1", "mjpeg"),
    "webm": ("libvpx-vp9", "libsvtav1"),
    "avi": ("libx264", "msmpeg4v2", "mjpeg", "huffyuv", "rawvideo", "wmv1"),
    "asf": ("wmv2",),
    "flv": ("libx264", "flashsv"),
    "mpegts": ("libx264", "libx265"),
    "mpeg": ("mpeg2video",),
    "nut": ("libx264", "snow"),
    "rm": ("rv10",),
    "mxf": ("libx264", "ffv1"),
    "ivf": ("libsvtav1", "libvpx-vp9"),
    "wtv": ("libx264",),
}
"""Further encoders for the containers of most videos."""

LONG = {"mp4": ".mp4", "matroska": ".mkv", "mpegts": ".ts", "flv": ".flv", "mov": ".mov"}
"""Containers of further seeds: with more frames, and with sound."""

SIZES = {"dvvideo": (720, 576), "dnxhd": (256, 128), "h261": (176, 144), "h263": (176, 144), "fits": (32, 32)}
FRAMES = {"dvvideo": 1, "dnxhd": 1, "rawvideo": 6, "png": 6, "apng": 6, "flashsv": 6}
OPTIONS = {"dnxhd": {"profile": "dnxhr_lb"}, "libx265": {"x265-params": "log-level=none"}}
BIT_RATES = dict.fromkeys(("h261", "h263", "rv10", "rv20", "mpeg4", "flv", "wmv2"), 200_000)
PIXELS = {"dnxhd": "yuv422p", "mjpeg": "yuvj420p", "amv": "yuvj420p"}


@dataclass(frozen=True)
class Seed:
    """An intact file.

    Attributes:
        name: Container and codec, such as ``matroska-libx264``.
        container: Name of the muxer.
        suffix: Usual suffix of such a file, with its dot.
        data: Content.
    """

    name: str
    container: str
    suffix: str
    data: bytes


def make_seeds(folder: Path) -> list[Seed]:
    """Make one clip or more for each container, in a fixed order; leave out containers that take no codec."""
    seeds = [seed for container in _containers() for seed in _seeds_of(container, folder)]
    for container, suffix in LONG.items():  # nlvid seeks in these
        path = make_clip(folder / f"{container}-long{suffix}", container_format=container, frames=200, audio=True)
        seeds.append(Seed(path.stem, container, suffix, path.read_bytes()))
    path = make_clip(
        folder / "mp4-fragments.mp4", frames=24, container_options={"movflags": "frag_keyframe+empty_moov"}
    )
    return [*seeds, Seed(path.stem, "mp4", ".mp4", path.read_bytes())]


def read_seeds(folder: Path) -> list[Seed]:
    """Take the files of a folder and below instead; the name of each stands for its container."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size)
    return [Seed(path.stem, path.name, path.suffix, path.read_bytes()) for path in paths]


def _containers() -> list[str]:
    names = []
    for name in sorted(av.formats_available - NOT_FILES):
        try:
            av.ContainerFormat(name, "w")
        except ValueError:
            continue
        names.append(name)
    return names


def _seeds_of(container: str, folder: Path) -> list[Seed]:
    suffix = min(av.ContainerFormat(container, "w").extensions, default="bin", key=lambda name: (len(name), name))
    seeds = []
    first = next((seed for codec in CODECS if (seed := _seed(container, codec, suffix, folder))), None)
    if first is not None:
        more = [codec for codec in MORE.get(container, ()) if not first.name.endswith(f"-{codec}")]
        seeds = [first, *(seed for codec in more if (seed := _seed(container, codec, suffix, folder)))]
    return seeds


def _seed(container: str, codec: str, suffix: str, folder: Path) -> Seed | None:
    """Write and read back a clip; None if this container does not take this codec."""
    path = folder / f"{container}-{codec}.{suffix}"
    try:
        _write(path, container, codec)
        with av.open(str(path)) as written:
            next(written.decode(video=0))
    except (av.error.FFmpegError, ValueError, IndexError, StopIteration):
        return None
    data = path.read_bytes()
    return Seed(path.stem, container, f".{suffix}", data) if len(data) <= MOST_BYTES else None


def _write(path: Path, container: str, codec: str) -> None:
    size = SIZES.get(codec, (64, 48))
    with av.open(str(path), "w", format=container) as file:
        stream = file.add_stream(codec, rate=25)
        formats = [pixels.name for pixels in av.Codec(codec, "w").video_formats or []] or ["yuv420p"]
        wanted = PIXELS.get(codec, "yuv420p")
        stream.pix_fmt = wanted if wanted in formats else formats[0]
        stream.width, stream.height = size
        stream.gop_size = 6
        stream.bit_rate = BIT_RATES.get(codec, 0)
        stream.options = OPTIONS.get(codec, {})
        stream.codec_context.time_base = Fraction(1, 25)
        stream.codec_context.thread_count = 1
        for number in range(FRAMES.get(codec, 12)):
            frame = av.VideoFrame.from_ndarray(picture(number, *size), format="rgb24").reformat(format=stream.pix_fmt)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
