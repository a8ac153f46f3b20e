from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue

import numpy as np
import pytest

from nlvid_cli.card.card import Card
from nlvid_cli.errors import DeviceError
from nlvid_cli.recognize.pipeline.in_order import in_order
from nlvid_cli.recognize.pipeline.pipeline import Limits, Network, Outcome, Pipeline, Seen
from nlvid_cli.recognize.pipeline.settled import spread_out
from nlvid_cli.recognize.pipeline.shared import MemoryBudget
from nlvid_cli.recognize.pipeline.worker import WorkerLimits
from nlvid_cli.recognize.prediction import Failure
from nlvid_cli.video.clips import Segment, decode_clips
from nlvid_cli.video.preprocess import preprocess
from tests.clips import make_clip


class Means:
    """A network whose output is the mean of each colour: wrong views, or views of another video, would show."""

    def __init__(self, views_at_once: int = 1, seconds: float = 0.0) -> None:
        self.views_at_once = views_at_once
        self.seconds = seconds
        self.batches: list[int] = []

    def look(self, views: np.ndarray) -> np.ndarray:
        time.sleep(self.seconds)
        self.batches.append(len(views))
        return views.mean(axis=(2, 3, 4), dtype=np.float64).astype(np.float32)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("clips")
    return [make_clip(folder / f"{frames}.mp4", frames=frames) for frames in range(5, 45, 5)]


def _expected(path: Path, card: Card) -> np.ndarray:
    frames, _ = decode_clips(Segment(path), card.sampling, card.preprocess)
    return preprocess(frames, card.preprocess).mean(axis=(2, 3, 4), dtype=np.float64)[:, None]


def _run(card: Card, networks: list[Network], limits: Limits, paths: list[Path], **more: object) -> list[Outcome]:
    pipeline = Pipeline(networks, card.sampling, card.preprocess, limits, **more)  # type: ignore[arg-type]
    return sorted(pipeline.run(map(Segment, paths)), key=lambda outcome: outcome.number)


@pytest.mark.parametrize(("views_at_once", "networks"), [(1, 1), (4, 1), (5, 2)])
def test_every_video_gets_its_own_outputs(card: Card, clips: list[Path], views_at_once: int, networks: int) -> None:
    means = [Means(views_at_once, seconds=0.05) for _ in range(networks)]
    outcomes = _run(card, list(means), Limits(workers=2), clips * 2)
    assert [Path(outcome.stretch.path) for outcome in outcomes] == clips * 2
    for outcome in outcomes:
        assert isinstance(outcome.result, Seen)
        np.testing.assert_allclose(outcome.result.outputs, _expected(Path(outcome.stretch.path), card), rtol=1e-5)
    assert max(size for one in means for size in one.batches) <= views_at_once
    if views_at_once == 4:  # three views a video, so that full batches are of several
        assert 4 in means[0].batches


def test_odd_decoders_cost_one_video_each(card: Card, clips: list[Path], tmp_path: Path, odd_decoders: None) -> None:
    odd = []
    for name in ("hang.mp4", "crash.mp4", "hungry.mp4"):
        odd.append(tmp_path / name)
        odd[-1].write_bytes(clips[0].read_bytes())
    limits = Limits(WorkerLimits(timeout_seconds=5, memory_bytes=400 << 20), workers=2)
    outcomes = _run(card, [Means()], limits, [*clips[:3], *odd, *clips[3:]])
    kinds = [outcome.result.error.type if isinstance(outcome.result, Failure) else "" for outcome in outcomes]
    assert kinds == ["", "", "", "DecodeTimeout", "DecoderCrashed", "MemoryExceeded", "", "", "", "", ""]


def test_videos_wait_for_whoever_takes_the_outcomes(card: Card, clips: list[Path]) -> None:
    taken = 0

    def jobs() -> Iterator[Segment]:
        nonlocal taken
        for path in clips * 20:
            taken += 1
            yield Segment(path)

    pipeline = Pipeline([Means()], card.sampling, card.preprocess, Limits(workers=2))
    outcomes = pipeline.run(jobs())
    next(outcomes)
    time.sleep(1)
    assert taken <= 10
    outcomes.close()  # type: ignore[attr-defined]


def test_frames_stay_within_the_budget(card: Card, clips: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    one_video = 3 * 8 * 64 * 64 * 3
    most = 0
    take = MemoryBudget.take

    def watched(self: MemoryBudget, size_bytes: int) -> bool:
        nonlocal most
        granted = take(self, size_bytes)
        most = max(most, self._used)
        return granted

    monkeypatch.setattr(MemoryBudget, "take", watched)
    outcomes = _run(card, [Means(seconds=0.01)], Limits(workers=2, memory_bytes=2 * one_video), clips * 3)
    assert all(isinstance(outcome.result, Seen) for outcome in outcomes)
    assert one_video <= most <= 2 * one_video
    (outcome,) = _run(card, [Means()], Limits(workers=1, memory_bytes=one_video - 1), clips[-1:])
    assert isinstance(outcome.result, Failure)
    assert outcome.result.error.type == "MemoryExceeded"


def test_stop_ends_what_is_begun_and_no_more(card: Card, clips: list[Path]) -> None:
    pipeline = Pipeline([Means()], card.sampling, card.preprocess, Limits(workers=2))
    outcomes = []
    for outcome in pipeline.run(map(Segment, clips * 50)):
        outcomes.append(outcome)
        pipeline.stop()
    numbers = sorted(outcome.number for outcome in outcomes)
    assert numbers == list(range(len(numbers)))
    assert len(numbers) <= 12


def test_what_is_wrong_with_the_device_ends_the_run(card: Card, clips: list[Path]) -> None:
    class Broken(Means):
        def look(self, views: np.ndarray) -> np.ndarray:
            raise DeviceError("it smokes")

    before = threading.active_count()
    with pytest.raises(DeviceError, match="it smokes"):
        _run(card, [Broken()], Limits(workers=2), clips)
    assert threading.active_count() == before


def test_a_job_that_cannot_be_made_ends_the_run(card: Card) -> None:
    def jobs() -> Iterator[Segment]:
        raise ZeroDivisionError("made by the test")
        yield

    pipeline = Pipeline([Means()], card.sampling, card.preprocess, Limits(workers=2))
    with pytest.raises(ZeroDivisionError, match="made by the test"):
        list(pipeline.run(jobs()))


def test_outcomes_in_order(card: Card, clips: list[Path]) -> None:
    pipeline = Pipeline([Means()], card.sampling, card.preprocess, Limits(workers=2))
    assert [one.number for one in in_order(pipeline, map(Segment, clips * 2))] == list(range(16))
    assert list(in_order(Pipeline([Means()], card.sampling, card.preprocess, Limits(workers=2)), [])) == []


@pytest.mark.timeout(60)
def test_a_slow_video_is_waited_for(
    card: Card, clips: list[Path], tmp_path: Path, odd_decoders: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nlvid_cli.recognize.pipeline.in_order.MAX_AHEAD", 3)
    (tmp_path / "hang.mp4").write_bytes(clips[0].read_bytes())
    pipeline = Pipeline([Means()], card.sampling, card.preprocess, Limits(WorkerLimits(timeout_seconds=5), workers=2))
    outcomes = list(in_order(pipeline, map(Segment, [tmp_path / "hang.mp4", *clips])))
    assert [outcome.number for outcome in outcomes] == list(range(len(clips) + 1))
    assert isinstance(outcomes[0].result, Failure)


@pytest.mark.timeout(60)
def test_outcomes_come_while_the_next_video_is_not_known(card: Card, clips: list[Path]) -> None:
    more: SimpleQueue[Path | None] = SimpleQueue()
    more.put(clips[0])
    numbers = []
    pipeline = Pipeline([Means()], card.sampling, card.preprocess, Limits(workers=2))
    for outcome in pipeline.run(map(Segment, iter(more.get, None))):
        numbers.append(outcome.number)
        more.put(clips[1] if len(numbers) < 4 else None)
    assert numbers == [0, 1, 2, 3]


@pytest.mark.timeout(60)
def test_stop_while_the_next_video_is_not_known(card: Card, clips: list[Path]) -> None:
    more: SimpleQueue[Path | None] = SimpleQueue()
    more.put(clips[0])
    pipeline = Pipeline([Means()], card.sampling, card.preprocess, Limits(workers=2))
    numbers = []
    for outcome in pipeline.run(map(Segment, iter(more.get, None))):
        numbers.append(outcome.number)
        pipeline.stop()
    assert numbers == [0]
    more.put(None)


def test_no_more_clips_when_it_is_settled(card: Card, clips: list[Path]) -> None:
    from dataclasses import replace

    card = replace(card, sampling=replace(card.sampling, clips=7))
    seen: list[int] = []

    def settled(outputs: np.ndarray) -> bool:
        seen.append(len(outputs))
        return len(outputs) == 4

    (outcome,) = _run(card, [Means()], Limits(workers=1), clips[-1:], settled=settled)
    assert seen == [3, 4]
    assert isinstance(outcome.result, Seen)
    assert outcome.result.looked_at == tuple(sorted(spread_out(7)[:4]))
    expected = _expected(clips[-1], card)[list(outcome.result.looked_at)]
    np.testing.assert_allclose(outcome.result.outputs[list(outcome.result.looked_at)], expected, rtol=1e-5)


def test_clips_lie_far_from_those_before() -> None:
    assert spread_out(10) == [5, 0, 9, 2, 7, 1, 3, 4, 6, 8]
    assert spread_out(1) == [0]
