"""Write a video again, with something drawn on its pictures: MP4 or WebM, with the source's time stamps and sound.

A file is written under a temporary name beside the target and renamed when it is whole. Pictures keep the time base and
the time stamps of the source. A source whose clock started over a minute before its first picture, as recordings of
broadcasts have it, begins at 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from nlvid_cli.errors import OutputError, UnreadableVideo, UsageError
from nlvid_cli.system.atomic import atomic_file, behind_links
from nlvid_cli.system.overwrite import refuse_inputs
from nlvid_cli.system.processors import usable_processors
from nlvid_cli.video.annotate import Annotations, Painter
from nlvid_cli.video.blend import FORMAT, Canvas, Colours
from nlvid_cli.video.container import open_sound, open_video
from nlvid_cli.video.decode import SeekingFailedError, decode_everything
from nlvid_cli.video.fonts import Font
from nlvid_cli.video.frame_table import JOINED, NO_TIMES
from nlvid_cli.video.info import VideoInfo
from nlvid_cli.video.packets import reason_of
from nlvid_cli.video.picture_folder import decode_picture, nearest_frame
from nlvid_cli.video.segment import Stretch
from nlvid_cli.video.sound import Sound
from nlvid_cli.video.trim import trim

CONTAINERS = {".mp4": "mp4", ".webm": "webm"}
"""Container of a new file, by its suffix."""

H264, VP9 = "libx264", "libvpx-vp9"

SETTINGS = {
    H264: {"preset": "veryfast", "crf": "21"},
    VP9: {"crf": "32", "b": "0", "deadline": "realtime", "cpu-used": "7", "row-mt": "1"},
}
"""Settings of the encoders: quick, and hardly worse to look at than the source."""

KEY_SECONDS = 2
"""Time between key frames, at which players can start."""

LATEST_START_SECONDS = 60
"""Start of a video by its clock up to which time stamps are kept."""

PICTURES_UNIT = Fraction(1, 90000)
"""Time base of folders of pictures."""


@dataclass(frozen=True)
class _Source:
    """A video, and the part of it to write: frames ``first`` to before ``last``."""

    info: VideoInfo
    first: int
    last: int
    unit: Fraction
    pixel_shape: Fraction

    @property
    def start_seconds(self) -> float:
        """Time of the first frame of the part."""
        return float(self.info.times_seconds[self.first])

    @property
    def end_seconds(self) -> float:
        """Time of the end of its last frame."""
        times = self.info.times_seconds
        return self.info.facts.duration_seconds if self.last >= len(times) else float(times[self.last])

    @property
    def has_sound(self) -> bool:
        """Whether its sound can be told to belong to its pictures."""
        made_up = (NO_TIMES, JOINED.partition("{")[0])
        return not self.info.pictures and not any(text.startswith(made_up) for text in self.info.warnings)


def check_target(path: Path) -> None:
    """Check, before the work, whether a file of this name can be written.

    Raises:
        UsageError: Its suffix is of no known kind.
        OutputError: This build of FFmpeg has no encoder for it.
    """
    if path.suffix.lower() not in CONTAINERS:
        raise UsageError(f"{path}: a video to write ends in {' or '.join(CONTAINERS)}")
    encoder_for(path)


def encoder_for(path: Path) -> str:
    """Return the name of the encoder for a file: H.264 in MP4 if this build of FFmpeg has it, else VP9.

    Raises:
        OutputError: There is none.
    """
    wanted = (VP9,) if CONTAINERS[path.suffix.lower()] == "webm" else (H264, VP9)
    for name in wanted:
        if name in av.codecs_available:
            return name
    raise OutputError(f"{path}: this build of FFmpeg has no encoder for it ({', '.join(wanted)})")


def write_video(
    info: VideoInfo,
    stretch: Stretch | None,
    target: Path,
    annotations: Annotations,
    font: Font,
    warn: Callable[[str], None],
) -> None:
    """Write a video with its annotations.

    Args:
        info: The source.
        stretch: Part of it to write, whose times start at 0; None: all of it.
        target: File to write, ``.mp4`` or ``.webm``.
        annotations: What is drawn.
        font: Font of texts.
        warn: Gets what differs from the source, in sentences.

    Raises:
        UsageError: The target is the source, or has another suffix.
        VideoError: The source cannot be used.
        OutputError: The file cannot be written.
    """
    check_target(target)
    files = [str(Path(str(info.path)) / name) for name in info.pictures] or [str(info.path)]
    refuse_inputs([target], files)
    if target.exists() and not target.is_file():
        raise OutputError(f"{target}: cannot write a video there, because it is not a regular file")
    part, first = trim(info, stretch)
    source = _Source(info, first, first + len(part.times_seconds), *_units(info))
    if encoder_for(target) == VP9 and CONTAINERS[target.suffix.lower()] == "mp4":
        warn(f"{target}: this build of FFmpeg has no H.264 encoder; the video is VP9")
    painter = (annotations, font)
    try:
        with atomic_file(behind_links(target)) as file:
            try:
                _write(source, file, target, painter, warn, usable_processors())
            except SeekingFailedError:  # damage, which only one thread decodes as players show it
                _write(source, file, target, painter, warn, 1)
    except av.error.FFmpegError as error:
        raise OutputError(f"{target}: cannot write ({reason_of(error)})") from None
    except OSError as error:
        raise OutputError(f"{target}: cannot write ({error.strerror})") from None


def _units(info: VideoInfo) -> tuple[Fraction, Fraction]:
    """Return the time base of a source, and the shape of its pixels as stored (width / height)."""
    if info.pictures:
        return PICTURES_UNIT, Fraction(1)
    with open_video(info.path) as (_, stream):
        shape = stream.sample_aspect_ratio or Fraction(1)
        return Fraction(stream.time_base or PICTURES_UNIT), Fraction(shape) if shape > 0 else Fraction(1)


def _write(
    source: _Source,
    file: Path,
    target: Path,
    painter_parts: tuple[Annotations, Font],
    warn: Callable[[str], None],
    threads: int,
) -> None:
    """Write all pictures and packets of sound to a file."""
    kind = CONTAINERS[target.suffix.lower()]
    frames = _frames(source, threads)
    first = next(frames, None)
    if first is None:
        raise UnreadableVideo("no frame of the part can be decoded (the file is damaged)")
    zero = first[2] - _units_of(source, first[0])
    canvas = Canvas(first[1], source.info.orientation)
    shape = 1 / source.pixel_shape if source.info.orientation.exchange_axes else source.pixel_shape
    painter = Painter(painter_parts[0], canvas.width, canvas.height, painter_parts[1], float(shape))
    origin = _origin(source, zero)
    options = _container_options(kind, source.unit)
    with ExitStack() as stack:
        container = stack.enter_context(av.open(f"file:{file}", "w", format=kind, container_options=options))
        stream = _video_stream(container, encoder_for(target), source, canvas, shape)
        sound = None
        if source.has_sound:
            sound = Sound(source.info.path, stack.enter_context(open_sound(source.info.path)), container, kind)
            if sound.left_out:
                warn(f"{target}: left out sound that cannot be read ({', '.join(sound.left_out)})")
        elif not source.info.pictures:
            warn(f"{target}: without sound, because the time stamps of the source do not tell where it belongs")
        container.start_encoding()
        begin = (zero + round(source.start_seconds / source.unit)) * source.unit if source.first else None
        end_of_all = source.last >= len(source.info.times_seconds)
        for number, frame, stamp in chain([first], frames):
            seconds = float(source.info.times_seconds[number])
            made = canvas.picture(frame, painter.patches(seconds))
            made.pts, made.time_base = stamp - round(origin / source.unit), source.unit
            made.pict_type = 0
            if sound is not None:
                sound.write_until(stamp * source.unit, origin, begin)
            container.mux(stream.encode(made))
        if sound is not None:
            last = None if end_of_all else (zero + round(source.end_seconds / source.unit)) * source.unit
            sound.write_until(last, origin, begin)
            sound.finish()
        container.mux(stream.encode(None))


def _frames(source: _Source, threads: int) -> Iterator[tuple[int, VideoFrame, int]]:
    """Yield number, picture and time stamp of each frame of the part; the stamps ascend."""
    info, zero, previous = source.info, None, None
    for number, frame in _decoded(info, source, threads):
        known = frame.pts if not info.pictures else None
        if zero is None:
            zero = 0 if known is None else known - _units_of(source, number)
        stamp = known if info.recount is not None and known is not None else zero + _units_of(source, number)
        if previous is None or stamp > previous:
            yield number, frame, stamp
            previous = stamp


def _units_of(source: _Source, number: int) -> int:
    """Return the time of a frame from the first one, in units of the stream."""
    return round(float(source.info.times_seconds[number]) / source.unit)


def _decoded(info: VideoInfo, source: _Source, threads: int) -> Iterator[tuple[int, VideoFrame]]:
    """Yield the frames of the part that decode, in order."""
    if info.pictures:
        folder, broken = Path(str(info.path)), set[int]()
        for number in range(source.first, source.last):
            frame = decode_picture(folder / info.pictures[number])
            yield number, frame or nearest_frame(folder, info.pictures, number, broken)
        return
    for shown in decode_everything(info, threads):
        if shown.number >= source.last:
            return
        if shown.number >= source.first:
            yield shown.number, shown.frame


def _origin(source: _Source, zero: int) -> Fraction:
    """Return the time of the source's clock that is 0 in the new file."""
    if source.first:
        return (zero + _units_of(source, source.first)) * source.unit
    start = zero * source.unit
    return start if start > LATEST_START_SECONDS or start < 0 else Fraction(0)


def _container_options(kind: str, unit: Fraction) -> dict[str, str]:
    """Return the muxer's options: MP4 begins with its index, and counts time as the source does."""
    if kind != "mp4":
        return {}
    exact = {"video_track_timescale": str(unit.denominator), "movie_timescale": str(unit.denominator)}
    return {"movflags": "+faststart"} | (exact if unit.denominator < 1 << 31 else {})


def _video_stream(
    container: OutputContainer, encoder: str, source: _Source, canvas: Canvas, shape: Fraction
) -> VideoStream:
    rate = Fraction(source.info.facts.frame_rate).limit_denominator(1001)
    stream = container.add_stream(encoder, rate=rate, options=SETTINGS[encoder])
    assert isinstance(stream, VideoStream)
    stream.width, stream.height, stream.pix_fmt = canvas.width, canvas.height, FORMAT
    stream.time_base = stream.codec_context.time_base = source.unit
    stream.codec_context.sample_aspect_ratio = shape
    stream.codec_context.gop_size = max(1, round(KEY_SECONDS * rate))
    stream.codec_context.thread_count = usable_processors()
    _say_colours(stream, canvas.colours)
    return stream


def _say_colours(stream: VideoStream, colours: Colours) -> None:
    context = stream.codec_context
    context.colorspace, context.color_range = colours.matrix, colours.range
    context.color_trc, context.color_primaries = colours.transfer, colours.primaries
