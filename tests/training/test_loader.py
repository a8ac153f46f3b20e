from __future__ import annotations

import os
import resource
import signal
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from torch.utils.data import _utils as torch_data

from nlvid_cli.datasets.labelled import DataSet, LabelledVideo
from nlvid_cli.training import clips as clips_module
from nlvid_cli.training import frame_cache
from nlvid_cli.training.clips import ClipDataset, decoded_side, draw_frames
from nlvid_cli.training.division import ClipKey, Division
from nlvid_cli.training.frame_cache import FrameCache, cache_frames
from nlvid_cli.training.loader import ClipLoader
from nlvid_cli.video.info import VideoInfo
from nlvid_cli.video.probe import probe
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


def test_only_the_frames_of_the_clip_are_decoded(clip: Path) -> None:
    with patch.object(clips_module, "read_frames", wraps=clips_module.read_frames) as read:
        dataset(LabelledVideo(clip, (0,), ""))[ClipKey(0, 0, 0)]
    numbers = read.call_args.args[1]
    assert numbers.shape == (1, 8)
    assert np.ptp(numbers) == 7


def test_probed_videos_are_not_kept_for_ever(clip: Path) -> None:
    video = LabelledVideo(clip, (0,), "")
    clips = ClipDataset(DataSet((video,) * 3, ("a", "b"), "single", "made"), CARD, QUICK, 0, FrameCache())
    with (
        patch.object(clips_module, "MAX_INFOS", 2),
        patch.object(clips_module, "probe", wraps=clips_module.probe) as probed,
    ):
        for number in (0, 1, 0, 2, 0, 1):
            clips[ClipKey(0, 0, number)]
    assert probed.call_count == 4  # 1 was dropped, and probed again
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


def test_cached_frames_are_the_decoded_ones(clip: Path, tmp_path: Path) -> None:
    video = LabelledVideo(clip, (0,), "", stretch=Stretch(1.0))
    clips = dataset(video)
    side = decoded_side(CARD, QUICK)
    cache = cache_frames(clips.data, CARD, side, tmp_path, 2**30, 1, fill=True)
    other = cache_frames(clips.data, CARD, side, tmp_path, 2**30, 1, fill=False)  # in another process
    with patch.object(clips_module, "read_frames", side_effect=AssertionError):
        cached = dataset(video, cache)[ClipKey(0, 1, 0)][0]
        assert dataset(video, other)[ClipKey(0, 1, 0)][0].equal(cached)
    assert clips[ClipKey(0, 1, 0)][0].equal(cached)
    cache.close()
    assert not list(tmp_path.iterdir())


def test_videos_over_the_size_limit_are_not_cached(clip: Path, tmp_path: Path) -> None:
    data = dataset(LabelledVideo(clip, (0,), "")).data
    assert cache_frames(data, CARD, 35, tmp_path, 100 * 35 * 47 * 3 - 1, 1, fill=True).path is None
    assert cache_frames(data, CARD, 35, tmp_path, 100 * 35 * 47 * 3 + 1, 1, fill=True).path is not None


def test_a_full_disk_is_noticed_before_anything_is_decoded(clip: Path, tmp_path: Path) -> None:
    data = dataset(LabelledVideo(clip, (0,), "")).data
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            cache_frames(data, CARD, 35, tmp_path, 2**30, 1, fill=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())
    with pytest.raises(FileNotFoundError):  # as in another process of this machine
        cache_frames(data, CARD, 35, tmp_path, 2**30, 1, fill=False)


def test_an_interrupt_while_videos_are_decoded_leaves_no_file(clip: Path, tmp_path: Path) -> None:
    data = dataset(LabelledVideo(clip, (0,), "")).data
    with patch.object(frame_cache, "_filler", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        cache_frames(data, CARD, 35, tmp_path, 2**30, 1, fill=True)
    assert not list(tmp_path.iterdir())


def test_closing_ends_workers_that_ignore_signals(clip: Path) -> None:
    clips = dataset(LabelledVideo(clip, (0,), ""))
    loader = ClipLoader(clips, Division(1, 50, 1, 1, 1, 0, 0), first_step=0, workers=1, pin=False)
    assert next(loader).clips.shape == (1, 8, 3, 32, 32)
    for name in ("_workers", "_shutdown_workers"):
        assert hasattr(loader._batches, name), f"torch's DataLoader has moved {name}; mend training/loader.py"
    (worker,) = loader._batches._workers  # type: ignore[attr-defined]
    worker.terminate()
    assert next(loader).clips.shape == (1, 8, 3, 32, 32)
    os.kill(worker.pid, signal.SIGSTOP)  # as one that hangs in a decoder
    with patch.object(torch_data, "MP_STATUS_CHECK_INTERVAL", 0.1):
        loader.close()
    worker.join(10)
    assert not worker.is_alive()


def test_a_loader_without_workers_has_nothing_to_close(clip: Path) -> None:
    clips = dataset(LabelledVideo(clip, (0,), ""))
    loader = ClipLoader(clips, Division(1, 1, 1, 1, 1, 0, 0), first_step=0, workers=0, pin=False)
    assert next(loader).targets.tolist() == [[1, 0, 0]]
    loader.close()
