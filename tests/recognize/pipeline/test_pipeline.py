from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import pytest

from nlvid_cli.backends import Outputs
from nlvid_cli.card.card import Card
from nlvid_cli.errors import DeviceError, NumericalError
from nlvid_cli.recognize.pipeline.batches import VideoOutputs
from nlvid_cli.recognize.pipeline.pipeline import Limits, Pipeline
from nlvid_cli.recognize.pipeline.settled import spread_out
from nlvid_cli.recognize.pipeline.shared import MemoryBudget
from nlvid_cli.recognize.pipeline.tracker import Outcome
from nlvid_cli.recognize.pipeline.worker import WorkerLimits
from nlvid_cli.recognize.prediction import Failure
from nlvid_cli.video.clips import decode_clips
from nlvid_cli.video.preprocess import preprocess
from nlvid_cli.video.segment import Segment
from tests.clips import make_clip


class Means:
    """A backend whose scores are the mean of each colour: wrong views, or views of another video, would show."""

    name, device, precision = "means", "cpu", "fp32"

    def __init__(self, views_per_batch: int = 1, seconds: float = 0.0) -> None:
        self.views_per_batch = views_per_batch
        self.seconds = seconds
        self.batches: list[int] = []

    def outputs(self, clips: np.ndarray) -> Outputs:
        time.sleep(self.seconds)
        self.batches.append(len(clips))
        means = clips.mean(axis=(2, 3, 4), dtype=np.float64).astype(np.float32)
        return Outputs(means, means)


def _seen(video: VideoOutputs) -> VideoOutputs:
    return video


def _pipeline(card: Card, limits: Limits, *backends: Means, **more: Any) -> Pipeline[VideoOutputs]:
    return Pipeline(backends or [Means()], card, limits, _seen, **more)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("clips")
    return [make_clip(folder / f"{frames}.mp4", frames=frames) for frames in range(5, 45, 5)]


def _expected(path: Path, card: Card) -> np.ndarray:
    """Means of each clip, (clips, 1 crop, 3); the clips of a short video are all the same."""
    frames, table = decode_clips(Segment(path), card.sampling, card.preprocess)
    means = preprocess(frames, card.preprocess).mean(axis=(2, 3, 4), dtype=np.float64)
    return means[list(table.places), None]


def _run(
    card: Card, backends: list[Means], limits: Limits, paths: list[Path], **more: Any
) -> list[Outcome[VideoOutputs]]:
    pipeline = _pipeline(card, limits, *backends, **more)
    return sorted(pipeline.run(map(Segment, paths)), key=lambda outcome: outcome.number)


@pytest.mark.parametrize(("views_at_once", "networks"), [(1, 1), (4, 1), (5, 2)])
def test_every_video_gets_its_own_outputs(card: Card, clips: list[Path], views_at_once: int, networks: int) -> None:
    means = [Means(views_at_once, seconds=0.05) for _ in range(networks)]
    outcomes = _run(card, list(means), Limits(workers=2), clips * 2)
    for outcome, path in zip(outcomes, clips * 2, strict=True):
        assert isinstance(outcome.result, VideoOutputs)
        assert outcome.result.segment.path == path
        np.testing.assert_allclose(outcome.result.outputs, _expected(path, card), rtol=1e-5)
    assert max(size for one in means for size in one.batches) <= views_at_once
    if views_at_once == 4:  # three views a video, so that full batches are of several
        assert 4 in means[0].batches


def test_odd_decoders_cost_one_video_each(card: Card, clips: list[Path], tmp_path: Path, odd_decoders: None) -> None:
    odd = []
    for name in ("hang.mp4", "crash.mp4", "hungry.mp4"):
        odd.append(tmp_path / name)
        odd[-1].write_bytes(clips[0].read_bytes())
    limits = Limits(WorkerLimits(timeout_seconds=8, memory_bytes=400 << 20), workers=2)
    outcomes = _run(card, [Means()], limits, [*clips[:3], *odd, *clips[3:]])
    kinds = [outcome.result.error.type if isinstance(outcome.result, Failure) else "" for outcome in outcomes]
    assert kinds == ["", "", "", "DecodeTimeout", "DecoderCrashed", "MemoryExceeded", "", "", "", "", ""]


def test_videos_wait_until_outcomes_are_taken(card: Card, clips: list[Path]) -> None:
    taken = 0

    def jobs() -> Iterator[Segment]:
        nonlocal taken
        for path in clips * 20:
            taken += 1
            yield Segment(path)

    pipeline = _pipeline(card, Limits(workers=2))
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
    assert all(isinstance(outcome.result, VideoOutputs) for outcome in outcomes)
    assert one_video <= most <= 2 * one_video
    (outcome,) = _run(card, [Means()], Limits(workers=1, memory_bytes=one_video - 1), clips[-1:])
    assert isinstance(outcome.result, Failure)
    assert outcome.result.error.type == "MemoryExceeded"


def test_stop_finishes_videos_in_flight_and_begins_no_more(card: Card, clips: list[Path]) -> None:
    pipeline = _pipeline(card, Limits(workers=2))
    outcomes = []
    for outcome in pipeline.run(map(Segment, clips * 50)):
        outcomes.append(outcome)
        pipeline.stop()
    numbers = sorted(outcome.number for outcome in outcomes)
    assert numbers == list(range(len(numbers)))
    assert len(numbers) <= 12


def test_a_device_error_ends_the_run(card: Card, clips: list[Path]) -> None:
    class Broken(Means):
        def outputs(self, clips: np.ndarray) -> Outputs:
            raise DeviceError("it smokes")

    before = threading.active_count()
    with pytest.raises(DeviceError, match="it smokes"):
        _run(card, [Broken()], Limits(workers=2), clips)
    assert threading.active_count() == before


def test_an_error_of_the_callers_iterator_ends_the_run(card: Card) -> None:
    def jobs() -> Iterator[Segment]:
        raise ZeroDivisionError("made by the test")
        yield

    pipeline = _pipeline(card, Limits(workers=2))
    with pytest.raises(ZeroDivisionError, match="made by the test"):
        list(pipeline.run(jobs()))


def test_outcomes_in_order(card: Card, clips: list[Path]) -> None:
    pipeline = _pipeline(card, Limits(workers=2))
    assert [one.number for one in pipeline.run_in_order(map(Segment, clips * 2))] == list(range(16))
    assert list(_pipeline(card, Limits(workers=2)).run_in_order([])) == []


@pytest.mark.timeout(60)
def test_a_slow_video_is_waited_for(
    card: Card, clips: list[Path], tmp_path: Path, odd_decoders: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nlvid_cli.recognize.pipeline.pipeline.MAX_AHEAD", 3)
    (tmp_path / "hang.mp4").write_bytes(clips[0].read_bytes())
    pipeline = _pipeline(card, Limits(WorkerLimits(timeout_seconds=5), workers=2))
    outcomes = list(pipeline.run_in_order(map(Segment, [tmp_path / "hang.mp4", *clips])))
    assert [outcome.number for outcome in outcomes] == list(range(len(clips) + 1))
    assert isinstance(outcomes[0].result, Failure)


@pytest.mark.timeout(60)
def test_outcomes_come_while_the_callers_iterator_blocks(card: Card, clips: list[Path]) -> None:
    more: SimpleQueue[Path | None] = SimpleQueue()
    more.put(clips[0])
    numbers = []
    pipeline = _pipeline(card, Limits(workers=2))
    for outcome in pipeline.run(map(Segment, iter(more.get, None))):
        numbers.append(outcome.number)
        more.put(clips[1] if len(numbers) < 4 else None)
    assert numbers == [0, 1, 2, 3]


@pytest.mark.timeout(60)
def test_stop_while_the_callers_iterator_blocks(card: Card, clips: list[Path]) -> None:
    more: SimpleQueue[Path | None] = SimpleQueue()
    more.put(clips[0])
    pipeline = _pipeline(card, Limits(workers=2))
    numbers = []
    for outcome in pipeline.run(map(Segment, iter(more.get, None))):
        numbers.append(outcome.number)
        pipeline.stop()
        stopped = time.monotonic()
    assert numbers == [0]
    assert time.monotonic() - stopped < 1
    more.put(None)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_a_run_whose_consumer_fails_ends_within_a_second(card: Card, clips: list[Path], workers: int) -> None:
    """The caller's iterator blocks, and the network is in a batch that takes far longer; no process is left."""
    more: SimpleQueue[Path | None] = SimpleQueue()
    for path in clips[:4]:
        more.put(path)
    means = Means(seconds=0.05)
    pipeline = _pipeline(card, Limits(workers=workers), means)
    left = 0.0

    def consume() -> None:
        nonlocal left
        for _ in pipeline.run(map(Segment, iter(more.get, None))):
            means.seconds = 5
            time.sleep(0.5)  # the next batch has begun
            left = time.monotonic()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        consume()
    assert time.monotonic() - left < 1.2
    assert all(worker._process is None for worker in pipeline._workers)
    more.put(None)


EXITING = """
import sys
from pathlib import Path
import nlvid_cli.recognize.pipeline.worker as worker
from nlvid_cli.recognize.pipeline.pipeline import Limits, Pipeline
from nlvid_cli.video.segment import Segment
from tests.conftest import make_card
from tests.recognize.pipeline.test_pipeline import Means
worker.MODULE = "tests.recognize.pipeline.odd_decoder"
segments = [Segment(Path(name)) for name in sys.argv[1:]]
outcomes = Pipeline([Means()], make_card(), Limits(workers=2), lambda video: video).run(iter(segments))
next(outcomes)
children = Path("/proc/self/task").glob("*/children")
print(" ".join(path.read_text() for path in children), flush=True)
"""


def _children_of(code: str, *arguments: object) -> tuple[subprocess.Popen[str], list[int]]:
    """Start a script, and return it and the processes that it says it has started."""
    script = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    assert script.stdout is not None
    return script, [int(number) for number in script.stdout.readline().split()]


def _runs(process: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False


def _are_gone(processes: list[int], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while any(map(_runs, processes)):
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.timeout(60)
def test_a_program_that_forgets_its_run_ends_well(clips: list[Path], tmp_path: Path) -> None:
    hang = Path(shutil.copy(clips[0], tmp_path / "hang.mp4"))
    script, processes = _children_of(EXITING, clips[0], hang, clips[1], hang, clips[2])
    script.communicate()
    assert processes
    assert script.returncode == 0
    assert _are_gone(processes, 1.0)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with the one that started it")
@pytest.mark.timeout(60)
def test_a_decoder_that_hangs_ends_with_a_program_that_is_killed(clips: list[Path], tmp_path: Path) -> None:
    hang = Path(shutil.copy(clips[0], tmp_path / "hang.mp4"))
    script, processes = _children_of(EXITING + "import time; time.sleep(1000)", clips[0], hang, hang)
    time.sleep(0.5)
    script.kill()
    script.communicate()
    assert processes
    assert _are_gone(processes, 1.0)


def test_no_thread_for_a_stage_ends_the_run(card: Card, clips: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    before = threading.active_count()
    start, started = threading.Thread.start, []

    def scarce(thread: threading.Thread) -> None:
        if len(started) == 3:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", scarce)
    with pytest.raises(RuntimeError, match="new thread"):
        list(_pipeline(card, Limits(workers=2)).run(map(Segment, clips)))
    assert threading.active_count() == before


@pytest.mark.timeout(60)
def test_a_closed_run_ends_within_a_second(card: Card, clips: list[Path], tmp_path: Path, odd_decoders: None) -> None:
    """One decoder hangs, and the caller's iterator blocks; no process is left."""
    (tmp_path / "hang.mp4").write_bytes(clips[0].read_bytes())
    more: SimpleQueue[Path | None] = SimpleQueue()
    for path in (tmp_path / "hang.mp4", clips[0]):
        more.put(path)
    pipeline = _pipeline(card, Limits(workers=3))
    outcomes = pipeline.run(map(Segment, iter(more.get, None)))
    assert next(outcomes).number == 1
    processes = [worker._process for worker in pipeline._workers if worker._process is not None]
    assert len(processes) == 2
    left = time.monotonic()
    outcomes.close()  # type: ignore[attr-defined]
    assert time.monotonic() - left < 1
    assert all(process.poll() is not None for process in processes)
    more.put(None)


def test_no_more_clips_when_the_answer_is_settled(card: Card, clips: list[Path]) -> None:
    card = replace(card, sampling=replace(card.sampling, clips=7))
    seen: list[int] = []

    def settled(outputs: np.ndarray) -> bool:
        seen.append(len(outputs))
        return len(outputs) == 4

    (outcome,) = _run(card, [Means()], Limits(workers=1), clips[-1:], settled=settled)
    assert seen == [3, 4]
    assert isinstance(outcome.result, VideoOutputs)
    looked_at = sorted(spread_out(7)[:4])
    _, table = decode_clips(Segment(clips[-1]), card.sampling, card.preprocess)
    assert outcome.result.start_seconds == tuple(table.start_seconds[clip] for clip in looked_at)
    np.testing.assert_allclose(outcome.result.outputs, _expected(clips[-1], card)[looked_at], rtol=1e-5)


def test_nan_in_the_first_clips_costs_one_video(card: Card, clips: list[Path]) -> None:
    card = replace(card, sampling=replace(card.sampling, clips=7))

    def settled(outputs: np.ndarray) -> bool:
        raise NumericalError("made by the test")

    (outcome,) = _run(card, [Means()], Limits(workers=0), clips[-1:], settled=settled)
    assert isinstance(outcome.result, Failure)
    assert outcome.result.error.type == "NumericalError"


def test_without_workers_videos_take_turns(card: Card, clips: list[Path], tmp_path: Path) -> None:
    means = Means(views_per_batch=2)
    outcomes = _run(card, [means], Limits(workers=0), [clips[0], tmp_path / "none.mp4", clips[-1]])
    assert [isinstance(outcome.result, Failure) for outcome in outcomes] == [False, True, False]
    np.testing.assert_allclose(outcomes[2].result.outputs, _expected(clips[-1], card), rtol=1e-5)  # type: ignore[union-attr]
    assert means.batches == [1, 2, 1]
    pipeline = _pipeline(card, Limits(workers=0))
    pipeline.stop()
    assert list(pipeline.run([Segment(clips[0])])) == []


def test_each_clip_is_far_from_those_before() -> None:
    assert spread_out(10) == [5, 0, 9, 2, 7, 1, 3, 4, 6, 8]
    assert spread_out(1) == [0]
