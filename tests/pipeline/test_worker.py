from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from nlvid_cli.checkpoints.card import Card
from nlvid_cli.errors import WorkerError
from nlvid_cli.pipeline.worker import Decoded, DecodeWorker, WorkerLimits
from nlvid_cli.prediction import FailureReason
from nlvid_cli.video.clips import Stretch, decode_clips
from tests.pipeline.conftest import MakeWorker


def _yes(size_bytes: int) -> bool:
    return True


def _failure(worker: DecodeWorker, path: Path) -> FailureReason:
    result = worker.decode(Stretch(path), _yes)
    assert isinstance(result, FailureReason)
    return result


def _is_good(worker: DecodeWorker, clip: Path, card: Card) -> None:
    result = worker.decode(Stretch(clip), _yes)
    assert isinstance(result, Decoded)
    frames, facts = decode_clips(Stretch(clip), card.sampling, card.preprocess)
    np.testing.assert_array_equal(result.frames, frames)
    assert result.facts == facts


def _named(clip: Path, folder: Path, name: str) -> Path:
    return Path(shutil.copy(clip, folder / name))


def test_frames_and_facts_cross_unchanged(make_worker: MakeWorker, clip: Path, card: Card) -> None:
    worker = make_worker(WorkerLimits())
    _is_good(worker, clip, card)
    _is_good(worker, clip, card)


def test_a_file_that_is_no_video_is_a_typed_reason(
    make_worker: MakeWorker, clip: Path, card: Card, tmp_path: Path
) -> None:
    worker = make_worker(WorkerLimits())
    odd_name = tmp_path / os.fsdecode(b"caf\xe9 \n.mp4")
    odd_name.write_text("#EXTM3U\n")
    assert _failure(worker, odd_name).type == "ForbiddenFormat"
    assert _failure(worker, tmp_path / "none.mp4") == FailureReason("VideoNotFound", "no such file")
    _is_good(worker, clip, card)


def test_a_hang_ends_after_the_time_limit(make_worker: MakeWorker, clip: Path, card: Card, tmp_path: Path) -> None:
    worker = make_worker(WorkerLimits(timeout_seconds=3))
    _is_good(worker, clip, card)
    began = time.monotonic()
    reason = _failure(worker, _named(clip, tmp_path, "hang.mp4"))
    assert reason.type == "DecodeTimeout"
    assert "more than 3 s" in reason.message
    assert 2.5 < time.monotonic() - began < 10
    _is_good(worker, clip, card)


def test_a_crash_costs_one_video(make_worker: MakeWorker, clip: Path, card: Card, tmp_path: Path) -> None:
    worker = make_worker(WorkerLimits())
    reason = _failure(worker, _named(clip, tmp_path, "crash.mp4"))
    assert reason.type == "DecoderCrashed"
    assert "by signal 11 (SIGSEGV)" in reason.message
    _is_good(worker, clip, card)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells how much memory a process has")
def test_too_much_memory_costs_one_video(make_worker: MakeWorker, clip: Path, card: Card, tmp_path: Path) -> None:
    worker = make_worker(WorkerLimits(memory_bytes=400 << 20))
    for name in ("hungry.mp4", "greedy.mp4"):  # memory that is filled, and memory that cannot be had at all
        reason = _failure(worker, _named(clip, tmp_path, name))
        assert reason.type == "MemoryExceeded"
        assert "more than 0.391 GiB" in reason.message
        _is_good(worker, clip, card)


def test_a_process_that_was_killed_while_idle_is_replaced(make_worker: MakeWorker, clip: Path, card: Card) -> None:
    worker = make_worker(WorkerLimits())
    _is_good(worker, clip, card)
    assert worker._process is not None
    os.kill(worker._process.pid, signal.SIGKILL)
    worker._process.wait()
    _is_good(worker, clip, card)


def test_frames_for_which_there_is_no_room(make_worker: MakeWorker, clip: Path, card: Card) -> None:
    worker = make_worker(WorkerLimits())
    asked: list[int] = []

    def refuse(size_bytes: int) -> bool:
        asked.append(size_bytes)
        return False

    result = worker.decode(Stretch(clip), refuse)
    assert isinstance(result, FailureReason)
    assert result.type == "MemoryExceeded"
    assert asked == [3 * 8 * 64 * 64 * 3]
    _is_good(worker, clip, card)


def test_a_process_that_does_not_start_says_why(
    make_worker: MakeWorker, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nlvid_cli.pipeline.worker.MODULE", "nlvid_cli.no_such_module")
    with pytest.raises(WorkerError, match=r"does not start: .*No module named"):
        make_worker(WorkerLimits()).decode(Stretch(clip), _yes)


def test_a_new_process_after_many_videos(
    make_worker: MakeWorker, clip: Path, card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nlvid_cli.pipeline.worker.VIDEOS_PER_PROCESS", 2)
    worker = make_worker(WorkerLimits())
    processes = set()
    for _ in range(3):
        _is_good(worker, clip, card)
        assert worker._process is not None
        processes.add(worker._process.pid)
    assert len(processes) == 2
