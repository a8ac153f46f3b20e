"""Time the drawing on a video and its encoding, alone: pictures are decoded beforehand.

    python benchmarks/annotate.py [--frames N] [--tiny]

Prints frames per second by the clock, which other work on the machine slows down, and processor time per frame, which
it hardly does. ``--tiny`` uses small pictures.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.stream import VideoStream

from nlvid_cli.video.annotate import Annotations, Mark, Moment, Painter, Span
from nlvid_cli.video.blend import Canvas
from nlvid_cli.video.encode import H264, SETTINGS
from nlvid_cli.video.fonts import Font
from nlvid_cli.video.info import Orientation

RATE = 25


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=400)
    parser.add_argument("--tiny", action="store_true")
    arguments = parser.parse_args()
    width, height, count = (160, 96, 20) if arguments.tiny else (1280, 720, arguments.frames)
    sources = [moving(number, width, height) for number in range(min(count, 50))]
    canvas = Canvas(sources[0], Orientation())
    painter = Painter(made_annotations(count / RATE), width, height, Font())
    drawing, everything = 0.0, time.process_time()
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, av.open(str(Path(folder) / "out.mp4"), "w") as container:
        stream = container.add_stream(H264, rate=RATE, options=SETTINGS[H264])
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(count):
            start = time.thread_time()
            frame = canvas.picture(sources[number % len(sources)], painter.patches(number / RATE))
            drawing += time.thread_time() - start
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    seconds, processor = time.perf_counter() - begin, time.process_time() - everything
    print(f"{count} frames of {width} x {height}: {count / seconds:.1f} frames/s drawn and encoded")
    print(f"processor: {processor / count * 1000:.2f} ms per frame, {drawing / count * 1000:.2f} ms of it for drawing")


def moving(number: int, width: int, height: int) -> av.VideoFrame:
    """A smooth picture that moves, with some noise."""
    rng = np.random.default_rng(number)
    y, x = np.mgrid[:height, :width]
    luma = 128 + 60 * np.sin((x + 5 * number) / 37) + 40 * np.cos((y - 3 * number) / 23) + rng.integers(-3, 4, x.shape)
    planes = np.full((height * 3 // 2, width), 128, np.uint8)
    planes[:height] = luma.clip(16, 235)
    return av.VideoFrame.from_ndarray(planes, format="yuv420p")


def made_annotations(seconds: float) -> Annotations:
    """A segment every two seconds, and a window every second."""
    marks = tuple(Mark(f"label number {number}", 0.9 / (number + 1), (40 * number, 120, 200)) for number in range(5))
    spans = tuple(Span(start, start + 1.5, marks[start % 5]) for start in range(0, int(seconds) + 1, 2))
    return Annotations(spans, tuple(Moment(s + 0.5, marks) for s in range(int(seconds) + 1)), 0.0, seconds)


if __name__ == "__main__":
    main()
