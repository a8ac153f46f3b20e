from __future__ import annotations

import errno
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from nlvid_cli.system.shortage import shortage

LIMITED = """
import sys
from nlvid_cli import app
{before}
sys.argv = {arguments!r}
app.main()
"""
NO_THREADS = """
import threading
def refused(*_): raise RuntimeError("can't start new thread")
threading._start_new_thread = refused
"""


@pytest.mark.parametrize(
    ("error", "lack"),
    [
        (MemoryError(), "memory"),
        (MemoryError("Unable to allocate 3 GiB\nfor an array"), "3 GiB"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "memory"),
        (OSError(errno.EMFILE, "Too many open files"), "open files"),
        (OSError(errno.EFBIG, "File too large"), "ulimit -f"),
        (BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"), "processes"),
        (RuntimeError("can't start new thread"), "threads"),
        (ImportError("libtorch_cpu.so: failed to map segment from shared object"), "memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), "memory"),
    ],
)
def test_a_shortage_is_told_in_one_line(error: Exception, lack: str) -> None:
    said = shortage(error)
    assert said is not None
    assert lack in said
    assert "\n" not in said


@pytest.mark.parametrize(
    "error", [RuntimeError("no"), OSError(errno.ENOENT, "no such file"), ImportError("no"), ValueError("bad_alloc")]
)
def test_other_errors_are_no_shortage(error: Exception) -> None:
    assert shortage(error) is None


def _run(before: str, *arguments: object, address_space: int | None = None) -> subprocess.CompletedProcess[str]:
    def limit() -> None:
        if address_space is not None:
            resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))

    code = LIMITED.format(before=before, arguments=["nlvid", *map(str, arguments)])
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, preexec_fn=limit, check=False)


def _is_one_line(done: subprocess.CompletedProcess[str], lack: str) -> None:
    assert done.returncode == 3
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: not enough {lack}")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the address space")
@pytest.mark.parametrize("command", ["classify", "evaluate"])
def test_no_room_for_the_libraries(command: str, small_model_file: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("path,label\na.mp4,wave\n")
    named = tmp_path / ("labels.csv" if command == "evaluate" else "a.mp4")
    done = _run("", command, "--device", "cpu", "--model", small_model_file, named, address_space=1 << 30)
    _is_one_line(done, "memory")


@pytest.mark.parametrize("command", ["classify", "label"])
def test_no_new_thread(command: str, small_model_file: Path, tmp_path: Path) -> None:
    output = ["--output", tmp_path / "rows.jsonl"] if command == "label" else []
    videos = [tmp_path / "a.mp4", tmp_path / "b.mp4"]
    done = _run(NO_THREADS, command, "--device", "cpu", "--quiet", "--model", small_model_file, *videos, *output)
    _is_one_line(done, "threads")
