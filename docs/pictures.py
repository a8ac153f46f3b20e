"""Draw the pictures of the README from real runs of the command line.

    make pictures

Each picture is a terminal: the script runs a command in a pseudo-terminal, so that it prints what a user would see,
and saves the output as SVG. Nothing is typed in or edited. The picture shows the command as a user would write it,
that is, with ``nlvid`` and a short file name.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI
from rich.text import Text

PICTURES = Path(__file__).parent / "pictures"
COLUMNS = 108

FONT = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)
"""A font that rich's SVG would fetch from another host. Without it the reader's own monospace font is used."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("--model", default="i3d")
    arguments = parser.parse_args()
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder, "demo" + arguments.video.suffix)
        shutil.copy(arguments.video, video)
        draw("classify", ["classify", video.name, "--model", arguments.model], Path(folder))


def draw(name: str, command: list[str], folder: Path) -> None:
    """Run an nlvid command in a folder and save what it prints as ``docs/pictures/NAME.svg``."""
    shown = "$ nlvid " + " ".join(command)
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"), force_terminal=True)  # noqa: SIM115
    console.print(Text(shown, style="bold"))
    console.print(Text.from_ansi(terminal_output(command, folder).rstrip()))
    svg = console.export_svg(title="nlvid", theme=DIMMED_MONOKAI, unique_id=f"nlvid-{name}")
    (PICTURES / f"{name}.svg").write_text(FONT.sub("", svg), encoding="utf-8")


def terminal_output(command: list[str], folder: Path) -> str:
    """What an nlvid command prints to stdout on a terminal of :data:`COLUMNS` columns, with its colours."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
    environment = os.environ | {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
    environment.pop("NO_COLOR", None)
    process = subprocess.Popen([sys.executable, "-m", "nlvid_cli", *command], stdout=slave, cwd=folder, env=environment)
    os.close(slave)
    parts = []
    while part := read_part(master):
        parts.append(part)
    os.close(master)
    if process.wait():
        raise SystemExit(f"nlvid {' '.join(command)} ended with exit status {process.returncode}")
    return b"".join(parts).decode().replace("\r\n", "\n")


def read_part(master: int) -> bytes:
    """The next bytes from a pseudo-terminal; empty at the end."""
    try:
        return os.read(master, 65536)
    except OSError:  # Linux reports the end of a pseudo-terminal as an error
        return b""


if __name__ == "__main__":
    main()
