"""Measure the bundled model and write its file.

    make bundled DATA=weizmann        # 40 minutes on two cores

That target trains with ``nlvid train --leave-one-out``, one run per person, and then once on everybody. This script

1. evaluates each model on the person that it has not seen, and counts all answers together,
2. finds the temperature that calibrates those answers,
3. writes the model that has seen everybody into the weights folder, with both figures in its card.

The rest of the card is the manifest's, and the trained network must agree with it. Copy the figures that the script
prints into the manifest and into weights/README.md.

    python benchmarks/bundled.py RUNS [--model tiny] [--output FOLDER]
    python benchmarks/bundled.py --tiny

RUNS holds ``people/`` with one run per person, and ``all/``. ``--tiny`` makes such a folder itself, with the bundled
model as every run's result and two made clips, and writes nothing that stays.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
from rich.console import Console
from rich.table import Table

import nlvid_cli
from nlvid_cli.card.card import Accuracy, Card
from nlvid_cli.card.manifest import find_card, weights_folder
from nlvid_cli.datasets.labelled import DataSet, LabelledVideo
from nlvid_cli.evaluation.evaluate import Evaluation, ScoredVideo, evaluate
from nlvid_cli.evaluation.metrics import one_hot, top_k_accuracy
from nlvid_cli.evaluation.temperature import calibrate
from nlvid_cli.models.model_file import in_fp16, open_checkpoint, write_checkpoint
from nlvid_cli.system.hashes import sha256_of


def evaluate_unseen(run: Path) -> Evaluation:
    """Evaluate a run's model on its validation videos. A video's class is the name of its folder."""
    facts = json.loads((run / "recipe.json").read_text(encoding="utf-8"))
    if set(facts["train_videos"]) & set(facts["validation_videos"]):
        raise SystemExit(f"{run}: a video was both trained and validated on")
    if facts["recipe"]["validate_every"] < facts["recipe"]["epochs"]:
        raise SystemExit(f"{run}: the unseen videos chose the epoch; train with validate_every = epochs")
    classes = tuple(facts["classes"])
    videos = tuple(
        LabelledVideo(Path(path), (classes.index(Path(path).parent.name),), path) for path in facts["validation_videos"]
    )
    return evaluate(DataSet(videos, classes, "single", "folders"), nlvid_cli.load(run / "model.safetensors"))


def calibrated(videos: Sequence[ScoredVideo], classes: int) -> tuple[float, float]:
    """Return the share of right answers and the temperature of all answers together."""
    scores = np.stack([video.scores for video in videos])
    targets = np.array([video.actual[0] for video in videos])
    found = calibrate(scores, one_hot(targets, classes), "single")
    return top_k_accuracy(scores, targets, 1), found.temperature if found.determined else 1.0


def bundled_card(entry: Card, trained: Card, right: float, temperature: float, people: int) -> Card:
    """Add the measured figures to the manifest's card; the rest of it must agree with the trained model."""
    for part in ("architecture", "sampling", "preprocess", "labels"):
        if getattr(entry, part) != getattr(trained, part):
            raise SystemExit(f"{entry.name}: the manifest's {part} is not the trained one: {getattr(trained, part)}")
    accuracy = Accuracy(
        data_set="Weizmann",
        metric="top-1",
        value=round(100 * right, 2),
        protocol=f"leave one person out, {people} people; {entry.sampling.clips} clips x 1 crop",
        measured_by="nlvid evaluate, one model for each person",
    )
    return replace(entry, accuracy=(accuracy,), temperature=round(temperature, 4))


def make_runs(folder: Path, card: Card) -> None:
    """Make a folder as training leaves it: two people, one made clip each, and the bundled model as the result."""
    bundled = weights_folder() / f"{card.name}.safetensors"
    classes = list(card.labels.names or ())
    for run in ("all", "people/first", "people/second"):
        path = folder / run
        path.mkdir(parents=True)
        shutil.copy(bundled, path / "model.safetensors")
        if run != "all":
            facts = {
                "classes": classes,
                "recipe": {"epochs": 20, "validate_every": 20},
                "train_videos": [],
                "validation_videos": [str(make_clip(folder / path.name / classes[0] / "clip.mp4"))],
            }
            (path / "recipe.json").write_text(json.dumps(facts), encoding="utf-8")


def make_clip(path: Path) -> Path:
    """Encode 20 frames of a square that moves."""
    path.parent.mkdir(parents=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for number in range(20):
            picture = np.zeros((120, 160, 3), np.uint8)
            picture[40:80, 4 * number : 4 * number + 40] = 255
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="?")
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--output", type=Path, default=weights_folder())
    parser.add_argument("--tiny", action="store_true", help="Use made clips and the bundled model.")
    options = parser.parse_args()
    if options.tiny:
        with tempfile.TemporaryDirectory() as folder:
            make_runs(Path(folder), find_card(options.model))
            measure(Path(folder), options.model, Path(folder))
    elif options.runs is None:
        parser.error("name the folder of the runs")
    else:
        measure(options.runs, options.model, options.output)


def measure(folder: Path, model: str, output: Path) -> None:
    """Evaluate the runs in a folder, print the figures, and write the model file."""
    entry = find_card(model)
    runs = sorted(path.parent for path in (folder / "people").glob("*/model.safetensors"))
    table = Table("person", "right", "of", "not right")
    videos: list[ScoredVideo] = []
    for run in runs:
        evaluation = evaluate_unseen(run)
        wrong = [Path(video.video).stem for video in evaluation.videos if video.predicted not in video.actual]
        table.add_row(run.name, str(len(evaluation.videos) - len(wrong)), str(len(evaluation.videos)), ", ".join(wrong))
        videos += evaluation.videos
    right, temperature = calibrated(videos, entry.labels.count)
    trained, tensors = open_checkpoint(folder / "all" / "model.safetensors")
    card = bundled_card(entry, trained, right, temperature, len(runs))
    path = output / f"{entry.name}.safetensors"
    write_checkpoint(path, card, in_fp16(tensors))
    console = Console()
    console.print(table)
    console.print(f"{round(right * len(videos))} of {len(videos)} right: {100 * right:.2f} %")
    console.print(f'temperature = {card.temperature}\nsha256 = "{sha256_of(path)}"\nsize_bytes = {path.stat().st_size}')


if __name__ == "__main__":
    main()
