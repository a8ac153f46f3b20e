"""Compare `nlvid train` with a linear probe of scikit-learn on the same features and the same split.

    python benchmarks/finetune.py [--weizmann FOLDER] [--seeds N] [--train-all] [--tiny]

The script makes two data sets of two classes each: things that circle one way or the other, and things that swing or
drift, before other moving things. With ``--weizmann`` it adds that data set, split by person. On each it fits the probe
(standardised features, logistic regression with scikit-learn's defaults, and a linear SVM) and trains nlvid with its
base frozen; with ``--train-all`` also with all layers after ``mixed_4f`` trained. Figures are means over the seeds,
which also choose the split; times are processor seconds, and contain the computation of the features on both sides.
``--tiny`` uses the bundled model and a few small videos.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from nlvid_cli.datasets.labelled import DataSet
from nlvid_cli.datasets.read import read_data_set
from nlvid_cli.datasets.split import Split
from nlvid_cli.recognize.prediction import Failure
from nlvid_cli.training.accelerator import make_accelerator
from nlvid_cli.training.features import features_of
from nlvid_cli.training.head import CLIPS
from nlvid_cli.training.model import make_trainee
from nlvid_cli.training.observer import EpochRow
from nlvid_cli.training.plan import Machine, SplitChoice, TrainingPlan, choose_splits, find_base
from nlvid_cli.training.recipe import RECIPES, Recipe
from nlvid_cli.training.run import TrainingResult, train_split

FRAMES, SIZE, RATE = 50, (160, 120), 25


@dataclass(frozen=True)
class Row:
    """Figures of one way: top-1 on the validation videos, last loss on the training ones, processor seconds."""

    top1: float
    loss: float
    seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weizmann", type=Path, help="Folder of the Weizmann actions.")
    parser.add_argument("--base", default="i3d")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--videos", type=int, default=60, help="Videos of each made class.")
    parser.add_argument("--train-all", action="store_true", help="Also train the last layers of the base.")
    parser.add_argument("--tiny", action="store_true", help="The bundled model, six small videos of a class, one seed.")
    arguments = parser.parse_args()
    base, seeds, videos = arguments.base, arguments.seeds, arguments.videos
    if arguments.tiny:
        base, seeds, videos = "tiny", 1, 6
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        sets = [make_set(folder / name, name, videos) for name in ("circling", "swinging")]
        groups = {"circling": None, "swinging": None, "weizmann": "^[^_]+"}
        if arguments.weizmann:
            sets.append(arguments.weizmann)
        print(f"{'data set':10} {'way':26} {'top-1':>7} {'last loss':>10} {'seconds':>8} {'seconds / probe':>16}")
        for path in sets:
            data = read_data_set(path)
            rows: dict[str, list[Row]] = {}
            for seed in range(seeds):
                choice = SplitChoice(group_by=groups[path.name], seed=seed)
                split = choose_splits(data, choice)[0]
                for way, row in compare(split, base, seed, folder / f"{path.name}{seed}", arguments).items():
                    rows.setdefault(way, []).append(row)
            report(path.name, rows)


def compare(split: Split, base: str, seed: int, folder: Path, arguments: argparse.Namespace) -> dict[str, Row]:
    """Fit the probes and train nlvid on one split."""
    clips = {"frames": 16, "step": 2, "crop": 112}
    plan = TrainingPlan(
        base=find_base(base), recipe=RECIPES["probe"].with_changes(clips), seed=seed, machine=Machine(device="cpu")
    )
    rows = probes(split, plan)
    rows["nlvid, frozen"] = trained(split, folder / "frozen", plan)
    if arguments.train_all:
        recipe: Recipe = RECIPES["finetune"].with_changes(clips | {"freeze": "mixed_4f", "epochs": 6})
        rows["nlvid, from mixed_5b on"] = trained(split, folder / "trained", replace(plan, recipe=recipe))
    return rows


def probes(split: Split, plan: TrainingPlan) -> dict[str, Row]:
    """Fit scikit-learn's classifiers on the features that nlvid's head sees; the test is that of the model's card."""
    begin = time.process_time()
    accelerator = make_accelerator("cpu", plan.recipe)
    trainee = make_trainee(plan.base, split.train.classes, "single", plan.recipe, None, plan.seed)
    train, train_labels = features(trainee, split.train, CLIPS, accelerator)
    val, val_labels = features(trainee, split.val, trainee.card.sampling.clips, accelerator)
    spent = time.process_time() - begin
    rows = {}
    for name, model in (
        ("logistic regression", LogisticRegression(max_iter=1000)),
        ("linear SVM", LinearSVC()),
    ):
        begin = time.process_time()
        probe = make_pipeline(StandardScaler(), model).fit(train, train_labels)
        rows[name] = Row(float(probe.score(val, val_labels)), float("nan"), spent + time.process_time() - begin)
    return rows


def features(
    trainee: object, data: DataSet, clips: int, accelerator: object
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Mean features of the videos that can be used, and their labels."""
    results = features_of(trainee, data, clips, accelerator)  # type: ignore[arg-type]
    pairs = [
        (result.mean, video.labels[0])
        for video, result in zip(data.videos, results, strict=True)
        if not isinstance(result, Failure)
    ]
    return np.stack([mean for mean, _ in pairs]), np.array([label for _, label in pairs])


def trained(split: Split, folder: Path, plan: TrainingPlan) -> Row:
    """Train nlvid."""
    watcher = LastLoss()
    begin = time.process_time()
    result: TrainingResult = train_split(split, folder, plan, watcher)
    spent = time.process_time() - begin
    assert result.evaluation is not None
    return Row(result.evaluation.figures["top1"], watcher.loss, spent)


class LastLoss:
    """Keeps the loss of the last epoch."""

    loss = float("nan")

    def note(self, text: str) -> None:
        """Ignore the note."""

    def step(self, row: object) -> None:
        """Ignore the step."""

    def epoch(self, row: EpochRow) -> None:
        """Keep the loss."""
        self.loss = row.train_loss

    def close(self) -> None:
        """Do nothing."""


def report(name: str, rows: dict[str, list[Row]]) -> None:
    """Print the means of each way."""
    base = np.mean([row.seconds for row in rows["logistic regression"]])
    for way, of_seeds in rows.items():
        top1, loss, seconds = (
            float(np.mean([getattr(row, of) for row in of_seeds])) for of in ("top1", "loss", "seconds")
        )
        print(f"{name:10} {way:26} {100 * top1:6.1f} % {loss:10.3f} {seconds:8.1f} {seconds / base:16.2f}")


def make_set(folder: Path, name: str, videos: int) -> Path:
    """Make a data set of two classes, unless it is there."""
    for label in range(2):
        for number in range(videos):
            path = folder / f"{name}-{label}" / f"{number:03}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                draw(path, name, label, np.random.default_rng((label, number, len(name))))
    return folder


def draw(path: Path, name: str, label: int, rng: np.random.Generator) -> None:
    """Draw a thing that moves as its class does, and three others that move anyhow."""
    width, height = SIZE
    background = rng.integers(0, 256, (height // 8, width // 8, 3)).astype(np.uint8).repeat(8, 0).repeat(8, 1) // 2
    colours = rng.integers(60, 256, (4, 3))
    start, speed, reach = rng.uniform(0, 2 * np.pi), rng.uniform(0.08, 0.2), rng.uniform(15, 40)
    others = rng.uniform(0, 1, (3, 2)) * SIZE, rng.normal(0, 1.5, (3, 2))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"preset": "veryfast", "crf": "30"}
        for number in range(FRAMES):
            picture = background.copy()
            angle = start + speed * number * (1 if label else -1 if name == "circling" else 1)
            if name == "circling":
                place = np.array([width / 2 + reach * np.cos(angle), height / 2 + reach * np.sin(angle)])
            else:  # back and forth, or on and on
                along = reach * np.sin(angle) if label else (start * 20 + speed * number * reach) % width - width / 2
                place = np.array([width / 2 + along, height / 2 + 10 * np.cos(start)])
            for (x, y), colour in zip([place, *(others[0] + others[1] * number)], colours, strict=True):
                left, top = int(x) % width, int(y) % height
                picture[top : top + 14, left : left + 14] = colour
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


if __name__ == "__main__":
    main()
