"""Long videos whose every second is known: real clips and made pictures, one after the other."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from tests.clips import TICKS

Picture = NDArray[np.uint8]
Shown = Iterator[tuple[float, Picture]]
"""Pictures with the time in seconds, from 0, at which each of them appears."""

SIZE = (320, 240)


@dataclass(frozen=True)
class Truth:
    """What a part of a joined video shows; None: no action."""

    label: str | None
    start_seconds: float
    end_seconds: float


@dataclass(frozen=True)
class Part:
    """A label, how long it lasts, and the pictures that show it: at least so long."""

    label: str | None
    seconds: float
    shown: Shown


def join(path: Path, parts: Iterable[Part], rate: float | None = 25.0) -> list[Truth]:
    """Encode the parts one after the other; ``rate`` None keeps the time between pictures that each of them has."""
    truth: list[Truth] = []
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, TICKS)
        stream.gop_size = 50
        stream.codec_context.thread_count = 1
        stream.options = {"preset": "ultrafast", "crf": "20"}
        start, last = 0.0, -1
        for part in parts:
            shown = part.shown if rate is None else at_rate(part.shown, rate)
            for seconds, picture in shown:
                if seconds >= part.seconds - 1e-6:
                    break
                last = max(last + 1, round((start + seconds) * TICKS))
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
                frame.pts, frame.time_base = last, Fraction(1, TICKS)
                container.mux(stream.encode(frame))
            truth.append(Truth(part.label, start, start + part.seconds))
            start += part.seconds
        container.mux(stream.encode(None))
    return truth


def at_rate(shown: Shown, rate: float) -> Shown:
    """What is on the screen at 0, 1 / rate, 2 / rate, ... seconds; without an end if ``shown`` has none."""
    number, before = 0, None
    for seconds, picture in shown:
        while before is not None and number / rate < seconds - 1e-6:
            yield number / rate, before
            number += 1
        before = picture


def looped(clip: Path) -> Shown:
    """The pictures of a clip, over and over, cut to :data:`SIZE`, at the times that the clip has."""
    times, pictures = [], []
    with av.open(f"file:{clip}", metadata_errors="replace") as container:
        for frame in container.decode(video=0):
            times.append(float(frame.time))
            pictures.append(np.asarray(ImageOps.fit(frame.to_image(), SIZE, Image.Resampling.BILINEAR)))
    length = times[-1] - times[0] + float(np.median(np.diff(times)))
    turn = 0
    while True:
        for seconds, picture in zip(times, pictures, strict=True):
            yield turn * length + seconds - times[0], picture
        turn += 1


def labelled_clips(folder: Path) -> dict[str, Path]:
    """The clips of ``labels.csv`` in a folder by their label."""
    with (folder / "labels.csv").open(newline="") as table:
        return {row["kinetics_label"]: folder / row["file"] for row in csv.DictReader(table) if row["kinetics_label"]}
