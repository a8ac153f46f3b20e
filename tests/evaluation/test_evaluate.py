from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import nlvid_cli
from nlvid_cli.card.card import Card, Labels
from nlvid_cli.datasets.labelled import DataSet, LabelledVideo
from nlvid_cli.datasets.match import match_classes
from nlvid_cli.errors import UnreadableVideo, UsageError
from nlvid_cli.evaluation.evaluate import ScoredVideo, evaluate, score_videos, summarise
from nlvid_cli.recognize.prediction import Failure
from nlvid_cli.recognize.recognizer import Recognizer
from nlvid_cli.video.segment import Stretch
from tests.clips import make_clip
from tests.conftest import Run, make_card
from tests.recognize.colours import Colours

LABELS = ("dancing", "eating cake", "running", "swimming backstroke", "swimming")


@pytest.fixture(scope="module")
def recognizer(card: Card) -> Recognizer:
    return Recognizer(card, Colours())


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Six clips that differ in length and shape."""
    folder = tmp_path_factory.mktemp("clips")
    sizes = [(64, 48), (96, 48), (48, 64), (64, 64), (80, 48), (48, 96)]
    return [make_clip(folder / f"{n}.mp4", frames=18 + 4 * n, size=size) for n, size in enumerate(sizes)]


def _data(videos: list[Path], labels: list[tuple[int, ...]], classes: tuple[str, ...], kind: str = "single") -> DataSet:
    rows = tuple(LabelledVideo(path, labels[n], f"val.csv, line {n + 1}") for n, path in enumerate(videos))
    return DataSet(rows, classes, kind, "CSV")  # type: ignore[arg-type]


def _by_label(prediction: dict[str, object]) -> dict[str, float]:
    return {p["label"]: p["score"] for p in prediction["predictions"]}  # type: ignore[attr-defined]


def test_figures_equal_those_worked_out_from_classify(clips: list[Path], run: Run, model_file: Path) -> None:
    """The data set has other names and another order for some classes; every number comes from the JSON."""
    recognizer = nlvid_cli.load(model_file, precision="fp32", device="cpu", clips=1)
    classes = ("Swimming", "eating_cake", "running")
    truth = ["swimming", "eating cake", "running", "running", "swimming", "eating cake"]
    evaluation = evaluate(_data(clips, [(0,), (1,), (2,), (2,), (0,), (1,)], classes), recognizer)

    command = [
        "classify",
        "-m",
        model_file,
        "--clips",
        1,
        "--device",
        "cpu",
        "--precision",
        "fp32",
        "-f",
        "json",
        *clips,
    ]
    answers = [_by_label(answer) for answer in json.loads(run(*command).out)]
    for video, answer in zip(evaluation.videos, answers, strict=True):
        assert [float(score) for score in video.scores] == [answer[label] for label in LABELS]
    best = [max(answer, key=answer.__getitem__) for answer in answers]
    right = [guess == actual for guess, actual in zip(best, truth, strict=True)]
    assert evaluation.figures["top1"] == pytest.approx(sum(right) / 6)
    by_class = {name: np.mean([r for r, actual in zip(right, truth, strict=True) if actual == name]) for name in truth}
    assert evaluation.figures["mean_class_accuracy"] == pytest.approx(np.mean(list(by_class.values())))
    assert {row.label: row.figure for row in evaluation.classes} == pytest.approx(by_class)
    assert [row.videos for row in evaluation.classes] == [2, 2, 2]
    assert "top5" not in evaluation.figures  # of five classes it would always be 1
    assert evaluation.confusion is not None
    for actual, row in zip(LABELS, evaluation.confusion, strict=True):
        guesses = [guess for guess, shown in zip(best, truth, strict=True) if shown == actual]
        assert row.tolist() == [guesses.count(label) for label in LABELS]
    likelihood = -np.mean([np.log(answer[actual]) for answer, actual in zip(answers, truth, strict=True)])
    assert evaluation.calibration.likelihood == pytest.approx(likelihood, rel=1e-6)
    assert evaluation.notes[0] == (
        "matched classes that are spelled differently: 'Swimming' as 'swimming', 'eating_cake' as 'eating cake'"
    )
    assert evaluation.notes[1].startswith("3 of the model's 5 labels occur")


def test_the_temperature_multiplies_the_one_of_the_card(recognizer: Recognizer, clips: list[Path]) -> None:
    predicted = [video.predicted for video in evaluate(_data(clips, [(0,)] * 6, LABELS), recognizer).videos]
    truth = [(label,) for label in predicted[:4]] + [((label + 1) % 5,) for label in predicted[4:]]
    data = _data(clips, truth, LABELS)
    first = evaluate(data, recognizer).calibration
    assert first.determined
    assert first.likelihood_after <= first.likelihood
    assert first.present == 1.0
    warmer = Recognizer(replace(recognizer.card, temperature=1.5), recognizer.backend)
    second = evaluate(data, warmer).calibration
    assert second.present == 1.5
    assert second.temperature == pytest.approx(first.temperature, rel=1e-3)
    assert second.likelihood_after == pytest.approx(first.likelihood_after, rel=1e-6)
    written = Recognizer(replace(recognizer.card, temperature=first.temperature), recognizer.backend)
    assert evaluate(data, written).calibration.likelihood == pytest.approx(first.likelihood_after, rel=1e-5)


def test_several_labels(recognizer: Recognizer, clips: list[Path]) -> None:
    """Three classes; the backend's scores are taken as they are, and the best view counts."""
    labels = Labels("multi", 5, names=LABELS)
    several = Recognizer(replace(recognizer.card, labels=labels), recognizer.backend)
    truth = [(0, 2), (1,), (2,), (0, 1, 2), (), (1, 2)]
    evaluation = evaluate(_data(clips, truth, LABELS[:3], "multi"), several)
    assert set(evaluation.figures) == {"mAP"}
    assert evaluation.confusion is None
    assert [row.label for row in evaluation.classes] == list(LABELS[:3])
    assert [row.videos for row in evaluation.classes] == [2, 3, 4]
    assert evaluation.figures["mAP"] == pytest.approx(np.mean([row.figure for row in evaluation.classes]))
    # "running" by hand; scores may be equal, then the videos share a place
    seen = [(float(video.scores[2]), 2 in video.actual) for video in evaluation.videos]
    above = [[hit for other, hit in seen if other >= score] for score, shown in seen if shown]
    precisions = [sum(hits) / len(hits) for hits in above]
    assert evaluation.classes[2].figure == pytest.approx(np.mean(precisions))


def test_the_labels_of_charades_choose_its_rule_for_videos_without_labels() -> None:
    from nlvid_cli.datasets.formats.charades import class_names

    names = tuple(class_names())
    rows = [ScoredVideo("none", "", (), np.linspace(1, 0.5, 157, dtype=np.float32)),
            ScoredVideo("first", "", (0,), np.linspace(0.5, 0, 157, dtype=np.float32))]  # fmt: skip
    figures = {}
    for labels in (Labels("multi", 157, file="charades157.txt"), Labels("multi", 157, names=names[::-1]),
                   Labels("multi", 157, names=("something else", *names[1:]))):  # fmt: skip
        recognizer = Recognizer(make_card(labels=labels), Colours())
        figures[labels.names] = dict(summarise(rows, recognizer, "a table").figures)
    assert list(figures.values()) == [{"mAP": 1.0, "mAP_all_videos": 0.5}] * 2 + [{"mAP": 0.5}]


def test_a_set_with_one_label_each_suits_a_model_for_several(recognizer: Recognizer, clips: list[Path]) -> None:
    several = Recognizer(replace(recognizer.card, labels=Labels("multi", 5, names=LABELS)), recognizer.backend)
    assert set(evaluate(_data(clips[:2], [(0,), (1,)], LABELS), several).figures) == {"mAP"}


def test_bad_videos_become_failures_and_stop_nothing(recognizer: Recognizer, clips: list[Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video" * 100)
    seen: list[object] = []
    data = _data([broken, clips[0], tmp_path / "none.mp4", clips[1]], [(0,), (1,), (2,), (3,)], LABELS)
    evaluation = evaluate(data, recognizer, seen.append)
    assert [type(result) for result in seen] == [Failure, ScoredVideo, Failure, ScoredVideo]
    assert [failure.error.type for failure in evaluation.failures] == ["UnreadableVideo", "VideoNotFound"]
    assert [video.video for video in evaluation.videos] == [str(clips[0]), str(clips[1])]
    assert [row.label for row in evaluation.classes] == ["eating cake", "swimming backstroke"]
    with pytest.raises(UnreadableVideo, match=r"broken\.mp4"):
        evaluate(_data([broken], [(0,)], LABELS), recognizer)


def test_only_the_labelled_segment_is_scored(recognizer: Recognizer, clips: list[Path]) -> None:
    whole, part = (LabelledVideo(clips[5], (0,), "k.csv, line 2"),
                   LabelledVideo(clips[5], (0,), "k.csv, line 3", stretch=Stretch(0.4, 1.0)))  # fmt: skip
    beyond = LabelledVideo(clips[5], (0,), "k.csv, line 4", stretch=Stretch(40.0, 50.0))
    evaluation = evaluate(DataSet((whole, part, beyond), LABELS, "single", "Kinetics CSV"), recognizer)
    first, second = evaluation.videos
    assert not np.array_equal(first.scores, second.scores)
    assert "was it cut out already?" in evaluation.failures[0].error.message


def test_shares_of_several_processes_give_the_same_figures(recognizer: Recognizer, clips: list[Path]) -> None:
    data = _data(clips, [(0,), (1,), (2,), (3,), (4,), (0,)], LABELS)
    matched, _ = match_classes(data, LABELS, "m")
    shares = [list(score_videos(replace(matched, videos=matched.videos[rank::2]), recognizer)) for rank in (0, 1)]
    together = summarise([result for share in shares for result in share], recognizer, data.source)
    whole = evaluate(data, recognizer)
    assert together.figures == pytest.approx(dict(whole.figures))
    assert together.calibration.temperature == pytest.approx(whole.calibration.temperature)


def test_gap_of_a_mistake() -> None:
    def scored(name: str, actual: int, *scores: float) -> ScoredVideo:
        return ScoredVideo(name, "", (actual,), np.array(scores, np.float32))

    videos = [scored("right", 0, 0.9, 0.1), scored("unsure", 0, 0.4, 0.6), scored("sure", 1, 0.95, 0.05)]
    assert [video.gap for video in videos] == pytest.approx([-0.8, 0.2, 0.9])


def test_mistakes_and_confused_pairs(recognizer: Recognizer, clips: list[Path]) -> None:
    first = evaluate(_data(clips, [(0,)] * 6, LABELS), recognizer)
    predicted = [video.predicted for video in first.videos]
    wrong = [(index + 1) % 5 for index in predicted]
    evaluation = evaluate(_data(clips, [(index,) for index in wrong], LABELS), recognizer)
    mistakes = evaluation.worst_mistakes(4)
    assert len(mistakes) == 4
    assert mistakes[0].gap == max(video.gap for video in evaluation.videos)
    pairs = evaluation.confused_pairs(10)
    assert sum(count for _, _, count in pairs) == 6
    most = max(set(predicted), key=predicted.count)
    assert (LABELS[(most + 1) % 5], LABELS[most], predicted.count(most)) in pairs
    assert evaluation.figures["top1"] == 0.0
    row = next(row for row in evaluation.classes if row.label == LABELS[(most + 1) % 5])
    assert (row.confused_with, row.confused_videos) == (LABELS[most], predicted.count(most))


def test_videos_with_several_labels_and_a_model_for_one(recognizer: Recognizer, clips: list[Path]) -> None:
    data = _data(clips[:2], [(0,), (1, 2)], LABELS, "multi")
    with pytest.raises(UsageError, match=r"val\.csv, line 2: .*2 labels"):
        evaluate(data, recognizer)
