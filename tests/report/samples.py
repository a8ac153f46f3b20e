"""Results to render."""

from __future__ import annotations

from nlvid_cli.errors import NoVideoStream
from nlvid_cli.prediction import ClipPrediction, Failure, LabelScore, Prediction, Views

WRESTLING = LabelScore("arm wrestling", 6, 0.998)
MASSAGE = LabelScore("massaging [back]", 193, 0.001)

PREDICTION = Prediction(
    video="clips/[a] b.mp4",
    model="i3d-inception-64x1.deepmind-k400",
    backend="torch",
    device="cpu",
    precision="bf16",
    duration_seconds=10.01,
    frame_rate=29.97,
    variable_frame_rate=False,
    width=340,
    height=256,
    rotation_degrees=0,
    views=Views(2, 1, 64, 1, 25.0),
    label_kind="single",
    predictions=(WRESTLING, MASSAGE),
    unsure=False,
    clips=(ClipPrediction(0.0, 2.5, (WRESTLING,)), ClipPrediction(7.5, 3671.25, (MASSAGE,))),
    warnings=("3 frames are damaged",),
)
FAILURE = Failure.of("music.mp3", NoVideoStream("no video stream (the file holds only audio)"))
