"""Every benchmark runs to its end at a tiny size."""

from __future__ import annotations

import runpy
import sys

import pytest

from tests.conftest import REPOSITORY

BENCHMARKS = REPOSITORY / "benchmarks"
SLOW = {"backends", "explain", "label", "timeline"}
LONG = {"finetune"}
SCRIPTS = {
    "annotate": "frames/s drawn and encoded",
    "backends": "onnx int8",
    "bundled": "of 2 right",
    "convert": "a Caffe2 file of",
    "decoding": "peak memory:",
    "explain": "(above random)",
    "finetune": "nlvid, frozen",
    "label": "shell loop of classify",
    "network": "inference form, fp32",
    "nonlocal_block": "concatenation",
    "threads": "chosen / best",
    "timeline": "memory, long / short",
}
"""From the name of a script to something that it prints."""


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if name in SLOW else pytest.mark.long if name in LONG else ())
        for name in SCRIPTS
    ],
)
def test_a_benchmark_runs(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    script = str(BENCHMARKS / f"{name}.py")
    monkeypatch.setattr(sys, "argv", [script, "--tiny"])
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    runpy.run_path(script, run_name="__main__")
    assert SCRIPTS[name] in capsys.readouterr().out


def test_all_benchmarks_are_run_here_and_by_make() -> None:
    assert {path.stem for path in BENCHMARKS.glob("*.py")} == SCRIPTS.keys()
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    assert all(f"benchmarks/{name}.py" in makefile for name in SCRIPTS)
