from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.clips import copy_packets, make_clip
from tests.conftest import Run


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", frames=100)


def test_a_table_and_every_other_output(run: Run, small_model_file: Path, clip: Path, tmp_path: Path) -> None:
    common = ("timeline", clip, "-m", small_model_file, "--begin", 0.1)
    table = run(*common, "--scores", tmp_path / "scores.csv", "--html", tmp_path / "page.html")
    assert table.status == 0
    assert "segment" in table.out
    assert (tmp_path / "page.html").exists()
    record = json.loads(run(*common, "-f", "json").out)
    assert len((tmp_path / "scores.csv").read_text().splitlines()) == 1 + len(record["windows"])
    assert record["segments"]
    assert record["rule"]["begin"] == record["rule"]["keep"] == 0.1
    assert record["windows"][-1]["end_seconds"] == record["duration_seconds"] == 4.0


def test_windows_say_what_classify_says_of_their_stretch(run: Run, small_model_file: Path, clip: Path) -> None:
    options = ("-m", small_model_file, "--precision", "fp32", "--top-k", 5, "-f", "json")
    windows = json.loads(run("timeline", clip, *options).out)["windows"]
    for window in (windows[0], windows[3], windows[-1]):
        stretch = ("--start", window["start_seconds"], "--end", window["end_seconds"])
        record = json.loads(run("classify", clip, *stretch, "--clips", 1, *options).out)
        expected = {label["index"]: label["score"] for label in record["predictions"]}
        assert {label["index"]: label["score"] for label in window["predictions"]} == pytest.approx(expected, abs=1e-5)


def test_a_bad_file_stops_nothing(run: Run, small_model_file: Path, clip: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"no video" * 99)
    done = run("timeline", clip, tmp_path / "bad.mp4", tmp_path / "none.mp4", "-m", small_model_file, "-f", "jsonl")
    assert done.status == 1
    kinds = [json.loads(line).get("error", {}).get("type") for line in done.out.splitlines()]
    assert kinds == [None, "UnreadableVideo", "VideoNotFound"]
    assert "2 of 3 videos failed" in done.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--begin", 0.2, "--keep", 0.4), "keep"),
        (("--every", 0), "--every"),
        (("--labels", "no such label"), "label"),
        (("--start", 3, "--end", 2), "end after"),
        (("--scores", "scores.txt"), "npz"),
    ],
)
def test_wrong_usage(run: Run, small_model_file: Path, clip: Path, options: tuple[object, ...], message: str) -> None:
    done = run("timeline", clip, "-m", small_model_file, *options)
    assert done.status == 2
    assert message in done.err
    assert done.out == ""


@pytest.mark.slow
def test_ctrl_c_reports_what_was_found(small_model_file: Path, clip: Path, tmp_path: Path) -> None:
    long = copy_packets(clip, tmp_path / "long.mp4", repeat=400)
    output = tmp_path / "out.json"
    arguments = ["timeline", str(long), "-m", str(small_model_file), "-f", "json", "-o", str(output), "--every", "0.1"]
    for seconds in (3, 15, 30):  # loading takes longer on a busy machine
        process = subprocess.Popen([sys.executable, "-m", "nlvid_cli", *arguments], stderr=subprocess.PIPE, text=True)
        time.sleep(seconds)
        os.kill(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=30)
        assert process.returncode == 130, said
        if output.exists():
            break
    record = json.loads(output.read_text())
    assert 0 < record["windows"][-1]["end_seconds"] < record["duration_seconds"] == 1600.0
    assert "stopped" in record["warnings"][-1]


def test_label_writes_segments_as_rows_and_resumes(
    run: Run, small_model_file: Path, clip: Path, tmp_path: Path
) -> None:
    rows = tmp_path / "rows.jsonl"
    command = ("label", clip, clip.with_name("none.mp4"), "-m", small_model_file, "-o", rows, "--timeline")
    assert run(*command, "--begin", 0.1).status == 1
    lines = rows.read_text().splitlines()
    by_video = {Path(record["video"]).name: record for record in map(json.loads, lines)}
    expected = json.loads(run("timeline", clip, "-m", small_model_file, "--begin", 0.1, "-f", "json").out)
    assert by_video["clip.mp4"]["segments"] == expected["segments"]
    assert "windows" not in by_video["clip.mp4"]
    assert by_video["none.mp4"]["error"]["type"] == "VideoNotFound"
    run(*command, "--begin", 0.1)
    assert rows.read_text().splitlines() == lines
    run(*command, "--begin", 0.2)  # another question
    assert len(rows.read_text().splitlines()) == 4


def test_label_needs_timeline_for_its_options(run: Run, clip: Path, tmp_path: Path) -> None:
    for options in (("--every", 1), ("--timeline", "--clips", 3)):
        done = run("label", clip, "-o", tmp_path / "rows.jsonl", *options)
        assert done.status == 2
        assert "--timeline" in done.err
