from __future__ import annotations

import resource
import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest

from nlvid_cli.datasets.labelled import DataSet, LabelledVideo
from nlvid_cli.errors import WorkerError
from nlvid_cli.recognize.pipeline.readers import Readers
from nlvid_cli.recognize.pipeline.worker import WorkerLimits
from nlvid_cli.training import clips as clips_module
from nlvid_cli.training import loader as loader_module
from nlvid_cli.training.clips import ClipDataset, decoded_side, draw_frames
from nlvid_cli.training.division import ClipKey, Division
from nlvid_cli.training.frame_cache import FrameCache, cache_frames, open_cached_frames
from nlvid_cli.training.loader import ClipLoader
from nlvid_cli.video.info import VideoInfo
from nlvid_cli.video.probe import probe
from nlvid_cli.video.read import FramesRead
from nlvid_cli.video.reader import ReaderHere
from nlvid_cli.video.segment import Stretch
from tests.clips import make_clip
from tests.training.made import QUICK, TINY

CARD = TINY.card


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip") / "long.mp4", frames=100)  # 25 frames a second


@pytest.fixture(scope="module")
def info(clip: Path) -> VideoInfo:
    return probe(clip)


def dataset(video: LabelledVideo, cache: FrameCache | None = None, kind: str = "single") -> ClipDataset:
    data = DataSet((video,), ("a", "b", "c"), kind, "made")  # type: ignore[arg-type]
    return ClipDataset(data, CARD, QUICK, 0, cache or FrameCache())


class Watched(ReaderHere):
    """Remembers what it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.probed: list[Path] = []
        self.numbers: list[np.ndarray] = []

    def probe(self, path: Path) -> VideoInfo:
        self.probed.append(path)
        return super().probe(path)

    def read(self, info: VideoInfo, numbers: np.ndarray, short_side: int) -> FramesRead:
        self.numbers.append(numbers)
        return super().read(info, numbers, short_side)


def test_only_the_frames_of_the_clip_are_decoded(clip: Path) -> None:
    reader = Watched()
    dataset(LabelledVideo(clip, (0,), "")).make(ClipKey(0, 0, 0), reader)
    (numbers,) = reader.numbers
    assert numbers.shape == (8,)
    assert np.ptp(numbers) == 7


def test_probed_videos_are_not_kept_for_ever(clip: Path) -> None:
    video = LabelledVideo(clip, (0,), "")
    clips = ClipDataset(DataSet((video,) * 3, ("a", "b"), "single", "made"), CARD, QUICK, 0, FrameCache())
    reader = Watched()
    with patch.object(clips_module, "MAX_INFOS", 2):
        for number in (0, 1, 0, 2, 0, 1):
            clips.make(ClipKey(0, 0, number), reader)
    assert len(reader.probed) == 4  # 1 was dropped, and probed again
    assert len(clips._infos) == 2


def test_clips_begin_anywhere_in_the_video(info: VideoInfo, clip: Path) -> None:
    video = LabelledVideo(clip, (0,), "")
    starts = {int(draw_frames(info, video, CARD, np.random.default_rng(n))[0]) for n in range(1000)}
    assert starts == set(range(93))


def test_clips_stay_in_their_stretch(info: VideoInfo, clip: Path) -> None:
    video = LabelledVideo(clip, (0,), "", stretch=Stretch(1.0, 1.6))  # frames 25 to 39
    numbers = np.array([draw_frames(info, video, CARD, np.random.default_rng(n)) for n in range(300)])
    assert (numbers.min(), numbers.max()) == (25, 39)


def test_a_short_stretch_is_repeated_as_the_card_says(info: VideoInfo, clip: Path) -> None:
    video = LabelledVideo(clip, (0,), "", stretch=Stretch(1.0, 1.12))  # frames 25, 26, 27
    assert draw_frames(info, video, CARD, np.random.default_rng(0)).tolist() == [25, 26, 27, 25, 26, 27, 25, 26]


def test_labels_are_those_visible_in_the_clip(clip: Path) -> None:
    video = LabelledVideo(clip, (0, 2), "", label_times=((0.0, 1.0), (3.0, 4.0)))
    clips = dataset(video, kind="multi")
    targets = {tuple(clips[ClipKey(0, place, 0)][1].tolist()) for place in range(100)}
    assert targets == {(1, 0, 0), (0, 0, 0), (0, 0, 1)}


def test_the_same_key_gives_the_same_clip(clip: Path) -> None:
    clips = dataset(LabelledVideo(clip, (0,), ""))
    assert clips[ClipKey(1, 2, 0)][0].equal(dataset(clips.data.videos[0])[ClipKey(1, 2, 0)][0])
    assert not clips[ClipKey(1, 2, 0)][0].equal(clips[ClipKey(2, 2, 0)][0])
    assert not clips[ClipKey(1, 2, 0)][0].equal(replace(clips, seed=1)[ClipKey(1, 2, 0)][0])


@pytest.fixture
def here() -> Iterator[Readers]:
    with Readers(CARD, 0, WorkerLimits()) as readers:
        yield readers


@pytest.mark.parametrize("processes", [0, 2])
def test_cached_frames_are_the_decoded_ones(clip: Path, tmp_path: Path, processes: int) -> None:
    video = LabelledVideo(clip, (0,), "", stretch=Stretch(1.0))
    clips = dataset(video)
    side = decoded_side(CARD, QUICK)
    with Readers(CARD, processes, WorkerLimits()) as readers:
        cache = cache_frames(clips.data, CARD, side, tmp_path, 2**30, readers)
    other = open_cached_frames(clips.data, tmp_path)  # in another process
    with patch.object(ReaderHere, "read", side_effect=AssertionError):
        cached = dataset(video, cache)[ClipKey(0, 1, 0)][0]
        assert dataset(video, other)[ClipKey(0, 1, 0)][0].equal(cached)
    assert clips[ClipKey(0, 1, 0)][0].equal(cached)
    cache.close()
    assert not list(tmp_path.iterdir())
    assert open_cached_frames(clips.data, tmp_path).path is None


def test_videos_over_the_size_limit_are_not_cached(clip: Path, tmp_path: Path, here: Readers) -> None:
    data = dataset(LabelledVideo(clip, (0,), "")).data
    assert cache_frames(data, CARD, 35, tmp_path, 100 * 35 * 47 * 3 - 1, here).path is None
    assert cache_frames(data, CARD, 35, tmp_path, 100 * 35 * 47 * 3, here).path is not None


def test_a_full_disk_is_noticed_before_anything_is_decoded(clip: Path, tmp_path: Path, here: Readers) -> None:
    data = dataset(LabelledVideo(clip, (0,), "")).data
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with (
            patch.object(ReaderHere, "read", side_effect=AssertionError),
            pytest.raises(OSError, match="File too large"),
        ):
            cache_frames(data, CARD, 35, tmp_path, 2**30, here)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())


def test_an_interrupt_while_videos_are_decoded_leaves_no_file(clip: Path, tmp_path: Path, here: Readers) -> None:
    data = dataset(LabelledVideo(clip, (0,), "")).data
    with patch.object(ReaderHere, "read", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        cache_frames(data, CARD, 35, tmp_path, 2**30, here)
    assert not list(tmp_path.iterdir())


MISDEEDS = {"hang.mp4": "took more than 3 s", "crash.mp4": "ended unexpectedly", "greedy.mp4": "--worker-memory"}
"""Names of files at which the decoder of the tests misbehaves, and words of what is said of them."""


def misbehaving(clip: Path, folder: Path) -> DataSet:
    videos = [LabelledVideo(clip, (0,), "")]
    for name in MISDEEDS:
        videos.append(LabelledVideo(Path(shutil.copy(clip, folder / name)), (1,), ""))
    return DataSet(tuple(videos), ("a", "b"), "single", "made")


@pytest.fixture
def odd_decoders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nlvid_cli.recognize.pipeline.worker.MODULE", "tests.recognize.pipeline.odd_decoder")


LIMITS = WorkerLimits(timeout_seconds=3.0, memory_bytes=400 << 20)


def test_decoders_that_misbehave_cost_their_videos(clip: Path, tmp_path: Path, odd_decoders: None) -> None:
    data = misbehaving(clip, tmp_path)
    bad = {}
    with Readers(CARD, 2, LIMITS) as readers:
        clips = ClipDataset(data, CARD, QUICK, 0, FrameCache(), readers)
        loader = ClipLoader(clips, Division(4, 2, 4, 1, 1, 0, 0), first_step=0, workers=2, pin=False)
        for _ in range(2):
            batch = next(loader)
            assert batch.clips.shape == (4, 8, 3, 32, 32)
            assert batch.targets.tolist() == [[1, 0]] * 4  # the good video takes the place of the others
            bad |= {Path(video.path).name: video.message for video in batch.bad}
        with pytest.raises(StopIteration):
            next(loader)
        loader.close()
    assert bad.keys() == MISDEEDS.keys()
    assert {name: words for name, words in MISDEEDS.items() if words not in bad[name]} == {}, bad


def test_a_cache_leaves_out_videos_at_which_decoders_misbehave(clip: Path, tmp_path: Path, odd_decoders: None) -> None:
    data = misbehaving(clip, tmp_path)
    with Readers(CARD, 2, LIMITS) as readers:
        cache = cache_frames(data, CARD, 35, tmp_path, 2**30, readers)
    assert cache.bad.keys() == {1, 2, 3}
    with patch.object(ReaderHere, "read", side_effect=AssertionError):
        _, target, bad = ClipDataset(data, CARD, QUICK, 0, open_cached_frames(data, tmp_path))[ClipKey(0, 0, 1)]
    assert target.tolist() == [1, 0]
    assert "took more than" in bad[0].message


def test_a_run_that_is_to_end_does_not_wait_for_a_decoder(
    clip: Path, tmp_path: Path, odd_decoders: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader_module, "PATIENCE_SECONDS", 0.1)
    with Readers(CARD, 1, WorkerLimits()) as readers:
        clips = ClipDataset(misbehaving(clip, tmp_path), CARD, QUICK, 0, FrameCache(), readers)
        loader = ClipLoader(clips, Division(4, 1, 4, 1, 1, 0, 0), first_step=0, workers=1, pin=False)
        loader.is_ending = lambda: True
        with pytest.raises(WorkerError, match="to end"):
            next(loader)
        loader.close()


def test_videos_are_not_to_blame_if_no_process_starts(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nlvid_cli.recognize.pipeline.worker.FIRST_PAUSES_SECONDS", ())
    monkeypatch.setattr("nlvid_cli.recognize.pipeline.worker.MODULE", "tests.no_such_module")
    with Readers(CARD, 1, WorkerLimits()) as readers:
        clips = replace(dataset(LabelledVideo(clip, (0,), "")), readers=readers)
        loader = ClipLoader(clips, Division(1, 1, 1, 1, 1, 0, 0), first_step=0, workers=1, pin=False)
        with pytest.raises(WorkerError, match="does not start"):
            next(loader)
        loader.close()


def test_processes_ignore_the_signals_of_a_cluster(clip: Path) -> None:
    with Readers(CARD, 1, WorkerLimits()) as readers:
        clips = replace(dataset(LabelledVideo(clip, (0,), "")), readers=readers)
        loader = ClipLoader(clips, Division(1, 50, 1, 1, 1, 0, 0), first_step=0, workers=1, pin=False)
        assert next(loader).clips.shape == (1, 8, 3, 32, 32)
        process = readers._workers[0]._process
        assert process is not None
        for number in (signal.SIGTERM, signal.SIGINT):
            process.send_signal(number)
        assert next(loader).bad == ()
        assert readers._workers[0]._process is process
        loader.close()
    assert process.returncode == -signal.SIGKILL


def test_a_loader_without_workers_has_nothing_to_close(clip: Path) -> None:
    clips = dataset(LabelledVideo(clip, (0,), ""))
    loader = ClipLoader(clips, Division(1, 1, 1, 1, 1, 0, 0), first_step=0, workers=0, pin=False)
    assert next(loader).targets.tolist() == [[1, 0, 0]]
    loader.close()
