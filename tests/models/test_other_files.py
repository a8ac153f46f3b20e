"""Files that are no models: the message says what they are and what to do, wherever a model file may be named."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path
from typing import Any

import pytest

from nlvid_cli.errors import ModelFileError
from nlvid_cli.models.find import find_model
from nlvid_cli.models.formats.opening import open_file
from tests.conftest import Run


def _tar() -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("model.pth"))
    return data.getvalue()


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 143000000\n"

OTHERS = {
    "empty": (b"", "empty"),
    "pointer": (LFS, "Git LFS.*git lfs pull"),
    "page": (b"<!DOCTYPE html><html><head><title>Virus scan warning</title></head></html>", "web page"),
    "page with blanks and a comment": (b"\xef\xbb\xbf\n<!-- x -->\n<HTML>", "web page"),
    "error of a store": (b'<?xml version="1.0"?>\n<Error><Code>AccessDenied</Code></Error>', "web page"),
    "error of an API": (b'{"error": "Invalid username or password."}', "JSON"),
    "error in a line": (b"404: Not Found", "message of a server"),
    "gzip": (gzip.compress(b"x" * 99), "compressed archive; unpack"),
    "tar": (_tar(), "tar archive; unpack"),
    "Keras": (b"\x89HDF\r\n\x1a\n" + bytes(50), "HDF5"),
}


@pytest.mark.parametrize("name", ["x.pth", "x.safetensors", "x.onnx"])
@pytest.mark.parametrize("kind", OTHERS)
def test_a_file_that_is_no_model(kind: str, name: str, tmp_path: Path) -> None:
    data, words = OTHERS[kind]
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(ModelFileError, match=rf"x\.\w+: .*{words}"):
        find_model(str(path), "nl-i3d", onnx=True)
    with pytest.raises(ModelFileError, match=rf"x\.\w+: .*{words}"):
        open_file(path)


def test_a_page_behind_an_address_is_not_kept(server: Any, tools: Any, cache: Path) -> None:
    server.pages["/x.pth"] = tools.Page(OTHERS["page"][0])
    with pytest.raises(ModelFileError, match=r"/x\.pth: a web page"):
        find_model(f"{server.url}/x.pth", "nl-i3d")
    assert [path for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock"] == []


@pytest.mark.parametrize("command", ["convert", "classify", "train"])
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("lfs.pth", "Git LFS"),
        ("html.pth", "web page"),
        ("script.pt", "TorchScript"),
        ("whole.pt", "model.state_dict()"),
    ],
)
def test_files_of_real_life(
    command: str, name: str, words: str, shared: Path, motions_clip: Path, tmp_path: Path, run: Run
) -> None:
    path = shared / "datasets" / "wild" / "checkpoints" / name
    if not path.is_file():
        pytest.skip(f"no {path}")
    lines = {
        "convert": ("models", "convert", path, "--as", "nl-i3d", "-o", tmp_path / "x.safetensors"),
        "classify": ("classify", motions_clip, "--model", path, "--as", "nl-i3d"),
        "train": (
            "train",
            motions_clip.parents[1],
            "--base",
            path,
            "--as",
            "nl-i3d",
            "--no-check",
            "-o",
            tmp_path / "run",
        ),
    }
    outcome = run(*lines[command])
    assert outcome.status == 3
    assert words in outcome.err


@pytest.fixture(scope="module")
def motions_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of the clips of a small data set."""
    from tests.training.made import motions

    data = motions(tmp_path_factory.mktemp("clips") / "videos", 2)
    return data.videos[0].path
