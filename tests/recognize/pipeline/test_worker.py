from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nlvid_cli.card.card import Card
from nlvid_cli.errors import WorkerError
from nlvid_cli.recognize.pipeline import worker as pipeline_worker
from nlvid_cli.recognize.pipeline.shared import MemoryBudget
from nlvid_cli.recognize.pipeline.worker import Decoded, DecodeWorker, WorkerLimits
from nlvid_cli.recognize.prediction import FailureReason
from nlvid_cli.video.clips import decode_clips
from nlvid_cli.video.segment import Segment
from tests.clips import make_clip
from tests.recognize.pipeline.conftest import MakeWorker


def _failure(worker: DecodeWorker, path: Path) -> FailureReason:
    result = worker.decode(Segment(path))
    assert isinstance(result, FailureReason)
    return result


def _is_good(worker: DecodeWorker, clip: Path, card: Card) -> None:
    result = worker.decode(Segment(clip))
    assert isinstance(result, Decoded)
    frames, table = decode_clips(Segment(clip), card.sampling, card.preprocess)
    np.testing.assert_array_equal(result.frames, frames)
    assert result.clips == table


def _named(clip: Path, folder: Path, name: str) -> Path:
    return Path(shutil.copy(clip, folder / name))


def test_frames_and_clip_table_cross_unchanged(make_worker: MakeWorker, clip: Path, card: Card) -> None:
    worker = make_worker(WorkerLimits())
    _is_good(worker, clip, card)
    _is_good(worker, clip, card)


def test_a_file_that_is_not_a_video_has_a_typed_reason(
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
    said = {
        "hungry.mp4": "more than 0.391 GiB of memory and was stopped",  # memory that is filled
        "greedy.mp4": "Unable to allocate 8.00 TiB",  # more than can be allocated
    }
    for name, words in said.items():
        reason = _failure(worker, _named(clip, tmp_path, name))
        assert reason.type == "MemoryExceeded"
        assert words in reason.message
        assert "--worker-memory" in reason.message
        _is_good(worker, clip, card)


def test_a_process_killed_while_idle_is_replaced(make_worker: MakeWorker, clip: Path, card: Card) -> None:
    worker = make_worker(WorkerLimits())
    _is_good(worker, clip, card)
    assert worker._process is not None
    os.kill(worker._process.pid, signal.SIGKILL)
    worker._process.wait()
    _is_good(worker, clip, card)


def test_frames_larger_than_the_budget(make_worker: MakeWorker, clip: Path, card: Card) -> None:
    worker = make_worker(WorkerLimits())
    one_video = 3 * 8 * 64 * 64 * 3
    result = worker.decode(Segment(clip), MemoryBudget(one_video - 1))
    assert isinstance(result, FailureReason)
    assert result.type == "MemoryExceeded"
    _is_good(worker, clip, card)
    assert isinstance(worker.decode(Segment(clip), MemoryBudget(one_video)), Decoded)


@pytest.mark.parametrize("name", ["die_late.mp4", "no_room.mp4"])
def test_a_failure_at_the_last_moment_gives_its_memory_back(
    make_worker: MakeWorker, clip: Path, tmp_path: Path, name: str
) -> None:
    worker, budget = make_worker(WorkerLimits()), MemoryBudget(3 * 8 * 64 * 64 * 3)
    for _ in range(3):
        assert isinstance(worker.decode(Segment(_named(clip, tmp_path, name)), budget), FailureReason)
    assert isinstance(worker.decode(Segment(clip), budget), Decoded)


@pytest.mark.parametrize("found", ["av.py", "json.py"])
def test_no_code_of_the_current_folder_is_run(
    make_worker: MakeWorker, clip: Path, card: Card, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: str
) -> None:
    (tmp_path / found).write_text("open('run', 'w').close()")
    monkeypatch.setattr(sys, "path", [str(Path(__file__).parents[3]), *(one for one in sys.path if one)])
    monkeypatch.chdir(tmp_path)
    _is_good(make_worker(WorkerLimits()), clip, card)
    assert not (tmp_path / "run").exists()


def test_nonsense_costs_one_video(make_worker: MakeWorker, clip: Path, card: Card, tmp_path: Path) -> None:
    worker = make_worker(WorkerLimits())
    reason = _failure(worker, _named(clip, tmp_path, "nonsense.mp4"))
    assert reason == FailureReason("DecoderCrashed", "the process that decoded it sent an answer that is not JSON")
    _is_good(worker, clip, card)


def test_exit_status_is_reported(make_worker: MakeWorker, clip: Path, tmp_path: Path) -> None:
    reason = _failure(make_worker(WorkerLimits()), _named(clip, tmp_path, "leave.mp4"))
    assert reason.message.endswith("ended unexpectedly, with status 3")


def test_replacing_a_process_is_retried(
    make_worker: MakeWorker, clip: Path, card: Card, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nlvid_cli.recognize.pipeline.worker.PAUSES_SECONDS", (0.1, 0.2))
    monkeypatch.setattr("nlvid_cli.recognize.pipeline.worker.FIRST_PAUSES_SECONDS", (0.1,))
    tries: list[int | None] = []

    def scarce(stderr: int | None) -> subprocess.Popen[str]:
        tries.append(stderr)
        if len(tries) in (2, 3):
            raise BlockingIOError(errno.EAGAIN, "no more processes")
        return start(stderr)

    start = pipeline_worker._popen
    monkeypatch.setattr(pipeline_worker, "_popen", scarce)
    worker = make_worker(WorkerLimits())
    assert _failure(worker, _named(clip, tmp_path, "crash.mp4")).type == "DecoderCrashed"
    _is_good(worker, clip, card)
    assert len(tries) == 4
    tries[:] = [None]
    with pytest.raises(WorkerError, match="no more processes"):
        make_worker(WorkerLimits()).decode(Segment(clip))
    assert len(tries) == 3


def _killing(kills: list[int], kill: Callable[[int], bool]) -> Callable[[int | None], subprocess.Popen[str]]:
    """Return a way to start processes of which some are killed before they are ready; each is counted."""
    start = pipeline_worker._popen

    def popen(stderr: int | None) -> subprocess.Popen[str]:
        process = start(stderr)
        if kill(len(kills)):
            process.kill()
        kills.append(process.pid)
        return process

    return popen


@pytest.mark.parametrize("killed", [1, 3])
def test_a_process_killed_while_it_starts_is_started_again(
    make_worker: MakeWorker, clip: Path, card: Card, monkeypatch: pytest.MonkeyPatch, killed: int
) -> None:
    monkeypatch.setattr("nlvid_cli.recognize.pipeline.worker.FIRST_PAUSES_SECONDS", (0.0, 0.0, 0.0))
    started: list[int] = []
    monkeypatch.setattr(pipeline_worker, "_popen", _killing(started, lambda number: number < killed))
    _is_good(make_worker(WorkerLimits()), clip, card)
    assert len(started) == killed + 1


def test_a_process_that_is_always_killed_ends_the_run(
    make_worker: MakeWorker, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nlvid_cli.recognize.pipeline.worker.FIRST_PAUSES_SECONDS", (0.0, 0.0, 0.0))
    started: list[int] = []
    monkeypatch.setattr(pipeline_worker, "_popen", _killing(started, lambda number: True))
    with pytest.raises(WorkerError, match="does not start: killed"):
        make_worker(WorkerLimits()).decode(Segment(clip))
    assert len(started) == 4


def test_no_folder_for_temporary_files_ends_the_run(
    make_worker: MakeWorker, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nlvid_cli.recognize.pipeline.worker.FIRST_PAUSES_SECONDS", ())

    def nowhere(*_: object, **__: object) -> None:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "TemporaryFile", nowhere)
    with pytest.raises(WorkerError, match="temporary directory"):
        make_worker(WorkerLimits()).decode(Segment(clip))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the frames cross in a temporary file at once")
def test_frames_cross_in_a_temporary_file_where_the_process_cannot_open_memory(
    make_worker: MakeWorker, clip: Path, card: Card, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temp"))
    worker = make_worker(WorkerLimits())
    _is_good(worker, _named(clip, tmp_path, "no_proc.mp4"), card)
    _is_good(worker, clip, card)
    assert not list((tmp_path / "temp").iterdir())


@pytest.mark.parametrize("name", ["memfd_create", "ftruncate"])
def test_no_room_for_the_frames_costs_one_video(
    make_worker: MakeWorker, clip: Path, card: Card, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    worker, before = make_worker(WorkerLimits()), len(os.listdir("/dev/fd"))

    def refuse(*_: object, **__: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(os, name, refuse, raising=False)
        patch.setattr(tempfile, "mkstemp", refuse)
        reason = _failure(worker, clip)
    assert reason.type == "ResourceShortage"
    assert "ulimit -n" in reason.message
    _is_good(worker, clip, card)
    assert len(os.listdir("/dev/fd")) == before + 2  # the two pipes of the process


def test_a_limit_on_the_size_of_files_costs_the_videos_that_are_larger(
    make_worker: MakeWorker, clip: Path, card: Card, tmp_path: Path
) -> None:
    """As after ``ulimit -f``: memory for frames is a file to the system."""
    worker = make_worker(WorkerLimits())
    short = make_clip(tmp_path / "short.mp4", frames=5)  # its three clips are one, of 98 kB
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, before[1]))
    try:
        reason = _failure(worker, clip)
        assert reason.type == "ResourceShortage"
        assert "ulimit -f" in reason.message
        _is_good(worker, short, card)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells how much memory a process has")
def test_memory_does_not_grow_from_video_to_video(make_worker: MakeWorker, tmp_path: Path, card: Card) -> None:
    worker = make_worker(WorkerLimits())
    videos = [make_clip(tmp_path / f"{width}.mp4", frames=15, size=(width, 360)) for width in (640, 960, 320)]
    seen = []
    for _ in range(5):
        for video in videos:
            assert isinstance(worker.decode(Segment(video)), Decoded)
        assert worker._process is not None
        time.sleep(0.2)
        seen.append(pipeline_worker._resident_bytes(worker._process.pid) >> 20)
    assert max(seen) - min(seen) < 4


def test_the_reason_why_a_process_does_not_start_is_reported(
    make_worker: MakeWorker, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nlvid_cli.recognize.pipeline.worker.MODULE", "nlvid_cli.no_such_module")
    with pytest.raises(WorkerError, match="No module named"):
        make_worker(WorkerLimits()).decode(Segment(clip))


def test_a_process_is_replaced_after_many_videos(
    make_worker: MakeWorker, clip: Path, card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nlvid_cli.recognize.pipeline.worker.VIDEOS_PER_PROCESS", 2)
    worker = make_worker(WorkerLimits())
    processes = set()
    for _ in range(3):
        _is_good(worker, clip, card)
        assert worker._process is not None
        processes.add(worker._process.pid)
    assert len(processes) == 2
