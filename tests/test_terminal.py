"""Names from outside on a terminal: whatever they hold, the terminal gets only what a person can see."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from nlvid_cli.app import main
from nlvid_cli.card.card import Labels
from nlvid_cli.models.model_file import open_checkpoint, write_checkpoint
from tests.clips import make_clip
from tests.terminals import run_on_terminal, terminal

HOSTILE = "a\x1b[31mb\x1b]0;t\x07c\u202egnp\u200bd\x7f\x9b2Je"
"""Colours, the title of the window, a reversed direction, a letter of no width, DEL, and C1."""

SHOWN = r"a\x1b[31mb\x1b]0;t\x07c\u202egnp\u200bd\x7f\x9b2Je"

RAW = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2028\u2029\u2060-\u206f\ufeff\ud800-\udfff]")

DRAWING = re.compile(r"\x1b\[(?:[0-9;]*m|\?25[lh]|2K|\d*A)|\r")
"""What bars and spinners need: colours, the cursor, erasing a line."""


class Nlvid:
    """Runs command lines in this process, whose streams and their descriptors are a terminal."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def __call__(self, *arguments: object) -> tuple[int, str]:
        saved = [os.dup(1), os.dup(2)]
        with terminal() as (slave, got), self._monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["nlvid", *map(str, arguments)])
            try:
                for number, name in ((1, "stdout"), (2, "stderr")):
                    os.dup2(slave, number)
                    patch.setattr(sys, name, open(os.dup(slave), "w", encoding="utf-8"))  # noqa: SIM115
                streams = sys.stdout, sys.stderr
                with pytest.raises(SystemExit) as end:
                    main()
                for stream in streams:
                    stream.close()
            finally:
                for number, before in zip((1, 2), saved, strict=True):
                    os.dup2(before, number)
                    os.close(before)
        assert isinstance(end.value.code, int | None)
        return end.value.code or 0, got.text


@pytest.fixture
def nlvid(monkeypatch: pytest.MonkeyPatch) -> Nlvid:
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "400")
    return Nlvid(monkeypatch)


def _require_shown(text: str, shown: str = SHOWN) -> None:
    assert shown in text
    assert not RAW.findall(text)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", frames=40)


@pytest.fixture(scope="module")
def hostile_model(small_model_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file whose labels and name hold what a card may hold."""
    card, tensors = open_checkpoint(small_model_file)
    names = ("run\u202egnp", "[red]eat[/]", "الجري", "a\u200bb", "💃 dance")
    path = tmp_path_factory.mktemp(HOSTILE) / "m\x1b[2J\n.safetensors"
    write_checkpoint(path, replace(card, labels=Labels("single", 5, names=names)), tensors)
    return path


def test_a_pickle_that_asks_for_a_hostile_global(nlvid: Nlvid, tmp_path: Path) -> None:
    file = tmp_path / "a.pkl"
    file.write_bytes(b"\x80\x02c" + f"os{HOSTILE}\nsystem".encode() + b"\n.")
    status, text = nlvid("models", "convert", file, "--as", "i3d", "-o", tmp_path / "b.safetensors")
    assert status == 3
    _require_shown(text)


def test_a_safetensors_file_with_hostile_names(nlvid: Nlvid, tmp_path: Path) -> None:
    header = json.dumps({HOSTILE + "\n": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    file = tmp_path / "a.safetensors"
    file.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    status, text = nlvid("models", "convert", file, "--as", "i3d", "-o", tmp_path / "b.safetensors")
    assert status == 3
    _require_shown(text, SHOWN + r"\n")


def test_the_shared_hostile_files(nlvid: Nlvid, shared: Path, tmp_path: Path) -> None:
    status, text = nlvid("train", shared / "hostile" / "esc.csv", "--check")
    assert status == 2
    _require_shown(text, r"\x1b[31mx\x07.mp4")
    file = shared / "hostile" / "key2.safetensors"
    status, text = nlvid("models", "convert", file, "--as", "i3d", "-o", tmp_path / "b.safetensors")
    assert status == 3
    _require_shown(text, r"a\x1b[31mEV\x07")


def test_a_table_of_hostile_paths_and_labels(nlvid: Nlvid, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text(f"path,label\n{HOSTILE}.mp4,run\n")
    status, text = nlvid("train", table, "--check")
    assert status == 2
    _require_shown(text)
    (tmp_path / "a.mp4").touch()
    table.write_text(f"path,label\na.mp4,{HOSTILE}\n")
    status, text = nlvid("train", table, "--check")
    assert status == 2
    _require_shown(text)


def test_folders_and_files_with_hostile_names(nlvid: Nlvid, clip: Path, tmp_path: Path) -> None:
    for name in ("run\u202e", "walk [b]\u200b"):
        folder = tmp_path / "videos" / name
        folder.mkdir(parents=True)
        (folder / f"1{HOSTILE}\n.mp4").write_bytes(clip.read_bytes()[:1000])
        (folder / "2.mp4").write_bytes(clip.read_bytes())
    status, text = nlvid("train", tmp_path / "videos", "--check")
    assert status == 1
    _require_shown(text, SHOWN + r"\n.mp4")
    assert "run\\u202e" in text
    assert "walk [b]\\u200b" in text


@pytest.mark.parametrize("form", ["table", "csv", "jsonl", "json"])
def test_every_format_of_results(nlvid: Nlvid, hostile_model: Path, clip: Path, tmp_path: Path, form: str) -> None:
    names = [f"{HOSTILE}\nend.mp4", os.fsdecode(b"caf\xe9.mp4"), "broken\x1b[2K.mp4"]
    for name, content in zip(names, (clip.read_bytes(),) * 2 + (b"none",), strict=True):
        (tmp_path / name).write_bytes(content)
    arguments = ("--model", hostile_model, "--device", "cpu", "-f", form, "--clips", 1, "--timeline", "-v")
    status, text = nlvid("classify", tmp_path, *arguments)
    assert status == 1
    _require_shown(text, "broken\\x1b[2K.mp4")
    assert "caf\\udce9.mp4" in text
    if form in ("table", "csv"):
        assert "run\\u202egnp" in text
        assert "الجري" in text
        assert "[red]eat[/]" in text
        assert f"{SHOWN}\\nend.mp4" in text.replace("\n", "")  # lines are wrapped


def test_files_keep_the_exact_names(nlvid: Nlvid, hostile_model: Path, clip: Path, tmp_path: Path) -> None:
    video = tmp_path / f"{HOSTILE}\nend.mp4"
    video.write_bytes(clip.read_bytes())
    target = tmp_path / "labels.csv"
    assert nlvid("classify", video, "-m", hostile_model, "--device", "cpu", "-f", "csv", "-o", target) == (0, "")
    assert f'"{video}"' in target.read_text()
    assert "run\u202egnp" in target.read_text()


def test_labels_paths_and_models(nlvid: Nlvid, hostile_model: Path) -> None:
    for command in ("labels", "pull", "show"):
        status, text = nlvid("models", command, hostile_model)
        assert status == 0
        _require_shown(text, "run\\u202egnp" if command == "labels" else "i3d-inception-8x2.test-made")


@pytest.mark.parametrize(
    "arguments",
    [
        ["classify", f"--{HOSTILE}\n"],
        [f"{HOSTILE}\n"],
        ["classify", "v.mp4", "--crops", f"{HOSTILE}\n"],
        ["classify", "v.mp4", "--model", f"{HOSTILE}\n.safetensors"],
        ["classify", f"{HOSTILE}\n.mp4", "--model", "tiny"],
        ["models", "labels", f"{HOSTILE}\n.safetensors"],
        ["train", "v.csv", "--set", f"{HOSTILE}\n=1"],
        ["label", f"@{HOSTILE}\n.txt", "-o", "rows.jsonl"],
    ],
)
def test_hostile_arguments(nlvid: Nlvid, arguments: list[str]) -> None:
    status, text = nlvid(*arguments)
    assert status in (1, 2, 3)
    assert not RAW.findall(text)
    assert SHOWN + r"\n" in text or r"\u202egnp\u200bd" in text
    assert len(text.splitlines()) <= (4 if "Usage:" in text else 1)


def test_help_keeps_its_lines(nlvid: Nlvid) -> None:
    status, text = nlvid("models")
    assert (status, "\n  convert " in text) == (2, True)
    status, text = nlvid("classify", "--help")
    assert (status, " nlvid classify video.mp4\n" in text) == (0, True)


def test_a_run_with_a_bar(
    nlvid: Nlvid, hostile_model: Path, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    videos = tmp_path / f"v{HOSTILE}\n"
    videos.mkdir()
    (videos / "1\x1b[8m.mp4").write_bytes(clip.read_bytes())
    (videos / "2\x1b[8m.mp4").write_bytes(b"")
    rows = tmp_path / f"r{HOSTILE}\n.jsonl"
    rows.write_text('{"schema": 1, "video": "torn')
    status, text = nlvid("label", videos, "-o", rows, "-m", hostile_model, "--device", "cpu", "-v")
    assert status == 1
    assert "2/2" in text
    _require_shown(DRAWING.sub("", text))
    assert "\x1b[8m" not in text
    assert len(rows.read_text().splitlines()) == 2


def test_tracebacks_too(tmp_path: Path) -> None:
    """A whole process, as a user starts it."""
    status, text = run_on_terminal("models", "labels", tmp_path / f"{HOSTILE}.safetensors", env={"NLVID_DEBUG": "1"})
    assert status == 1
    assert "Traceback" in text
    _require_shown(text)


@pytest.fixture(autouse=True)
def own_stderr() -> Iterator[None]:
    """The command line replaces it for good."""
    before = sys.stderr
    yield
    sys.stderr = before
