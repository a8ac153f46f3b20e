from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import nlvid_cli
from nlvid_cli.card.card import Card
from nlvid_cli.models.model_file import write_checkpoint
from nlvid_cli.recognize.answer import Answer
from tests.clips import make_clip, png, silence
from tests.conftest import Run

BROKEN = {
    "empty.mp4": b"",
    "text.avi": b"this is no video\n" * 50,
    "list.m3u8.mp4": b"#EXTM3U\n#EXTINF:10,\nhttp://127.0.0.1:9/a.ts\n",
    "script.mkv": b"ffconcat version 1.0\nfile other.mp4\n",
    "bomb.mp4": png(60_000, 60_000),
    "header.mp4": b"\0\0\0\x18ftypisom\0\0\0\0isommp42",
    "sound.mp4": b"",  # made below, as are the rest
    "cut.mp4": b"",
    "link.mp4": b"",
    "pipe.mp4": b"",
}
TYPES = {
    "UnreadableVideo": ("empty.mp4", "text.avi", "header.mp4", "cut.mp4"),
    "ForbiddenFormat": ("list.m3u8.mp4", "script.mkv"),
    "FrameTooLarge": ("bomb.mp4",),
    "NoVideoStream": ("sound.mp4",),
    "VideoNotFound": ("link.mp4", "pipe.mp4"),
}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A few different clips, of which tests make many."""
    folder = tmp_path_factory.mktemp("good")
    sizes = [(64, 48), (48, 64), (80, 60)]
    return [make_clip(folder / f"{n}.mp4", frames=6 + 3 * n, size=sizes[n % 3]) for n in range(9)]


def _folder(folder: Path, good: list[Path], count: int) -> Path:
    folder.mkdir()
    for number in range(count):
        shutil.copy(good[number % len(good)], folder / f"{number:03}.mp4")
    return folder


def _break(folder: Path, good: Path, copy: int) -> None:
    folder.mkdir(parents=True)
    for name, content in BROKEN.items():
        (folder / name).write_bytes(content)
    (folder / "cut.mp4").write_bytes(good.read_bytes()[: 700 + copy])
    _sound_only(folder / "sound.mp4")
    (folder / "link.mp4").unlink()
    os.symlink("nowhere.mp4", folder / "link.mp4")
    (folder / "pipe.mp4").unlink()
    os.mkfifo(folder / "pipe.mp4")


def _sound_only(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        container.mux(silence(stream, 0.5))


def _rows(output: Path) -> dict[str, dict[str, Any]]:
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    by_video = {row["video"]: row for row in rows}
    assert len(by_video) == len(rows)
    return by_video


def _same(rows: dict[str, dict[str, Any]], expected: dict[str, dict[str, Any]]) -> None:
    """All values equal, scores to 1e-6."""
    assert rows.keys() == expected.keys()
    for video, row in rows.items():
        _equal(row, expected[video])


def _equal(one: Any, other: Any) -> None:
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            _equal(one[key], other[key])
    elif isinstance(one, list):
        assert len(one) == len(other)
        for left, right in zip(one, other, strict=True):
            _equal(left, right)
    elif isinstance(one, float):
        assert one == pytest.approx(other, abs=1e-6)
    else:
        assert one == other


def _options(model_file: Path) -> list[str]:
    return ["--model", str(model_file), "--precision", "fp32", "--device", "cpu", "--clips", "1"]


def test_nineteen_clips_ten_of_them_broken(run: Run, model_file: Path, good: list[Path], tmp_path: Path) -> None:
    _check_broken(run, model_file, good, tmp_path, count=9, copies=1)


@pytest.mark.slow
def test_three_hundred_clips_a_tenth_of_them_broken(
    run: Run, model_file: Path, good: list[Path], tmp_path: Path
) -> None:
    _check_broken(run, model_file, good, tmp_path, count=270, copies=3)


def _check_broken(run: Run, model_file: Path, good: list[Path], tmp_path: Path, count: int, copies: int) -> None:
    """Label so many good clips and some copies of each broken one; then once more, and once more the broken ones."""
    folder = _folder(tmp_path / "videos", good, count)
    for copy in range(copies):
        _break(folder / f"broken{copy}", good[0], copy)
    broken_count = copies * len(BROKEN)
    total = count + broken_count
    output = tmp_path / "labels.jsonl"
    outcome = run("label", folder, "-o", output, *_options(model_file))
    assert outcome.status == 1
    assert outcome.out == ""
    rows = _rows(output)
    assert len(rows) == total
    recognizer = nlvid_cli.load(model_file, precision="fp32", device="cpu", clips=1)
    for number, clip in enumerate(good):
        expected = json.loads(json.dumps(recognizer.classify(clip).to_dict()))
        for place in range(number, count, len(good)):
            row = rows[str(folder / f"{place:03}.mp4")]
            _equal({key: value for key, value in row.items() if key in expected} | {"video": str(clip)}, expected)
    for name, broken in TYPES.items():
        for copy in range(copies):
            for file in broken:
                assert rows[str(folder / f"broken{copy}" / file)]["error"]["type"] == name, file
    counts = Counter(row["error"]["type"] for row in rows.values() if "error" in row)
    assert counts == {name: copies * len(broken) for name, broken in TYPES.items()}
    assert f"{count} of {total} videos labelled, {broken_count} failed, in " in outcome.err
    assert f"failed: {4 * copies} UnreadableVideo, {2 * copies} " in outcome.err
    assert "busy: decode " in outcome.err
    again = run("label", folder, "-o", output, *_options(model_file))
    assert again.status == 1
    assert f"{total} of {total} videos are already in it, {broken_count} of them as failed" in again.err
    retried = run("label", folder, "-o", output, "--retry-failed", *_options(model_file))
    assert f"0 of {broken_count} videos labelled, {broken_count} failed" in retried.err
    assert len(_rows(output)) == total


def test_hang_crash_and_memory_cost_a_row_each(
    run: Run, model_file: Path, good: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nlvid_cli.recognize.pipeline.worker.MODULE", "tests.recognize.pipeline.odd_decoder")
    folder = _folder(tmp_path / "videos", good, 12)
    for name in ("hang", "crash", "hungry"):
        shutil.copy(good[0], folder / f"{name}.mp4")
    output = tmp_path / "labels.jsonl"
    limits = ["--timeout", 5, "--worker-memory", 0.4, "--workers", 2]
    assert run("label", folder, "-o", output, *limits, *_options(model_file)).status == 1
    failed = {Path(video).stem: row["error"]["type"] for video, row in _rows(output).items() if "error" in row}
    assert failed == {"hang": "DecodeTimeout", "crash": "DecoderCrashed", "hungry": "MemoryExceeded"}
    assert len(_rows(output)) == 15


def test_tables_dry_run_shards_and_merge(run: Run, model_file: Path, good: list[Path], tmp_path: Path) -> None:
    folder = _folder(tmp_path / "videos", good, 9)
    options = _options(model_file)
    (folder / "notes.txt").touch()
    dry = run("label", folder, "-o", tmp_path / "labels.csv", "--dry-run", *options)
    assert dry.status == 0
    assert "note: 1 file passed over: 1 .txt\n" in dry.err
    assert "passed over" not in run("label", folder, "-o", tmp_path / "labels.csv", "--dry-run", "-q", *options).err
    lines = dry.out.splitlines()
    assert lines[0] == f"videos   9 of 9, into {tmp_path / 'labels.jsonl'}"
    assert lines[1] == "model    i3d-inception-8x2.test-made, torch fp32 on cpu"
    assert lines[2] == "views    1 clips x 1 crops of 8 frames, step 2"
    assert lines[3].startswith("hours    about 0.00")
    assert "judging by 5 of them" in lines[4]
    assert not (tmp_path / "labels.jsonl").exists()
    for part in ("1/2", "2/2"):
        assert run("label", folder, "-o", tmp_path / "labels.csv", "--shard", part, *options).status == 0
    assert (tmp_path / "labels.1-of-2.csv").exists()
    assert run("label", "--merge", "-o", tmp_path / "labels.csv").status == 0
    assert len((tmp_path / "labels.csv").read_text().splitlines()) == 10
    whole = run("label", folder, "-o", tmp_path / "whole.jsonl", *options)
    assert whole.status == 0
    _same(_rows(tmp_path / "labels.jsonl"), _rows(tmp_path / "whole.jsonl"))
    assert "9 of 9 videos are already in it" in run("label", folder, "-o", tmp_path / "labels.csv", *options).err
    before = (tmp_path / "whole.jsonl").stat().st_mtime_ns
    again = run("label", folder, "-o", tmp_path / "whole.jsonl", "--overwrite", "--top-k", 1, *options)
    assert "9 of 9 videos labelled" in again.err
    assert (tmp_path / "whole.jsonl").stat().st_mtime_ns > before
    assert {len(row["predictions"]) for row in _rows(tmp_path / "whole.jsonl").values()} == {1}


def test_a_model_that_was_trained_again_does_its_videos_again(
    run: Run, card: Card, random_tensors: dict[str, np.ndarray], good: list[Path], tmp_path: Path
) -> None:
    output, model = tmp_path / "labels.jsonl", tmp_path / "mine.safetensors"
    tables = []
    for factor in (1, 1.5):
        write_checkpoint(
            model, card, {name: (factor * tensor).astype(np.float32) for name, tensor in random_tensors.items()}
        )
        outcome = run("label", *good[:2], "-o", output, "-f", "csv", *_options(model))
        assert "2 of 2 videos labelled" in outcome.err
        assert {row["model_sha256"] for row in _rows(output).values()} == {
            hashlib.sha256(model.read_bytes()).hexdigest()[:16]
        }
        tables.append(output.with_suffix(".csv").read_text())
    assert tables[0] != tables[1]
    assert "2 of 2 videos are already in it" in run("label", *good[:2], "-o", output, *_options(model)).err


def test_a_threshold_tells_all_labels_that_reach_it(
    run: Run, model_file: Path, good: list[Path], tmp_path: Path
) -> None:
    output = tmp_path / "labels.jsonl"
    assert run("label", good[0], "-o", output, "--threshold", 0.1, *_options(model_file)).status == 0
    (row,) = _rows(output).values()
    assert (row["answer"]["top_k"], row["answer"]["threshold"]) == (None, 0.1)


def test_views_auto_says_how_many_clips_it_took(run: Run, model_file: Path, good: list[Path], tmp_path: Path) -> None:
    output = tmp_path / "labels.jsonl"
    options = ["--model", model_file, "--precision", "fp32", "--device", "cpu", "--clips", 6, "--views", "auto"]
    assert run("label", good[-1], good[-2], "-o", output, *options).status == 0
    for row in _rows(output).values():
        assert row["asked"]["clips"] == 6
        assert 3 <= row["views"]["clips"] == len(row["clips"]) <= 6
        assert [clip["start_seconds"] for clip in row["clips"]] == sorted(c["start_seconds"] for c in row["clips"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["v"], "--output"),
        (["-o", "labels.jsonl"], "name at least one folder or video"),
        (["v", "-o", "labels.jsonl", "--shard", "0/2"], "--shard must be NUMBER/COUNT"),
        (["nothing*", "-o", "labels.jsonl"], "nothing matches nothing*"),
    ],
)
def test_wrong_usage(run: Run, arguments: list[str], message: str) -> None:
    outcome = run("label", *arguments)
    assert outcome.status == 2
    assert message in outcome.err


def test_many_in_python_are_the_same_as_one_by_one(model_file: Path, good: list[Path], tmp_path: Path) -> None:
    recognizer = nlvid_cli.load(model_file, precision="fp32", device="cpu", clips=1)
    answer = Answer(top_k=2)
    many = list(recognizer.classify_many([*good, tmp_path / "none.mp4"], answer))
    assert len(many) == len(good) + 1
    assert many[:3] == [recognizer.classify(clip, answer) for clip in good[:3]]
    assert many[-1].error.type == "VideoNotFound"  # type: ignore[union-attr]


def _start(folder: Path, output: Path, model_file: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "nlvid_cli", "label", str(folder), "-o", str(output), *_options(model_file), *more]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}  # so small a network gains nothing from more
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True, env=environment)


def _wait_for_rows(output: Path, count: int) -> None:
    until = time.monotonic() + 120
    while not output.exists() or output.read_bytes().count(b"\n") < count:
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_finishes_what_is_begun(
    model_file: Path, good: list[Path], tmp_path: Path, number: signal.Signals
) -> None:
    folder = _folder(tmp_path / "videos", good, 200)
    output = tmp_path / "labels.jsonl"
    process = _start(folder, output, model_file)
    _wait_for_rows(output, 3)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "finishing the videos in progress" in err
    done = len(_rows(output))
    assert 3 <= done < 200
    assert f"{200 - done} videos are left; " in err
    assert "Traceback" not in err


def test_a_second_interruption_stops_now(model_file: Path, good: list[Path], tmp_path: Path) -> None:
    folder = _folder(tmp_path / "videos", good, 200)
    output = tmp_path / "labels.jsonl"
    process = _start(folder, output, model_file)
    _wait_for_rows(output, 1)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    for line in process.stderr:
        if "again stops now" in line:
            break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert len(_rows(output)) < 200


def _kill_and_resume(folder: Path, output: Path, model_file: Path, kills: int, longest: float, *more: str) -> None:
    """Run it, kill it at a random moment, again and again, and let the last run come to its end."""
    rng = random.Random(0)
    for _ in range(kills):
        process = _start(folder, output, model_file, *more)
        time.sleep(rng.uniform(0, longest))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    process = _start(folder, output, model_file, *more)
    _, err = process.communicate(timeout=1000)
    assert process.returncode == 0, err


def _check_kills(good: list[Path], model_file: Path, tmp_path: Path, kills: int, videos: int) -> None:
    folder = _folder(tmp_path / "videos", good, videos)
    output, whole = tmp_path / "labels.jsonl", tmp_path / "whole.jsonl"
    began = time.monotonic()
    _start(folder, whole, model_file).communicate()
    _kill_and_resume(folder, output, model_file, kills, time.monotonic() - began)
    _same(_rows(output), _rows(whole))
    assert len(_rows(output)) == videos


def test_killed_and_resumed(run: Run, model_file: Path, good: list[Path], tmp_path: Path) -> None:
    folder, output, whole = _folder(tmp_path / "videos", good, 18), tmp_path / "labels.jsonl", tmp_path / "whole.jsonl"
    process = _start(folder, output, model_file)
    _wait_for_rows(output, 2)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    done = output.read_bytes().count(b"\n")
    assert 2 <= done < 18
    for file in (output, whole):
        assert run("label", folder, "-o", file, *_options(model_file)).status == 0
    _same(_rows(output), _rows(whole))
    assert len(_rows(output)) == 18


@pytest.mark.slow
def test_killed_three_times_and_resumed(model_file: Path, good: list[Path], tmp_path: Path) -> None:
    _check_kills(good, model_file, tmp_path, kills=3, videos=30)


def test_killed_while_rows_are_made_again(run: Run, model_file: Path, good: list[Path], tmp_path: Path) -> None:
    folder, output = _folder(tmp_path / "videos", good, 30), tmp_path / "labels.jsonl"
    run("label", folder, "-o", output, *_options(model_file))
    before = _rows(output)
    assert len(before) == 30
    process = _start(folder, output, model_file, "--top-k", "1")
    _wait_for_rows(output, 33)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    lines = output.read_bytes().splitlines(keepends=True)
    assert len(lines) < 60
    assert [json.loads(line) for line in lines[:30]] == list(before.values())
    run("label", folder, "-o", output, *_options(model_file), "--top-k", "1")
    rows = _rows(output)
    assert rows.keys() == before.keys()
    assert {row["answer"]["top_k"] for row in rows.values()} == {1}


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_killed_thirty_times_and_resumed(model_file: Path, good: list[Path], tmp_path: Path) -> None:
    _check_kills(good, model_file, tmp_path, kills=30, videos=60)


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_two_shards_killed_and_resumed(run: Run, model_file: Path, good: list[Path], tmp_path: Path) -> None:
    folder = _folder(tmp_path / "videos", good, 60)
    whole = tmp_path / "whole.jsonl"
    began = time.monotonic()
    _start(folder, whole, model_file).communicate()
    seconds = time.monotonic() - began
    for number in (1, 2):
        _kill_and_resume(folder, tmp_path / "labels.jsonl", model_file, 5, seconds, "--shard", f"{number}/2")
    assert run("label", "--merge", "-o", tmp_path / "labels.jsonl").status == 0
    _same(_rows(tmp_path / "labels.jsonl"), _rows(whole))


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_a_ray_cluster_that_loses_a_worker(model_file: Path, good: list[Path], tmp_path: Path) -> None:
    folder = _folder(tmp_path / "videos", good, 60)
    whole, output = tmp_path / "whole.jsonl", tmp_path / "labels.jsonl"
    _start(folder, whole, model_file).communicate()
    process = _start(folder, output, model_file, "--engine", "ray", "--workers", "2")
    _wait_for_rows(output, 5)
    assert _kill_one("ray::MapWorker") or _kill_one("ray::Map")
    _, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    _same(_rows(output), _rows(whole))
    again = _start(folder, output, model_file, "--engine", "ray", "--workers", "2")
    assert "60 of 60 videos are already in it" in again.communicate(timeout=120)[1]


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_of_a_ray_cluster_finishes_what_is_begun(
    model_file: Path, good: list[Path], tmp_path: Path, number: signal.Signals
) -> None:
    folder = _folder(tmp_path / "videos", good, 800)
    output = tmp_path / "labels.jsonl"
    process = _start(folder, output, model_file, "--engine", "ray", "--workers", "2")
    _wait_for_rows(output, 5)
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)  # as a terminal does it
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    done = len(_rows(output))
    assert 5 <= done < 800
    assert f"{800 - done} videos are left; " in err
    assert "Traceback" not in err
    assert not any("error" in row for row in _rows(output).values())


def _kill_one(name: str) -> bool:
    """Kill the first process of Ray that is called so."""
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if command.read_bytes().startswith(name.encode()):
                os.kill(int(command.parent.name), signal.SIGKILL)
                return True
        except OSError:
            continue
    return False


def test_stretches_of_a_table_are_entries_that_resume_and_merge(
    run: Run, model_file: Path, good: list[Path], tmp_path: Path
) -> None:
    table, output, options = tmp_path / "t.csv", tmp_path / "labels.jsonl", _options(model_file)
    shutil.copy(good[8], tmp_path / "a.mp4")  # 1.2 s
    table.write_text("video,start,end\na.mp4,0,0.4\na.mp4,0.4,0:01\n")
    assert run("label", table, "-o", output, *options).status == 0
    before = output.read_text()
    table.write_text("video,start,end\na.mp4,0,0.4\na.mp4,0.4,0:01\na.mp4,,\na.mp4,7,8\n")
    assert run("label", table, "-o", output, *options).status == 1
    assert output.read_text().startswith(before)
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert {json.dumps(row.get("stretch")): row.get("error", {}).get("type") for row in rows} == {
        '{"start_seconds": 0.0, "end_seconds": 0.4}': None, '{"start_seconds": 0.4, "end_seconds": 1.0}': None,
        "null": None, '{"start_seconds": 7.0, "end_seconds": 8.0}': "UnreadableVideo",
    }  # fmt: skip
    for number in (1, 2):
        run("label", table, "-o", tmp_path / "parts.jsonl", "--shard", f"{number}/2", *options)
    run("label", "--merge", "-o", tmp_path / "parts.jsonl")
    merged = [json.loads(line) for line in (tmp_path / "parts.jsonl").read_text().splitlines()]
    assert sorted(map(json.dumps, merged)) == sorted(map(json.dumps, rows))


def test_folders_of_frames_of_a_list(run: Run, model_file: Path, tmp_path: Path) -> None:
    for name in ("run", "walk"):
        (tmp_path / name).mkdir()
        for number in range(1, 13):
            (tmp_path / name / f"img_{number:05d}.png").write_bytes(png(64, 48))
    (tmp_path / "list.txt").write_text("run 10 0\nwalk 300 1\n")
    command = ["label", f"@{tmp_path / 'list.txt'}", "-o", tmp_path / "labels.jsonl", *_options(model_file)]
    assert run(*command).status == 0
    rows = sorted(map(json.loads, (tmp_path / "labels.jsonl").read_text().splitlines()), key=lambda row: row["video"])
    assert [row["stretch"] for row in rows] == [{"end_frame": 10}, {"end_frame": 300}]
    assert rows[0]["clips"][-1]["end_seconds"] <= 10 / 25
    assert "2 of 2 videos are already in it" in run(*command).err
    (tmp_path / "run" / "img_00013.png").write_bytes(png(64, 48))
    assert "1 of 2 videos are already in it" in run(*command).err


def test_folders_of_frames_at_another_rate_are_labelled_again(run: Run, model_file: Path, tmp_path: Path) -> None:
    for name in ("run", "walk"):
        (tmp_path / "v" / name).mkdir(parents=True)
        for number in range(1, 13):
            (tmp_path / "v" / name / f"{number}.png").write_bytes(png(64, 48))
    command = ["label", tmp_path / "v", "-o", tmp_path / "labels.jsonl", *_options(model_file)]
    assert run(*command).status == 2
    for fps in (25, 12.5):
        for labelled in (0, 2):
            outcome = run(*command, "--frames", "--fps", fps)
            assert outcome.status == 0
            assert ("2 of 2 videos are already in it" in outcome.err) == bool(labelled)
        rows = [json.loads(line) for line in (tmp_path / "labels.jsonl").read_text().splitlines()]
        assert [(row["fps"], row["frame_rate"], row["duration_seconds"]) for row in rows] == [(fps, fps, 12 / fps)] * 2
