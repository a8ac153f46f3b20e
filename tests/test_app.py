"""The command line from the outside: what is on stdout, on stderr, and the exit status."""

from __future__ import annotations

import csv
import io
import json
import os
import resource
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from nlvid_cli import __version__
from tests.clips import make_clip
from tests.conftest import Outcome, Run


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", frames=40)


@pytest.fixture
def classify(run: Run, small_model_file: Path) -> Run:
    return lambda *arguments: run("classify", "--model", small_model_file, "--device", "cpu", *arguments)


def test_version(run: Run) -> None:
    assert run("--version") == Outcome(0, f"nlvid {__version__}\n", "")


@pytest.mark.parametrize("command", [[], ["classify"], ["evaluate"], ["models", "list"], ["models", "show"],
                                     ["models", "pull"], ["models", "labels"], ["models", "push"], ["models", "remove"],
                                     ["doctor"]])  # fmt: skip
def test_every_command_has_help_with_two_examples(run: Run, command: list[str]) -> None:
    outcome = run(*command, "--help")
    assert outcome.status == 0
    assert outcome.err == ""
    if command:
        assert outcome.out.count("    nlvid ") + outcome.out.count("NLVID_CACHE=") >= 2


def test_help_is_quick() -> None:
    """Takes at most twice the processor time of importing typer and rich, in the median of five runs."""
    commands = {"help": ("-m", "nlvid_cli", "--help"), "imports": ("-c", "import typer, rich")}
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(5):
        for name, command in commands.items():
            before = _seconds_of_children()
            subprocess.run([sys.executable, *command], check=True, capture_output=True)
            seconds[name].append(_seconds_of_children() - before)
    assert median(seconds["help"]) <= 2 * median(seconds["imports"]), seconds


def _seconds_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_a_table_on_stdout_and_nothing_else(classify: Run, clip: Path) -> None:
    outcome = classify(clip)
    assert outcome.status == 0
    assert "clip.mp4" in outcome.out
    assert "swimming backstroke" in outcome.out
    assert "i3d-inception-8x2.test-made, 3 clips of 8 frames, step 2; torch" in outcome.out
    assert outcome.err == ""


def test_forced_colours_bring_no_spinner_into_a_log(classify: Run, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    outcome = classify(clip, "--clips", 1)
    assert outcome.err == ""
    assert "\x1b[" in outcome.out
    assert "1 clip of 8 frames" in outcome.out


def test_json_of_one_and_of_many(classify: Run, clip: Path) -> None:
    one = json.loads(classify(clip, "--format", "json").out)
    assert one["video"] == str(clip)
    assert (one["width"], one["height"], one["warnings"]) == (64, 48, [])
    assert len(one["predictions"]) == 5
    two = json.loads(classify(clip, clip.parent / "none.mp4", "--format", "json").out)
    assert two[0] == one
    assert two[1]["error"]["type"] == "VideoNotFound"


def test_one_bad_file_gives_status_1_and_a_line_on_stderr(classify: Run, clip: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"nothing" * 1000)
    outcome = classify(broken, clip, "-f", "jsonl", "-k", 1)
    assert outcome.status == 1
    lines = [json.loads(line) for line in outcome.out.splitlines()]
    assert lines[0]["error"]["type"] == "UnreadableVideo"
    assert len(lines[1]["predictions"]) == 1
    assert outcome.err.startswith(f"error: {broken}: ")
    assert outcome.err.endswith("1 of 2 videos failed\n")


def test_a_single_missing_file(classify: Run) -> None:
    outcome = classify("nowhere.mp4")
    assert outcome.status == 1
    assert outcome.out == ""
    assert outcome.err.startswith("error: nowhere.mp4: ")


def test_a_name_that_begins_with_a_dash(
    classify: Run, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "-clip.mp4").write_bytes(clip.read_bytes())
    monkeypatch.chdir(tmp_path)
    assert json.loads(classify("-f", "json", "--", "-clip.mp4").out)["video"] == "-clip.mp4"


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has no file names that are not UTF-8")
def test_a_name_that_is_not_utf8(classify: Run, clip: Path, tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.mp4")
    Path(path).write_bytes(clip.read_bytes())
    for form in ("table", "json", "csv"):
        outcome = classify(tmp_path, "-f", form)
        assert outcome.status == 0, outcome.err
        assert "caf" in outcome.out


def test_output_file_csv_with_timeline(classify: Run, clip: Path, tmp_path: Path) -> None:
    target = tmp_path / "labels.csv"
    outcome = classify(clip, "-f", "csv", "-o", target, "--timeline", "-k", 2)
    assert (outcome.status, outcome.out, outcome.err) == (0, "", "")
    rows = list(csv.DictReader(io.StringIO(target.read_text())))
    assert [row["clip"] for row in rows] == ["", "", "1", "1", "2", "2", "3", "3"]


def test_labels_minimum_and_views(classify: Run, clip: Path) -> None:
    arguments = ("--labels", "swim*", "--labels", "RUN*", "--min-score", 1.0, "--clips", 2, "--crops", 3, "--step", 1)
    result = json.loads(classify(clip, "-f", "json", *arguments).out)
    assert {p["label"] for p in result["predictions"]} == {"swimming", "swimming backstroke", "running"}
    assert result["unsure"] is True
    assert result["views"] == {"clips": 2, "crops": 3, "frames": 8, "step": 1, "frame_rate": None}
    assert "unsure" in classify(clip, "--min-score", 1.0).out


def test_folder_list_and_stdin_name_the_same_videos(classify: Run, clip: Path, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(f"{clip}\n")
    from_folder = classify(clip.parent, "-f", "jsonl").out
    assert from_folder == classify(f"@{tmp_path / 'list.txt'}", "-f", "jsonl").out
    assert from_folder == classify(clip, "-f", "jsonl").out


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["clip.mp4", "--model", "i3dd"], 2, "error: no model is called 'i3dd'; did you mean "),
        (["clip.mp4", "--model", "none.safetensors"], 3, "error: none.safetensors: no such model file"),
        (["clip.mp4", "--topk", "3"], 2, "No such option: --topk"),
        (["clip.mp4", "--crops", "2"], 2, "'2' is not one of '1', '3'"),
        (["clip.mp4", "--top-k", "0"], 2, "Invalid value for '--top-k'"),
        (["@none.txt"], 2, "error: @none.txt: cannot read the list"),
        ([], 2, "Missing argument 'VIDEO'"),
    ],
)
def test_wrong_usage(run: Run, arguments: list[str], status: int, message: str) -> None:
    outcome = run("classify", *arguments)
    assert outcome.status == status
    assert outcome.out == ""
    assert message in outcome.err
    assert "Traceback" not in outcome.err


def test_wrong_label_device_and_precision(classify: Run, clip: Path) -> None:
    outcome = classify(clip, "--labels", "swiming")
    assert (outcome.status, outcome.err[:57]) == (2, "error: no label is called 'swiming'; did you mean 'swimmi")
    assert classify(clip, "--device", "cuda:99").status == 3
    outcome = classify(clip, "--precision", "fp16")
    assert (outcome.status, outcome.err.startswith("error: fp16")) == (3, True)


def test_an_output_that_cannot_be_written(classify: Run, clip: Path, tmp_path: Path) -> None:
    outcome = classify(clip, "-o", tmp_path / "none" / "labels.json", "-f", "json")
    assert outcome.status == 1
    assert "cannot write" in outcome.err


def test_an_input_is_not_written_over(classify: Run, clip: Path, tmp_path: Path) -> None:
    video, link = tmp_path / "clip.mp4", tmp_path / "link.csv"
    video.write_bytes(clip.read_bytes())
    link.symlink_to(video)
    for arguments in ([video, "-o", video], [tmp_path, "-o", video], [video, "-o", link]):
        outcome = classify(*arguments, "-f", "csv")
        assert outcome.status == 2
        assert "is an input" in outcome.err
    assert video.read_bytes() == clip.read_bytes()


VERSION = f"{sys.executable} -m nlvid_cli --version"
LIST = f"{sys.executable} -m nlvid_cli models list --json"
"""More than a buffer of stdout holds."""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("command", [LIST, f"{sys.executable} -m nlvid_cli --help", f"{LIST} 2>&1"])
def test_stdout_that_cannot_be_written(command: str, unbuffered: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    done = subprocess.run(["sh", "-c", f"{command} > /dev/full"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    if "2>&1" not in command:
        assert done.stderr == "error: stdout: cannot write (No space left on device)\n"


@pytest.mark.parametrize("closing", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed(closing: str) -> None:
    done = subprocess.run(["sh", "-c", f"{VERSION} {closing}"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert bool(done.stdout) == (" >" not in f" {closing}")


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("command", [LIST, VERSION])
def test_a_closed_pipe_ends_quietly(command: str, unbuffered: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(shlex.split(command), stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")


def test_debug_shows_the_traceback(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NLVID_DEBUG", "1")
    with pytest.raises(Exception, match="no model is called"):
        run("classify", "clip.mp4", "--model", "i3dd")


VIDEOS = 1000
"""Number of videos in an interrupted run; far more than it has classified by then."""


def test_ctrl_c_keeps_what_is_done(small_model_file: Path, clip: Path, tmp_path: Path) -> None:
    target, videos = tmp_path / "labels.jsonl", [tmp_path / f"{number}.mp4" for number in range(VIDEOS)]
    for video in videos:
        video.symlink_to(clip)
    (tmp_path / "list.txt").write_text("".join(f"{video}\n" for video in videos))
    command = [sys.executable, "-m", "nlvid_cli", "classify", "-m", str(small_model_file), "-f", "jsonl"]
    process = subprocess.Popen(
        [*command, "-o", str(target), f"@{tmp_path / 'list.txt'}"], stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not any(part.stat().st_size > 2000 for part in tmp_path.glob(".labels.jsonl.*.part")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    try:
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "Traceback" not in err
    lines = [json.loads(line) for line in target.read_text().splitlines()]
    assert 0 < len(lines) < VIDEOS
    assert all("predictions" in line for line in lines)
    assert not list(tmp_path.glob(".labels*"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_keeps_what_is_done(
    classify: Run, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    from nlvid_cli.recognize.recognizer import Recognizer

    classify_many = Recognizer.classify_many

    def interrupted(self: Recognizer, *arguments: Any) -> Iterator[Any]:
        yield next(iter(classify_many(self, *arguments)))
        signal.raise_signal(number)

    monkeypatch.setattr(Recognizer, "classify_many", interrupted)
    target = tmp_path / "labels.jsonl"
    outcome = classify(clip, "none.mp4", "-f", "jsonl", "-o", target)
    assert (outcome.status, outcome.out) == (130, "")
    assert "Traceback" not in outcome.err
    assert [json.loads(line)["video"] for line in target.read_text().splitlines()] == [str(clip)]
    assert os.listdir(tmp_path) == ["labels.jsonl"]


def test_models_list_show_and_labels(run: Run) -> None:
    name = "i3d-inception-64x1.deepmind-k400"
    assert name in run("models", "list").out
    listed = json.loads(run("models", "list", "--json").out)
    assert listed[0]["accuracy"] == {"top-1": 68.4, "top-5": 88.0}
    shown = run("models", "show", "i3d").out
    assert "10 clips of 64 frames, step 1, counted at 25 frames/s" in shown
    assert "68.4 %" in shown
    assert json.loads(run("models", "show", "tiny", "--json").out)["aliases"] == ["tiny"]
    labels = run("models", "labels", "i3d").out.splitlines()
    assert (len(labels), labels[0], labels[6], labels[399]) == (400, "abseiling", "arm wrestling", "zumba")
    assert run("models", "show", "i3").status == 2


def test_doctor_without_a_network(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NLVID_CACHE", str(tmp_path))
    monkeypatch.setenv("HTTPS_PROXY", "http://user:secret@127.0.0.1:1")
    facts = json.loads(run("doctor", "--json", "--offline").out)
    assert facts["nlvid"] == __version__
    assert facts["packages"]["torch"]
    assert "threads" in facts["devices"]["cpu"]
    assert facts["ffmpeg"]["libavcodec"]
    assert facts["cache"]["folder"] == str(tmp_path)
    assert facts["variables"]["HTTPS_PROXY"] == "http://***@127.0.0.1:1"
    text = run("doctor", "--offline").out
    assert "libavcodec" in text
    assert "secret" not in text


@pytest.mark.parametrize(
    "value", ["user:secret@proxy:1", "https://me:sec/ret@idx", "https://me:se[cret@idx", "u:s@c:r@h"]
)
@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "PIP_INDEX_URL"])
def test_doctor_hides_passwords(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, value: str
) -> None:
    for other in list(os.environ):
        if other.lower().endswith("_proxy") or other.startswith(("PIP_", "UV_")):
            monkeypatch.delenv(other)
    monkeypatch.setenv("NLVID_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv(name, value)
    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    outcome = run("doctor", "--json")
    assert outcome.status == 0, outcome.err
    facts = json.loads(outcome.out)
    scheme = "https://" if "//" in value else ""
    assert facts["variables"][name] == f"{scheme}***@{value.rpartition('@')[2]}"
    told = json.dumps([facts["variables"], facts["sources"]]) + outcome.err
    for secret in ("sec", "cret", "ret@", "s@c"):
        assert secret not in told


def no_network(*_: object, **__: object) -> None:
    raise socket.gaierror(-2, "Name or service not known")
