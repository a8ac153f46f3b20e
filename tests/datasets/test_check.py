from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from nlvid_cli.datasets import check
from nlvid_cli.datasets.check import DataReport, check_data
from nlvid_cli.datasets.labelled import DataSet, LabelledVideo
from nlvid_cli.datasets.read import read_data_set
from nlvid_cli.datasets.split import split_by_column, split_by_fraction, split_by_group
from nlvid_cli.datasets.suspicions import ClassCount
from nlvid_cli.recognize.pipeline.readers import Readers
from nlvid_cli.recognize.pipeline.worker import WorkerLimits
from nlvid_cli.training.model import SCRATCH
from nlvid_cli.video.reader import VideoReader
from nlvid_cli.video.segment import Stretch
from tests.clips import make_clip
from tests.datasets.conftest import Make


@pytest.fixture
def clips(data: Path) -> Path:
    """Two classes of three clips of 10 to 12 and 20 to 22 frames."""
    for label, frames in (("run", 10), ("walk", 20)):
        (data / label).mkdir()
        for number in range(3):
            make_clip(data / label / f"{label}{number}.mp4", frames=frames + number)
    return data


def _messages(report: DataReport) -> list[str]:
    return [f"{Path(found.path).name}: {found.message}" for found in report.unreadable]


def test_few_videos_wait_for_their_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """A million of them would take two gigabytes."""
    monkeypatch.setattr(check, "WAITING", 10)
    begun: list[None] = []

    def quick(entry: tuple[LabelledVideo, bool], reader: VideoReader) -> check._Checked:
        begun.append(None)
        return check._Checked(*entry, error="none")

    monkeypatch.setattr(check, "_check", quick)
    ahead: list[int] = []
    videos = tuple(LabelledVideo(Path(f"{number}.mp4"), (0,), "t.csv") for number in range(500))
    report = check_data(
        DataSet(videos, ("run",), "single", "test"), progress=lambda done, _: ahead.append(len(begun) - done)
    )
    assert [Path(found.path).stem for found in report.unreadable] == [str(number) for number in range(500)]
    assert max(ahead) <= 10


def test_counts_and_lengths(clips: Path) -> None:
    done: list[tuple[int, int]] = []
    report = check_data(read_data_set(clips), jobs=2, progress=lambda *numbers: done.append(numbers))
    assert (report.source, report.kind, report.split, report.videos) == ("folder per class", "single", None, 6)
    assert report.frames == (10, 16, 22)
    assert report.seconds == pytest.approx(96 / 25, abs=0.1)
    assert report.classes == (ClassCount("run", 3, 0), ClassCount("walk", 3, 0))
    assert report.suspicions == ("fewer than 5 videos of run (3), walk (3)",)
    assert report.unreadable == report.too_short == report.odd == report.duplicates == ()
    assert done == [(number, 6) for number in range(1, 7)]


def test_what_cannot_be_used(clips: Path) -> None:
    (clips / "run" / "empty.mp4").touch()
    (clips / "run" / "text.mp4").write_text("no video")
    whole = (clips / "walk" / "walk0.mp4").read_bytes()
    (clips / "walk" / "cut off.mp4").write_bytes(whole[: len(whole) // 2])
    report = check_data(read_data_set(clips), min_frames=11)
    assert [message.partition(" (")[0] for message in _messages(report)] == [
        "empty.mp4: empty file",
        "text.mp4: not a video, or damaged beyond reading",
        "cut off.mp4: the index of the MP4 file is missing: it is still being recorded, or was not closed, copied or "
        "downloaded whole",
    ]
    assert report.unreadable[0].where == str(clips / "run")
    assert [(Path(found.path).name, found.message) for found in report.too_short] == [
        ("run0.mp4", "10 frames, fewer than 11")
    ]
    assert not report.is_well


def test_files_that_went_away_and_their_lines(clips: Path, write: Make) -> None:
    data = read_data_set(write("t.csv", "path,label\nrun/run0.mp4,x\nwalk/walk0.mp4,y\n"))
    (clips / "walk" / "walk0.mp4").unlink()
    (found,) = check_data(data).unreadable
    assert found.where.endswith("t.csv, line 3")
    assert found.message == "no such file"


def test_the_same_content_twice(clips: Path) -> None:
    shutil.copy(clips / "run" / "run0.mp4", clips / "run" / "again.mp4")
    shutil.copy(clips / "walk" / "walk0.mp4", clips / "run" / "other label.mp4")
    first, second = check_data(read_data_set(clips)).duplicates
    assert [Path(path).name for path, _ in first.paths] == ["again.mp4", "run0.mp4"]
    assert (first.across_split, first.different_labels) == (False, False)
    assert [Path(path).name for path, _ in second.paths] == ["other label.mp4", "walk0.mp4"]
    assert (second.across_split, second.different_labels) == (False, True)


def test_the_same_content_on_both_sides(clips: Path, write: Make) -> None:
    shutil.copy(clips / "run" / "run0.mp4", clips / "copy.mp4")
    table = write(
        "t.csv",
        "path,label,split\nrun/run0.mp4,x,train\nrun/run1.mp4,x,train\nwalk/walk0.mp4,y,train\nwalk/walk1.mp4,y,val\n"
        "copy.mp4,x,val\n",
    )
    (same,) = check_data(split_by_column(read_data_set(table))).duplicates
    assert same.across_split
    assert [where.rpartition("/")[2] for _, where in same.paths] == ["t.csv, line 2", "t.csv, line 6"]


def test_stretches(clips: Path) -> None:
    path = clips / "walk" / "walk0.mp4"  # 0.8 s
    videos = (
        LabelledVideo(path, (0,), "line 1", stretch=Stretch(0.2, 0.6)),
        LabelledVideo(path, (1,), "line 2", stretch=Stretch(0.6, 99.0)),
        LabelledVideo(path, (1,), "line 3", stretch=Stretch(2.0, 3.0)),
    )
    report = check_data(DataSet(videos, ("a", "b"), "single", "made"), min_frames=6)
    assert report.frames == (5, 7, 10)
    assert [found.where for found in report.too_short] == ["line 2"]
    assert [found.where for found in report.unreadable] == ["line 3"]
    assert not report.duplicates  # one file is no duplicate of itself


def test_damage_and_actions_after_the_end(clips: Path) -> None:
    path = clips / "walk" / "walk0.mp4"
    videos = tuple(
        LabelledVideo(path, (0,), f"line {line}", label_times=(times,))
        for line, times in enumerate([(0.0, 0.5), (5.0, 6.0), (0.5, 0.2)], start=1)
    )
    report = check_data(DataSet(videos, ("a", "b"), "multi", "Charades CSV"))
    assert [(found.where, found.message) for found in report.odd] == [
        ("line 2", "an action begins at 5 s, after the end of the file (0.80 s)"),
        ("line 3", "an action ends before it begins"),
    ]


def _same_clip(data: Path, names: list[str]) -> DataSet:
    """Videos with all kinds of names; what is in them does not matter."""
    path = make_clip(data / "one.mp4", frames=3)
    for name in names:
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, data / name)
    path.unlink()
    return read_data_set(data)


def test_uneven_classes_and_classes_without_validation(data: Path) -> None:
    names = [f"run/{number}.mp4" for number in range(60)] + [f"walk/{number}.mp4" for number in range(5)]
    report = check_data(split_by_fraction(_same_clip(data, [*names, "jump/1.mp4"]), 0.2, 0))
    assert report.split == "val-0.2-seed-0"
    assert report.classes == (ClassCount("jump", 1, 0), ClassCount("run", 48, 12), ClassCount("walk", 4, 1))
    assert report.suspicions == (
        "fewer than 5 videos for training of jump (1), walk (4)",
        "very uneven classes: run has 48 videos, jump has 1; weight the classes in training",
        "no video for validation of jump",
    )


def test_parts_of_one_recording_on_both_sides(data: Path) -> None:
    names = [
        f"{label}/v_{label}_g{g:02d}_c{c:02d}.mp4" for label in ("run", "walk") for g in range(6) for c in range(3)
    ]
    found = _same_clip(data, names)
    split = split_by_fraction(found, 0.3, 0)
    (suspicion,) = check_data(split).suspicions
    assert suspicion.startswith("videos that seem to be cut from one recording are in both training and validation: v_")
    clean = split_by_group(found, r"^(.+)_c\d+$", 0.3)
    assert check_data(clean).suspicions == ()
    assert check_data(split, group_pattern=r"_c\d+").suspicions == (
        "groups in both training and validation: _c00, _c01, _c02",
    )


def test_numbered_files_of_a_class_are_no_recording(data: Path) -> None:
    names = [f"{label}/{label}_{number:03d}.mp4" for label in ("run", "walk") for number in range(8)]
    assert check_data(split_by_fraction(_same_clip(data, names), 0.3, 0)).suspicions == ()


def test_weizmann_people_on_both_sides(shared: Path) -> None:
    found = read_data_set(shared / "datasets" / "weizmann")
    report = check_data(split_by_fraction(found, 0.2, 0))
    assert report.videos == 90
    assert report.unreadable == report.odd == report.duplicates == ()
    (suspicion,) = report.suspicions
    assert "names on both sides and in several classes begin alike: " in suspicion
    assert "--group-by" in suspicion
    assert check_data(split_by_group(found, "^[^_]+", 0.3), group_pattern="^[^_]+").is_well


def test_a_decoder_that_crashes_costs_its_video(clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nlvid_cli.recognize.pipeline.worker.MODULE", "tests.recognize.pipeline.odd_decoder")
    whole = read_data_set(clips)
    shutil.copy(whole.videos[0].path, clips / "run" / "crash.mp4")
    with Readers(SCRATCH.card, 2, WorkerLimits()) as readers:
        report = check_data(read_data_set(clips), readers=readers)
    (message,) = _messages(report)
    assert message.startswith("crash.mp4: ")
    assert "signal 11" in message
    expected = check_data(whole)
    assert (report.frames, report.seconds, report.odd) == (expected.frames, expected.seconds, expected.odd)
