"""Windows of videos on their way from the pipeline to a timeline."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nlvid_cli.card.card import Card
from nlvid_cli.errors import DecodeTimeout, NumericalError, UsageError, VideoNotFound
from nlvid_cli.recognize.answer import Answer
from nlvid_cli.recognize.pipeline.pipeline import Limits
from nlvid_cli.recognize.pipeline.worker import WorkerLimits
from nlvid_cli.recognize.prediction import Failure
from nlvid_cli.recognize.recognizer import Recognizer
from nlvid_cli.recognize.timeline import Timeline
from nlvid_cli.recognize.timeline_run import RuleOptions
from nlvid_cli.video.segment import Segment, Stretch
from tests.clips import make_clip
from tests.recognize.colours import Colours


@pytest.fixture(scope="module")
def recognizer(card: Card) -> Recognizer:
    return Recognizer(card, Colours())


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", frames=150)


@pytest.fixture
def odd_decoders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nlvid_cli.recognize.pipeline.worker.MODULE", "tests.recognize.pipeline.odd_decoder")


def test_windows_come_and_then_the_timeline(recognizer: Recognizer, clip: Path) -> None:
    run = recognizer.timeline(clip, rule=RuleOptions(begin=0.0, keep=0.0))
    windows = list(run)
    timeline = run.timeline
    assert tuple(windows) == timeline.windows == timeline.prediction.clips
    assert timeline.prediction.views.clips == len(windows) == len(timeline.scores)
    assert timeline.start_seconds.tolist() == [window.start_seconds for window in windows]
    assert timeline.rule.every_seconds == pytest.approx(8 / 25)
    np.testing.assert_allclose(timeline.scores.mean(axis=0).max(), timeline.prediction.predictions[0].score, rtol=1e-5)
    assert recognizer.timeline(clip).timeline.windows == timeline.windows  # without reading them first


def test_each_window_is_what_classify_says_of_its_stretch(recognizer: Recognizer, clip: Path) -> None:
    one = Recognizer(replace(recognizer.card, sampling=replace(recognizer.card.sampling, clips=1)), Colours())
    for window in recognizer.timeline(clip).timeline.windows:
        whole = one.classify(Segment(clip, Stretch(window.start_seconds, window.end_seconds)))
        assert [label.index for label in whole.predictions] == [label.index for label in window.predictions]
        for expected, found in zip(whole.predictions, window.predictions, strict=True):
            assert found.score == pytest.approx(expected.score, abs=1e-5)


def test_with_and_without_a_process_it_is_the_same(recognizer: Recognizer, clip: Path) -> None:
    here, there = (recognizer.timeline(clip, limits=Limits(workers=workers)).timeline for workers in (0, 1))
    np.testing.assert_allclose(here.scores, there.scores, atol=1e-6)
    assert here.windows == there.windows


def test_many_in_order_and_progress(recognizer: Recognizer, clip: Path, tmp_path: Path) -> None:
    seen: list[tuple[str, float, float]] = []
    part = Segment(clip, Stretch(1.0, 2.0))
    paths = [clip, tmp_path / "none.mp4", part]
    whole, missing, short = recognizer.timeline_many(paths, progress=lambda *values: seen.append(values))
    assert isinstance(whole, Timeline)
    assert isinstance(short, Timeline)
    assert isinstance(missing, Failure)
    assert missing.error.type == "VideoNotFound"
    assert short.prediction.stretch == Stretch(1.0, 2.0)
    assert (short.start_seconds[0], short.end_seconds[-1]) == (1.0, 2.0)
    assert (str(clip), 6.0, 6.0) in seen


def test_a_run_that_is_stopped_gives_what_it_has(recognizer: Recognizer, clip: Path) -> None:
    seen: list[float] = []
    stopped = recognizer.timeline_many(
        [clip], progress=lambda _, done, all_: seen.append(done), stopping=lambda: len(seen) > 0
    )
    (timeline,) = stopped
    assert isinstance(timeline, Timeline)
    assert timeline.windows[-1].end_seconds == seen[0] < 6.0
    assert "stopped" in timeline.prediction.warnings[-1]


def test_errors_are_raised_where_the_windows_are_read(recognizer: Recognizer, clip: Path, tmp_path: Path) -> None:
    with pytest.raises(VideoNotFound):
        next(recognizer.timeline(tmp_path / "none.mp4"))
    with pytest.raises(UsageError, match="keep"):
        recognizer.timeline(clip, rule=RuleOptions(begin=0.1, keep=0.2))
    with pytest.raises(UsageError, match="top-k"):
        recognizer.timeline(clip, Answer(top_k=0))


def test_a_network_that_fails_ends_its_video_early(card: Card, clip: Path) -> None:
    class Broken(Colours):
        def outputs(self, *arguments: object) -> object:  # type: ignore[override]
            raise NumericalError("made by the test")

    recognizer = Recognizer(card, Broken())
    (failure,) = recognizer.timeline_many([clip])
    assert isinstance(failure, Failure)
    assert failure.error.type == "NumericalError"


@pytest.mark.slow
@pytest.mark.usefixtures("odd_decoders")
def test_odd_decoders_cost_one_video_each(recognizer: Recognizer, clip: Path, tmp_path: Path) -> None:
    odd = [tmp_path / name for name in ("hang.mp4", "crash.mp4")]
    for path in odd:
        path.write_bytes(clip.read_bytes())
    limits = Limits(WorkerLimits(timeout_seconds=8), workers=2)
    results = list(recognizer.timeline_many([clip, *odd, clip], limits=limits))
    kinds = [result.error.type if isinstance(result, Failure) else "" for result in results]
    assert kinds == ["", "DecodeTimeout", "DecoderCrashed", ""]
    with pytest.raises(DecodeTimeout):
        list(recognizer.timeline(odd[0], limits=replace(limits, worker=WorkerLimits(timeout_seconds=2))))
