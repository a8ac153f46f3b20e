"""All outputs of one run of ``nlvid timeline`` say the same."""

from __future__ import annotations

import csv
import json
import re
import signal
from pathlib import Path

import av
import numpy as np
import pytest

from nlvid_cli.errors import UnreadableVideo
from nlvid_cli.recognize.timeline import Timeline
from nlvid_cli.video.annotate import Painter, Patch
from nlvid_cli.video.probe import probe
from tests.clips import make_clip
from tests.conftest import Run
from tests.report.pages import Page
from tests.terminals import run_on_terminal


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("videos")
    make_clip(made / "it's 100% #1.mp4", frames=90)
    make_clip(made / "b.mkv", frames=60)
    (made / "broken.mp4").write_bytes(b"no video")
    return made


def _cues(text: str) -> list[tuple[float, float]]:
    times = re.findall(r"(\d\d):(\d\d):(\d\d)[.,](\d{3}) --> (\d\d):(\d\d):(\d\d)[.,](\d{3})", text)
    numbers = [[int(part) for part in line] for line in times]
    return [
        (h * 3600 + m * 60 + s + t / 1000, h2 * 3600 + m2 * 60 + s2 + t2 / 1000)
        for h, m, s, t, h2, m2, s2, t2 in numbers
    ]


def test_one_video(run: Run, folder: Path, small_model_file: Path, tmp_path: Path) -> None:
    video = folder / "it's 100% #1.mp4"
    common = ("timeline", video, "-m", small_model_file, "--begin", 0.2, "--keep", 0.1, "--every", 0.2)
    done = run(*common, "-f", "json", "--scores", tmp_path / "s.npz", "--html", tmp_path / "page.html")
    assert done.status == 0, done.err
    record = json.loads(done.out)
    segments = [(one["start_seconds"], one["end_seconds"]) for one in record["segments"]]
    assert segments
    for name in ("a.srt", "a.vtt"):
        assert run(*common, "-f", name[-3:], "-o", tmp_path / name).status == 0
        cues = _cues((tmp_path / name).read_text(encoding="utf-8"))
        assert cues == [pytest.approx(times, abs=1e-3) for times in segments]
        with av.open(str(tmp_path / name)) as container:
            assert sum(packet.size > 0 for packet in container.demux()) == len(segments)
    rows = list(csv.DictReader(run(*common, "-f", "csv").out.splitlines()))
    assert [(float(row["start_seconds"]), float(row["end_seconds"])) for row in rows] == segments
    with np.load(tmp_path / "s.npz", allow_pickle=False) as scores:
        best = [window["predictions"][0] for window in record["windows"]]
        assert scores["scores"].argmax(axis=1).tolist() == [label["index"] for label in best]
        np.testing.assert_allclose(scores["scores"].max(axis=1), [label["score"] for label in best], atol=1e-6)
        assert scores["start_seconds"].tolist() == [window["start_seconds"] for window in record["windows"]]
    page = Page(tmp_path / "page.html")
    assert [tag for tag, _ in page.tags].count("rect") == len(segments)


def test_several_videos(run: Run, folder: Path, small_model_file: Path, tmp_path: Path) -> None:
    common = ("timeline", folder, "-m", small_model_file, "--begin", 0.2)
    out = tmp_path / "out"
    done = run(*common, "-f", "vtt", "-o", out, "--html", tmp_path / "pages")
    assert done.status == 1
    assert "broken.mp4" in done.err
    assert sorted(path.name for path in out.iterdir()) == ["b.vtt", "it's 100% #1.vtt"]
    assert sorted(path.name for path in (tmp_path / "pages").iterdir()) == ["b.html", "it's 100% #1.html"]


def test_what_is_refused_before_the_work_begins(run: Run, folder: Path, small_model_file: Path, tmp_path: Path) -> None:
    for options in (
        ("-f", "srt", "-o", folder / "b.mkv"),
        ("--scores", tmp_path / "s.txt"),
        ("--scores", folder / "b.mkv"),
        ("--html", folder / "b.mkv"),
    ):
        done = run("timeline", folder / "b.mkv", "-m", small_model_file, *options)
        assert done.status == 2, done.err
        assert done.out == ""
    assert run("timeline", folder, "-m", small_model_file, "--html", tmp_path / "page.html").status == 2


def test_videos_with_labels(run: Run, folder: Path, small_model_file: Path, tmp_path: Path) -> None:
    """One that cannot be written does not stop the other."""
    (tmp_path / "out" / "b.mp4").mkdir(parents=True)
    done = run("timeline", folder, "-m", small_model_file, "-f", "jsonl", "--video", tmp_path / "out")
    assert done.status == 1
    assert "b.mp4: cannot write" in done.err
    assert "2 of 3 videos failed" in done.err
    assert len(done.out.splitlines()) == 3
    assert len(probe(tmp_path / "out" / "it's 100% #1.mp4").times_seconds) == 90


def test_ctrl_c_while_a_video_is_written(
    run: Run, folder: Path, small_model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patches = Painter.patches

    def interrupted(painter: Painter, seconds: float) -> list[Patch]:
        if seconds == 1.0:
            signal.raise_signal(signal.SIGINT)
        assert seconds < 1.5
        return patches(painter, seconds)

    monkeypatch.setattr(Painter, "patches", interrupted)
    done = run("timeline", folder / "b.mkv", "-m", small_model_file, "-f", "json", "--video", tmp_path / "out.mp4")
    assert done.status == 130
    assert json.loads(done.out)["windows"]
    assert "out.mp4: not written" in done.err
    assert list(tmp_path.iterdir()) == []


def test_a_long_gif_is_refused_before_the_work_begins(run: Run, tmp_path: Path) -> None:
    make_clip(tmp_path / "long.mp4", frames=2, times=[0, 61_000], b_frames=0)
    done = run("timeline", tmp_path / "long.mp4", "--video", tmp_path / "out.gif")
    assert done.status == 2
    assert "--start" in done.err


def test_a_video_that_cannot_be_read_again_does_not_stop_the_others(
    run: Run, folder: Path, small_model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(timeline: Timeline, *_: object) -> None:
        if "b.mkv" in timeline.video:
            raise UnreadableVideo("it is gone")

    monkeypatch.setattr("nlvid_cli.report.timeline.extras.write_annotated", fail)
    done = run("timeline", folder / "b.mkv", folder / "it's 100% #1.mp4", "-m", small_model_file, "--video", tmp_path)
    assert done.status == 1
    assert "error: " in done.err
    assert "b.mkv: it is gone" in done.err
    assert "1 of 2 videos failed" in done.err
    assert "it's 100% #1.mp4" in done.out


def test_a_terminal_shows_how_far_the_writing_is(folder: Path, small_model_file: Path, tmp_path: Path) -> None:
    arguments = ("timeline", folder / "b.mkv", "-m", small_model_file, "--video", tmp_path / "out.mp4")
    status, shown = run_on_terminal(*arguments, env={"TERM": "xterm"})
    assert status == 0
    assert re.search(r"writing out.mp4, 0:0\d of 0:02", shown)
