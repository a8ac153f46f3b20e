"""A command line on a pseudo-terminal, and what that terminal got."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager


class Got:
    """What a pseudo-terminal got; ``text`` is complete once the block is over."""

    text = ""


@contextmanager
def terminal(columns: int = 400) -> Iterator[tuple[int, Got]]:
    """Yield a file descriptor of a terminal without any processing of its own, and what is written to it."""
    master, slave = os.openpty()
    tty.setraw(slave)  # line feeds stay line feeds
    import termios

    termios.tcsetwinsize(slave, (50, columns))
    got, parts = Got(), []

    def read() -> None:
        try:
            while part := os.read(master, 1 << 16):
                parts.append(part)
        except OSError:  # the other side is closed
            pass

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        yield slave, got
    finally:
        os.close(slave)
        reader.join(timeout=60)
        os.close(master)
        got.text = b"".join(parts).decode("utf-8", "surrogateescape")


def run_on_terminal(*arguments: object, env: dict[str, str] | None = None) -> tuple[int, str]:
    """Run ``nlvid`` with stdout and stderr on a terminal; return its status, and what the terminal got."""
    command = [sys.executable, "-m", "nlvid_cli", *map(os.fspath, map(_text, arguments))]
    with terminal() as (slave, got):
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=slave,
            stderr=slave,
            env={**os.environ, "TERM": "dumb", "HF_HUB_OFFLINE": "1", **(env or {})},
            check=False,
        )
    return done.returncode, got.text


def _text(argument: object) -> str:
    return str(argument)
