from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from nlvid_cli.errors import OutputError, UsageError
from nlvid_cli.report.timeline import open_timeline_report
from nlvid_cli.report.timeline.files import file_per_video
from nlvid_cli.video.remote import RemotePath
from nlvid_cli.video.segment import Segment
from tests.report.samples import FAILURE
from tests.report.timeline.samples import made_timeline


def _segments(folder: Path, *names: str) -> list[Segment]:
    return [Segment(str(folder / name)) for name in names]


def test_one_file_beside_each_video_and_none_for_a_failure(tmp_path: Path) -> None:
    videos = _segments(tmp_path, "a.b.mp4", "c.mkv", "broken.mp4")
    with open_timeline_report("srt", None, videos, single=False) as report:
        for video in videos[:2]:
            report.add(made_timeline(video=str(video.path)), 1.0)
        report.add(replace(FAILURE, video=str(videos[2].path)), 1.0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.b.srt", "c.srt"]
    assert (tmp_path / "c.srt").read_text(encoding="utf-8").startswith("1\n00:00:01,000 --> ")


def test_a_folder_for_all_is_made(tmp_path: Path) -> None:
    videos = [*_segments(tmp_path, "a.mp4"), Segment(RemotePath("https://host.example/x/b%2Fc.mp4?key=1"))]
    with open_timeline_report("vtt", tmp_path / "new" / "folder", videos, single=False) as report:
        for video in videos:
            report.add(made_timeline(video=str(video.path)), 1.0)
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == ["a.vtt", "b%2Fc.vtt"]


def test_one_video_goes_to_stdout_a_file_or_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    videos = _segments(tmp_path, "a.mp4")
    for output in (None, tmp_path / "x.txt", tmp_path):
        with open_timeline_report("vtt", output, videos, single=True) as report:
            report.add(made_timeline(video=str(videos[0].path)), 1.0)
    text = capsys.readouterr().out
    assert text.startswith("WEBVTT\n")
    assert (tmp_path / "x.txt").read_text(encoding="utf-8") == text
    assert (tmp_path / "a.vtt").read_text(encoding="utf-8") == text


def test_two_videos_never_share_a_file(tmp_path: Path) -> None:
    for videos, output in [
        (_segments(tmp_path, "a.mp4", "a.mkv"), None),
        (_segments(tmp_path, "a.mp4", "b/../a.mkv"), None),
        (_segments(tmp_path, "x/1.mp4", "y/1.mp4"), tmp_path / "out"),
    ]:
        with pytest.raises(UsageError, match="both"):
            file_per_video(videos, output, ".srt", single=False)
    assert not (tmp_path / "out").exists()


def test_subtitles_of_others_are_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "a.srt").write_text("made by a person", encoding="utf-8")
    with pytest.raises(UsageError, match="exists"):
        file_per_video(_segments(tmp_path, "a.mp4"), None, ".srt", single=False)
    chosen = file_per_video(_segments(tmp_path, "a.mp4"), tmp_path, ".srt", single=False)
    assert list(chosen.values()) == [tmp_path / "a.srt"]  # the user named the folder


def test_where_no_file_can_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="folder"):
        file_per_video(_segments(tmp_path, "a.mp4"), tmp_path / "file", ".srt", single=False)
    with pytest.raises(UsageError, match="folder"):
        file_per_video(_segments(tmp_path, "a.mp4"), tmp_path / "all.SRT", ".srt", single=False)
    with pytest.raises(UsageError, match="address"):
        file_per_video([Segment(RemotePath("s3://bucket/a.mp4"))], None, ".srt", single=False)
    with pytest.raises(OutputError, match="folder"):
        file_per_video(_segments(tmp_path, "a.mp4"), tmp_path / "file" / "below", ".srt", single=False)


def test_json_of_one_video_and_of_several(tmp_path: Path) -> None:
    timeline = made_timeline()
    record = json.loads(json.dumps(timeline.to_dict()))
    for single in (True, False):
        with open_timeline_report("json", tmp_path / "a.json", [], single) as report:
            report.add(timeline, 1.0)
        written = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
        assert written == (record if single else [record])
    with open_timeline_report("jsonl", tmp_path / "a.jsonl", [], single=True) as report:
        report.add(timeline, 1.0)
        report.add(FAILURE, 1.0)
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text(encoding="utf-8").splitlines()]
    assert lines[0]["segments"][0]["label"] == "run"
    assert lines[1]["error"]["type"] == "NoVideoStream"
