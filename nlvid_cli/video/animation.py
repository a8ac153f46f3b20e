"""Write a short video as a picture that moves: GIF or animated WebP, small, ten frames a second, without sound.

A GIF has 256 colours, chosen from all of its pictures. So these are decoded and drawn twice, which takes time rather
than memory. The last frame of a WebP lasts as long as the mean of the others: libwebp decides that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.filter import Graph
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from nlvid_cli.errors import UsageError
from nlvid_cli.video.annotate import Painter, Patch
from nlvid_cli.video.blend import Colours
from nlvid_cli.video.picture import PictureMaker
from nlvid_cli.video.source import Source

ANIMATIONS = {".gif": "gif", ".webp": "libwebp_anim"}
"""Encoder by the suffix of the file."""

RATE = 10
"""Frames per second at most."""

LONGEST_SIDE = 480
"""Width or height at most, in pixels."""

LONGEST_SECONDS = 60
"""Length at most: a GIF of a minute has tens of megabytes already."""

TICK = Fraction(1, 1000)
"""Unit of time stamps."""

OPTIONS = {".gif": {}, ".webp": {"quality": "75"}}
"""Of the encoders."""

Watch = Callable[[float, float], None]
"""Gets the seconds of a video that are done, and those that will be."""


def check_seconds(target: Path, seconds: float) -> None:
    """Check the length of a part.

    Raises:
        UsageError: It is too long.
    """
    if seconds > LONGEST_SECONDS + 1 / RATE:
        raise UsageError(
            f"{target}: a {target.suffix.lower()} gets at most {LONGEST_SECONDS} s, not {seconds:.1f} s; "
            "write an .mp4, or choose a part with --start and --end"
        )


def write_animation(
    source: Source,
    file: Path,
    target: Path,
    make_painter: Callable[..., Painter],
    warn: Callable[[str], None],
    watch: Watch,
) -> None:
    """Write the pictures of a part.

    Args:
        source: The part.
        file: File to write.
        target: Its later name, whose suffix is a key of :data:`ANIMATIONS`.
        make_painter: Makes what draws on pictures of a width and a height.
        warn: Gets what differs from the source, in sentences.
        watch: Gets how far the work is.

    Raises:
        UsageError: The part is too long.
        VideoError: The source cannot be used.
        av.error.FFmpegError: The file cannot be written.
    """
    suffix, seconds = target.suffix.lower(), source.end_seconds - source.start_seconds
    check_seconds(target, seconds)
    drawing = _Drawing(source, make_painter)
    passes = 2 if suffix == ".gif" else 1

    def pictures(turn: int) -> Iterator[VideoFrame]:
        for frame in drawing.frames():
            watch((turn * seconds + float((frame.pts or 0) * TICK)) / passes, seconds)
            yield frame

    made = _with_palette(pictures(1), _palette(pictures(0))) if suffix == ".gif" else map(_with_alpha, pictures(0))
    last = round((seconds - float(drawing.ticks[-1][0] * TICK)) * 100)
    options = {"loop": "0"} | ({"final_delay": str(max(1, last))} if suffix == ".gif" else {})
    with av.open(f"file:{file}", "w", format=suffix.strip("."), container_options=options) as container:
        stream = container.add_stream(ANIMATIONS[suffix], rate=RATE, options=OPTIONS[suffix])
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = *drawing.size, "pal8" if suffix == ".gif" else "bgra"
        stream.time_base = stream.codec_context.time_base = TICK
        for frame in made:
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    if drawing.is_hdr:
        warn(f"{target}: the source is HDR, and looks dull there")


class _Drawing:
    """Small upright RGB pictures of a part with what is drawn on them; they can be made again.

    Attributes:
        size: Their width and height.
        ticks: Their times in units of :data:`TICK`, each with the number of the frame that is shown then.
        is_hdr: Whether the source is HDR; known once the first picture was made.
    """

    def __init__(self, source: Source, make_painter: Callable[..., Painter]) -> None:
        facts, shape = source.info.facts, float(source.pixel_shape)
        width, height = facts.width * max(1.0, shape), facts.height * max(1.0, 1 / shape)
        scale = min(1.0, LONGEST_SIDE / max(width, height))
        self.size = max(2, round(width * scale)), max(2, round(height * scale))
        self.ticks = _ticks(source)
        self._source = source
        self.is_hdr = False
        self._painter = make_painter(*self.size)

    def frames(self) -> Iterator[VideoFrame]:
        """Decode and draw all of them."""
        maker = PictureMaker(self._source.info.orientation, "swscale_bilinear")
        picture = np.empty((self.size[1], self.size[0], 3), np.uint8)
        first, pictures = self._source.pictures([number for _, number in self.ticks])
        self.is_hdr = Colours.of(first).is_hdr
        for (tick, _), (number, frame) in zip(self.ticks, pictures, strict=True):
            maker.make(frame, picture)
            for patch in self._painter.patches(self._source.seconds(number)):
                _lay(patch, picture)
            made = VideoFrame.from_ndarray(picture, format="rgb24")
            made.pts, made.time_base = tick, TICK
            yield made


def _ticks(source: Source) -> list[tuple[int, int]]:
    """Choose the frame that is shown at each tenth of a second, once each."""
    times = source.info.times_seconds[source.first : source.last] - source.start_seconds
    seconds = np.arange(0, max(source.end_seconds - source.start_seconds, float(TICK)), 1 / RATE)
    shown = np.maximum(0, np.searchsorted(times, seconds + float(TICK), side="right") - 1)
    numbers, places = np.unique(shown, return_index=True)
    ticks = np.round(seconds[places] / float(TICK)).astype(int)
    return list(zip(ticks.tolist(), (numbers + source.first).tolist(), strict=True))


def _lay(patch: Patch, picture: NDArray[np.uint8]) -> None:
    """Blend a patch into an RGB picture, (height, width, 3)."""
    place = picture[patch.top :, patch.left :][: patch.pixels.shape[0], : patch.pixels.shape[1]]
    pixels = patch.pixels.astype(np.uint16)
    opacity = pixels[..., 3:]
    place[...] = (place * (255 - opacity) + pixels[..., :3] * opacity + 127) // 255


def _palette(frames: Iterator[VideoFrame]) -> VideoFrame:
    """Return the 256 colours that suit all pictures, as a picture of 16 x 16."""
    graph: Graph | None = None
    made: list[VideoFrame] = []
    for frame in frames:
        if graph is None:
            graph = Graph()
            graph.link_nodes(
                graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=TICK),
                graph.add("palettegen", "reserve_transparent=0"),
                graph.add("buffersink"),
            ).configure()
        graph.push(frame)
        made += _ready(graph)  # none yet; but only who asks makes a graph work, and else it keeps all pictures
    assert graph is not None  # a part has a frame
    graph.push(None)
    made += _ready(graph)
    return made[-1]


def _with_palette(frames: Iterator[VideoFrame], palette: VideoFrame) -> Iterator[VideoFrame]:
    """Yield pictures with the colours of a palette."""
    graph: Graph | None = None
    for frame in frames:
        if graph is None:
            graph = Graph()
            source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=TICK)
            colours = graph.add_buffer(width=16, height=16, format=palette.format, time_base=TICK)
            use, sink = graph.add("paletteuse", "dither=bayer:bayer_scale=4"), graph.add("buffersink")
            source.link_to(use, 0, 0)
            colours.link_to(use, 0, 1)
            use.link_to(sink)
            graph.configure()
            palette.pts, palette.time_base = 0, TICK
            colours.push(palette)
            colours.push(None)
        source.push(frame)
        yield from _ready(graph)
    if graph is not None:
        source.push(None)
        yield from _ready(graph)


def _ready(graph: Graph) -> Iterator[VideoFrame]:
    """Yield what has come out of a graph."""
    while True:
        try:
            frame = graph.pull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        assert isinstance(frame, VideoFrame)
        yield frame


def _with_alpha(frame: VideoFrame) -> VideoFrame:
    """Return the picture in the form that the encoder of WebP turns into its own colours."""
    made = frame.reformat(format="bgra")
    made.pts, made.time_base = frame.pts, frame.time_base
    return made
