"""Hostile files are refused by every command that reads them: nothing is executed, nothing is kept."""

from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.conftest import Run


class Runs:
    """Calls a function when it is unpickled."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self._call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self._call


def _torch_file(content: object) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def _compressed_zip() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(50_000_000))
    return file.getvalue()


def _touch(canary: Path) -> Runs:
    return Runs(os.system, f"touch {canary}")


ATTACKS: dict[str, Callable[[Path], bytes]] = {
    "pickle.pkl": lambda canary: pickle.dumps({"blobs": {"conv1_w": _touch(canary)}}, 2),
    "chain.pkl": lambda canary: pickle.dumps({"blobs": Runs(getattr, Runs(__import__, "os"), "system")}, 2),
    "objects.pkl": lambda canary: pickle.dumps({"blobs": {"pred_w": np.array([_touch(canary)], object)}}, 2),
    "foreign.pth": lambda canary: _torch_file({"state_dict": {"fc.weight": torch.ones(2)}, "meta": _touch(canary)}),
    "bomb.pth": lambda canary: _compressed_zip(),
    "lying.safetensors": lambda canary: struct.pack("<Q", 2**60) + b"{}",
}


@pytest.mark.parametrize("way", ["pull", "convert", "classify"])
@pytest.mark.parametrize("name", ATTACKS)
def test_a_hostile_file_is_refused_by_every_command(
    name: str, way: str, run: Run, server, tools, make_card, weights, cache: Path, tmp_path: Path
) -> None:
    canary, hostile = tmp_path / "canary", tmp_path / name
    hostile.write_bytes(ATTACKS[name](canary))
    server.pages[f"/{name}"] = tools.Page(hostile.read_bytes())
    weights(make_card({"kind": "url", "url": f"{server.url}/{name}"}, name="entry.test"))
    arguments = {
        "pull": ("models", "pull", "entry.test"),
        "convert": ("models", "convert", hostile, "--as", "entry.test", "-o", tmp_path / "out.safetensors"),
        "classify": ("classify", "video.mp4", "--model", hostile, "--as", "entry.test"),
    }[way]
    outcome = run(*arguments)
    assert (outcome.status, outcome.out) == (3, ""), outcome.err
    assert outcome.err.rpartition("error: ")[2]
    assert "Traceback" not in outcome.err
    assert not canary.exists()
    assert not (tmp_path / "out.safetensors").exists()
    kept = [file for file in cache.rglob("*") if file.is_file() and file.suffix != ".lock"]
    assert kept == []
