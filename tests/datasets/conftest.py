from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Make = Callable[..., Path]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for a data set, while the working directory is another one."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@pytest.fixture
def make(data: Path) -> Make:
    """Make files with nothing in them, for readers that do not open them; gives the folder."""

    def call(*names: str) -> Path:
        for name in names:
            path = data / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return data

    return call


@pytest.fixture
def write(data: Path) -> Make:
    """Write a text file; gives its path."""

    def call(name: str, content: str | bytes) -> Path:
        path = data / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return call
