"""Write a video again, with something drawn on its pictures: MP4 or WebM, with the source's time stamps and sound.

A file is written under a temporary name beside the target and renamed when it is whole. Pictures keep the time base and
the time stamps of the source. A source whose clock started over a minute before its first picture, as recordings of
broadcasts have it, begins at 0.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, suppress
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from nlvid_cli.errors import OutputError, UsageError, VideoError
from nlvid_cli.system.atomic import atomic_file, behind_links
from nlvid_cli.system.overwrite import refuse_inputs
from nlvid_cli.system.processors import usable_processors
from nlvid_cli.video.animation import ANIMATIONS, Watch, check_seconds, write_animation
from nlvid_cli.video.annotate import Annotations, Painter
from nlvid_cli.video.blend import FORMAT, Canvas, Colours
from nlvid_cli.video.container import open_sound
from nlvid_cli.video.fonts import Font
from nlvid_cli.video.info import VideoInfo
from nlvid_cli.video.packets import reason_of
from nlvid_cli.video.probe import probe_segment
from nlvid_cli.video.segment import Segment, Stretch
from nlvid_cli.video.sound import Sound
from nlvid_cli.video.source import Source
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


def check_target(path: Path) -> None:
    """Check, before the work, whether a file of this name can be written.

    Raises:
        UsageError: Its suffix is of no known kind.
        OutputError: This build of FFmpeg has no encoder for it.
    """
    if path.suffix.lower() not in {**CONTAINERS, **ANIMATIONS}:
        raise UsageError(f"{path}: a video to write ends in {', '.join([*CONTAINERS, *ANIMATIONS])}")
    encoder_for(path)


def encoder_for(path: Path) -> str:
    """Return the name of the encoder for a file; in MP4 H.264 if this build of FFmpeg has it, else VP9.

    Raises:
        OutputError: There is none.
    """
    suffix = path.suffix.lower()
    wanted = (ANIMATIONS[suffix],) if suffix in ANIMATIONS else (VP9,) if suffix == ".webm" else (H264, VP9)
    for name in wanted:
        if name in av.codecs_available:
            return name
    raise OutputError(f"{path}: this build of FFmpeg has no encoder for it ({', '.join(wanted)})")


def check_length(path: Path, segment: Segment) -> None:
    """Check, before the work, whether a file of this kind can hold a part of a video.

    Raises:
        UsageError: The part is longer than a GIF or WebP gets.
    """
    if path.suffix.lower() in ANIMATIONS:
        with suppress(VideoError):  # it is said where the video is looked at
            check_seconds(path, trim(probe_segment(segment, promised=True), segment.stretch)[0].facts.duration_seconds)


def write_video(
    info: VideoInfo,
    stretch: Stretch | None,
    target: Path,
    annotations: Annotations,
    font: Font,
    warn: Callable[[str], None],
    watch: Watch = lambda done_seconds, all_seconds: None,
) -> None:
    """Write a video with its annotations.

    Args:
        info: The source, whose frames are counted.
        stretch: Part of it to write, whose times start at 0; None: all of it.
        target: File to write, with a suffix of :data:`CONTAINERS` or :data:`~nlvid_cli.video.animation.ANIMATIONS`.
        annotations: What is drawn.
        font: Font of texts.
        warn: Gets what differs from the source, in sentences.
        watch: Gets how far the work is; what it raises ends the work, and no file is left.

    Raises:
        UsageError: The target is the source, or has another suffix, or is a GIF or WebP and the part is too long.
        VideoError: The source cannot be used.
        OutputError: The file cannot be written.
    """
    check_target(target)
    files = [str(Path(str(info.path)) / name) for name in info.pictures] or [str(info.path)]
    refuse_inputs([target], files)
    if target.exists() and not target.is_file():
        raise OutputError(f"{target}: cannot write a video there, because it is not a regular file")
    source = Source.of(info, stretch)
    painter = partial(Painter, annotations, font=font)
    try:
        with atomic_file(behind_links(target)) as file:
            if target.suffix.lower() in ANIMATIONS:
                write_animation(source, file, target, painter, warn, watch)
            else:
                _write(source, file, target, painter, warn, watch)
    except av.error.FFmpegError as error:
        raise OutputError(f"{target}: cannot write ({reason_of(error)})") from None
    except OSError as error:
        raise OutputError(f"{target}: cannot write ({error.strerror})") from None


def _write(
    source: Source,
    file: Path,
    target: Path,
    make_painter: Callable[..., Painter],
    warn: Callable[[str], None],
    watch: Watch,
) -> None:
    """Write all pictures and packets of sound to a file."""
    kind, encoder = CONTAINERS[target.suffix.lower()], encoder_for(target)
    first, pictures = source.pictures()
    canvas = Canvas(first, source.info.orientation)
    painter = make_painter(canvas.width, canvas.height, pixel_shape=float(source.pixel_shape))
    zero = source.stamp_of_start(first)
    origin = _origin(source, zero)
    options = _container_options(kind, source.unit)
    with ExitStack() as stack:
        container = stack.enter_context(av.open(f"file:{file}", "w", format=kind, container_options=options))
        stream = _video_stream(container, encoder, source, canvas)
        _say(source, target, encoder, canvas.colours, warn)
        sound = None
        if source.has_sound:
            sound = Sound(source.info.path, stack.enter_context(open_sound(source.info.path)), container, kind)
            if sound.left_out:
                warn(f"{target}: left out sound that cannot be read ({', '.join(sound.left_out)})")
        container.start_encoding()
        begin = (zero + source.units(source.first)) * source.unit if source.first else None
        lasting: dict[int, int] = {}
        for number, frame in pictures:
            seconds, stamp = source.seconds(number), zero + source.units(number)
            watch(seconds - source.start_seconds, source.end_seconds - source.start_seconds)
            made = canvas.picture(frame, painter.patches(seconds))
            made.pts, made.time_base = stamp - round(origin / source.unit), source.unit
            made.pict_type = 0
            lasting[made.pts] = source.duration(number)
            if sound is not None:
                sound.write_until(stamp * source.unit, origin, begin)
            _mux(container, stream.encode(made), lasting)
        if sound is not None:
            end = None if source.is_to_the_end else (zero + source.units(source.last)) * source.unit
            sound.write_until(end, origin, begin)
            sound.finish()
        _mux(container, stream.encode(None), lasting)


def _mux(container: OutputContainer, packets: list[Packet[VideoStream]], lasting: dict[int, int]) -> None:
    """Write packets with the durations of their pictures, by their time stamps: encoders do not pass them on."""
    for packet in packets:
        packet.duration = lasting.pop(packet.pts or 0, 0)
        container.mux(packet)


def _say(source: Source, target: Path, encoder: str, colours: Colours, warn: Callable[[str], None]) -> None:
    """Say what differs from the source."""
    if encoder == VP9 and CONTAINERS[target.suffix.lower()] == "mp4":
        warn(f"{target}: this build of FFmpeg has no H.264 encoder; the video is VP9")
    if not source.has_sound and not source.info.pictures:
        warn(f"{target}: without sound, because the time stamps of the source do not tell where it belongs")
    if colours.is_hdr:
        warn(f"{target}: the source is HDR; the new video has its colours in 8 bits, which can show as bands")


def _origin(source: Source, zero: int) -> Fraction:
    """Return the time of the source's clock that is 0 in the new file."""
    if source.first:
        return (zero + source.units(source.first)) * source.unit
    start = zero * source.unit
    return start if start > LATEST_START_SECONDS or start < 0 else Fraction(0)


def _container_options(kind: str, unit: Fraction) -> dict[str, str]:
    """Return the muxer's options: MP4 begins with its index, and counts time as the source does."""
    if kind != "mp4":
        return {}
    exact = {"video_track_timescale": str(unit.denominator), "movie_timescale": str(unit.denominator)}
    return {"movflags": "+faststart"} | (exact if unit.denominator < 1 << 31 else {})


def _video_stream(container: OutputContainer, encoder: str, source: Source, canvas: Canvas) -> VideoStream:
    rate = Fraction(source.info.facts.frame_rate).limit_denominator(1001)
    stream = container.add_stream(encoder, rate=rate, options=SETTINGS[encoder])
    assert isinstance(stream, VideoStream)
    stream.width, stream.height, stream.pix_fmt = canvas.width, canvas.height, FORMAT
    stream.time_base = stream.codec_context.time_base = source.unit
    stream.codec_context.sample_aspect_ratio = source.pixel_shape
    stream.codec_context.gop_size = max(1, round(KEY_SECONDS * rate))
    stream.codec_context.thread_count = usable_processors()
    _say_colours(stream, canvas.colours)
    return stream


def _say_colours(stream: VideoStream, colours: Colours) -> None:
    context = stream.codec_context
    context.colorspace, context.color_range = colours.matrix, colours.range
    context.color_trc, context.color_primaries = colours.transfer, colours.primaries
