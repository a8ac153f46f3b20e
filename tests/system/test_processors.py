from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from nlvid_cli.system import processors
from nlvid_cli.system.processors import limit_torch_threads, usable_processors


@pytest.fixture
def sixty_four(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of 64 processors, on which this process runs in the group a/b/c."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)), raising=False)
    monkeypatch.setattr(processors, "GROUPS", tmp_path)
    monkeypatch.setattr(processors, "OWN_GROUP", tmp_path / "own")
    (tmp_path / "own").write_text("1:name=systemd:/other\n0::/a/b/c\n")
    (tmp_path / "a/b/c").mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, 64),
        ({"a/b/c": "max 100000\n"}, 64),
        ({"a/b/c": "200000 100000\n"}, 2),
        ({"a/b/c": "50000 100000\n"}, 1),
        ({"a/b/c": "250000 100000\n"}, 3),
        ({"a": "800000 100000\n", "a/b": "400000 100000\n", "a/b/c": "max 100000\n"}, 4),
        ({".": "1600000 100000\n"}, 16),  # as seen from inside a container
        ({"a": "9900000 100000\n"}, 64),
        ({"a": "what?\n", "a/b": ""}, 64),
    ],
)
def test_the_time_of_a_container_bounds_them(sixty_four: Path, limits: dict[str, str], expected: int) -> None:
    for group, text in limits.items():
        (sixty_four / group / "cpu.max").write_text(text)
    assert usable_processors() == expected


@pytest.mark.parametrize("own", ["", "4:cpu:/docker/1\n"])
def test_without_such_groups(sixty_four: Path, own: str) -> None:
    (sixty_four / "own").write_text(own)
    assert usable_processors() == 64
    (sixty_four / "own").unlink()
    assert usable_processors() == 64


def test_torch_has_no_more_threads(sixty_four: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    try:
        torch.set_num_threads(8)
        limit_torch_threads()
        assert torch.get_num_threads() == 8
        (sixty_four / "a/cpu.max").write_text("300000 100000\n")
        limit_torch_threads()
        assert torch.get_num_threads() == 3
        torch.set_num_threads(8)
        monkeypatch.setenv("OMP_NUM_THREADS", "8")
        limit_torch_threads()
        assert torch.get_num_threads() == 8
    finally:
        torch.set_num_threads(before)
