"""Synthetic videos with classes that are easy to tell, and a recipe and a network that learn them in seconds."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from nlvid_cli.datasets.labelled import DataSet, LabelledVideo
from nlvid_cli.datasets.split import Split
from nlvid_cli.training.model import SMALL, Base
from nlvid_cli.training.observer import Observer
from nlvid_cli.training.plan import Machine, TrainingPlan
from nlvid_cli.training.recipe import Recipe
from nlvid_cli.training.run import TrainingResult, train_split

TINY = Base(
    replace(
        SMALL,
        architecture=replace(SMALL.architecture, width=8),
        sampling=replace(SMALL.sampling, frames=8, step=1, clips=2),
        preprocess=replace(SMALL.preprocess, short_side=36, crop=32),
    ),
    None,
)
"""A smaller version of the small network."""

QUICK = Recipe(
    "quick", epochs=30, batch=8, learning_rate=0.4, schedule="cosine", warmup=0.1, dropout=0.0, short_sides=(1.0, 1.1)
)
"""Recipe that takes two or three seconds."""

EVERYTHING = replace(
    QUICK, epochs=10, dropout=0.3, mixup=0.2, accumulation=2, average_decay=0.9, label_smoothing=0.1, validate_every=3
)
"""Recipe with everything that is random or has a state; 20 steps for 16 videos."""

CPU = Machine("cpu")


def train(
    split: Split,
    folder: Path,
    base: Base,
    recipe: Recipe,
    machine: Machine = CPU,
    resume: bool = False,
    observer: Observer | None = None,
) -> TrainingResult:
    """Train on the CPU with seed 0."""
    return train_split(split, folder, TrainingPlan(base, recipe, resume=resume, machine=machine), observer)


def moving_square(path: Path, speed: int, colour: tuple[int, int, int], seed: int, frames: int = 16) -> Path:
    """Make a video of a square that moves sideways by ``speed`` pixels per frame, over noise: 48 x 40 pixels."""
    rng = np.random.default_rng(seed)
    ground = rng.integers(40, 90, (40, 48, 3))
    top, left = int(rng.integers(4, 24)), int(rng.integers(0, 48))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 48, 40, "yuv420p"
        stream.codec_context.thread_count = 1
        stream.codec_context.time_base = Fraction(1, 25)
        for number in range(frames):
            picture = ground.copy()
            columns = (left + speed * number + np.arange(12)) % 48
            picture[top : top + 12, columns] = colour
            frame = av.VideoFrame.from_ndarray(picture.astype(np.uint8), format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


RED, BLUE = (230, 30, 30), (30, 30, 230)


def motions(folder: Path, count: int) -> DataSet:
    """Make ``count`` videos of squares that move left, and as many that move right."""
    videos = []
    for label, (name, speed) in enumerate((("to the left", -3), ("to the right", 3))):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            path = moving_square(folder / name / f"{number}.mp4", speed, RED, 10 * number + label)
            videos.append(LabelledVideo(path, (label,), name))
    return DataSet(tuple(videos), ("to the left", "to the right"), "single", "made")


def colours_and_motions(folder: Path, count: int) -> DataSet:
    """Make videos with any of three labels: red, blue, moving."""
    folder.mkdir(parents=True)
    videos = []
    for number in range(count):
        for kind, (colour, speed) in enumerate(((RED, 0), (RED, 4), (BLUE, 0), (BLUE, 4))):
            path = moving_square(folder / f"{kind}-{number}.mp4", speed, colour, 10 * number + kind)
            labels = (int(colour == BLUE), *((2,) if speed else ()))
            videos.append(LabelledVideo(path, labels, "made"))
    return DataSet(tuple(videos), ("red", "blue", "moving"), "multi", "made")
