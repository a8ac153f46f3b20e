"""Results to render."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from nlvid_cli.card.card import Labels
from nlvid_cli.errors import NoVideoStream
from nlvid_cli.evaluation.evaluate import Evaluation, ScoredVideo, summarise
from nlvid_cli.recognize.prediction import ClipPrediction, Failure, FailureReason, LabelScore, Prediction, Views
from nlvid_cli.recognize.recognizer import Recognizer
from nlvid_cli.video.info import VideoFacts
from tests.conftest import make_card

WRESTLING = LabelScore("arm wrestling", 6, 0.998)
MASSAGE = LabelScore("massaging [back]", 193, 0.001)

PREDICTION = Prediction(
    video="clips/[a] b.mp4",
    model="i3d-inception-64x1.deepmind-k400",
    backend="torch",
    device="cpu",
    precision="bf16",
    facts=VideoFacts(10.01, 29.97, False, 340, 256),
    views=Views(2, 1, 64, 1, 25.0),
    label_kind="single",
    predictions=(WRESTLING, MASSAGE),
    unsure=False,
    clips=(ClipPrediction(0.0, 2.5, (WRESTLING,)), ClipPrediction(7.5, 3671.25, (MASSAGE,))),
    warnings=("3 frames are damaged",),
)
FAILURE = Failure.of("music.mp3", NoVideoStream("no video stream (the file has only audio)"))


def made_evaluation() -> Evaluation:
    """Five videos of three classes; 60 % are right, and one more video failed."""
    labels = ("run", "walk <b>", "sit")
    scores = {
        "1.mp4": (0, (0.8, 0.1, 0.1)),
        "2.mp4": (0, (0.5, 0.3, 0.2)),
        "3 & <x>.mp4": (0, (0.3, 0.6, 0.1)),
        "4.mp4": (1, (0.1, 0.8, 0.1)),
        "broken.mp4": (2, (0.05, 0.9, 0.05)),
    }
    videos = tuple(
        ScoredVideo(name, "val.csv", (actual,), np.array(values, np.float32))
        for name, (actual, values) in scores.items()
    )
    backend = SimpleNamespace(name="torch", device="cpu", precision="fp32")
    recognizer = Recognizer(make_card(labels=Labels("single", 3, names=labels)), backend)  # type: ignore[arg-type]
    failure = Failure("gone.mp4", FailureReason("X", "y"))
    return summarise([*videos, failure], recognizer, "folder per class", ("a <note>",))
