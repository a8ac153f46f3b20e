"""How good is the bundled model? And the file itself.

    make bundled DATA=weizmann        # 40 minutes on two cores

which trains by ``nlvid train --leave-one-out``, a run for each person, and then once on all of them; this script

1. evaluates each of the first models on the person that it has never seen, and counts all answers together,
2. finds the temperature that calibrates those answers,
3. writes the model that has seen everybody, with both in its card, into the weights folder.

The rest of the card is the manifest's, and what was trained has to agree with it. What it prints belongs into the
manifest and into weights/README.md.

    python benchmarks/bundled.py RUNS [--model tiny] [--output FOLDER]

RUNS holds ``people/`` with a run for each person, and ``all/``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

import nlvid_cli
from nlvid_cli.card.card import Accuracy, Card
from nlvid_cli.card.manifest import find_card, weights_folder
from nlvid_cli.datasets.labelled import DataSet, LabelledVideo
from nlvid_cli.evaluation.evaluate import Evaluation, ScoredVideo, calibrate, evaluate
from nlvid_cli.evaluation.metrics import one_hot, top_k_accuracy
from nlvid_cli.models.model_file import in_fp16, open_checkpoint, write_checkpoint
from nlvid_cli.models.store.checksums import sha256_of


def evaluate_unseen(run: Path) -> Evaluation:
    """Evaluate a run's model on the videos that it was not trained on; their folders are their classes."""
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
    """Share of right answers, and the temperature of all answers together."""
    scores = np.stack([video.scores for video in videos])
    targets = np.array([video.actual[0] for video in videos])
    found = calibrate(scores, one_hot(targets, classes), "single")
    return top_k_accuracy(scores, targets, 1), found.temperature if found.determined else 1.0


def bundled_card(entry: Card, trained: Card, right: float, temperature: float, people: int) -> Card:
    """The manifest's card with what was measured; the rest must be as it was trained."""
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--output", type=Path, default=weights_folder())
    options = parser.parse_args()
    entry = find_card(options.model)
    runs = sorted(path.parent for path in (options.runs / "people").glob("*/model.safetensors"))
    table = Table("person", "right", "of", "not right")
    videos: list[ScoredVideo] = []
    for run in runs:
        evaluation = evaluate_unseen(run)
        wrong = [Path(video.video).stem for video in evaluation.videos if video.predicted not in video.actual]
        table.add_row(run.name, str(len(evaluation.videos) - len(wrong)), str(len(evaluation.videos)), ", ".join(wrong))
        videos += evaluation.videos
    right, temperature = calibrated(videos, entry.labels.count)
    trained, tensors = open_checkpoint(options.runs / "all" / "model.safetensors")
    card = bundled_card(entry, trained, right, temperature, len(runs))
    path = options.output / f"{entry.name}.safetensors"
    write_checkpoint(path, card, in_fp16(tensors))
    console = Console()
    console.print(table)
    console.print(f"{round(right * len(videos))} of {len(videos)} right: {100 * right:.2f} %")
    console.print(f'temperature = {card.temperature}\nsha256 = "{sha256_of(path)}"\nsize_bytes = {path.stat().st_size}')


if __name__ == "__main__":
    main()
