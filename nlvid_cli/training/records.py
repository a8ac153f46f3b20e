"""Records of a run in its folder: metrics.jsonl, and events for TensorBoard."""

from __future__ import annotations

import json
import logging
import math
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from nlvid_cli.system.atomic import atomic_file
from nlvid_cli.system.strict_json import JsonError, parse_json
from nlvid_cli.training.folder import writing
from nlvid_cli.training.observer import EpochRow, StepRow

log = logging.getLogger(__name__)

METRICS_FILE = "metrics.jsonl"
"""One row per line: {"type": "step", ...} or {"type": "epoch", ...}, with the fields of StepRow or EpochRow."""


class Records:
    """Rows of a run, appended as they come.

    Args:
        folder: Folder of the run.
        step: Number of finished steps. Later rows, from a run that was cut off, are removed.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self._path = folder / METRICS_FILE
        with writing(self._path):
            _keep_until(self._path, step)
            self._file = self._path.open("a", encoding="utf-8")
            self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1 if step else None)

    def step(self, row: StepRow) -> None:
        """Write a step."""
        names = ("loss", "learning_rate", "clips_per_second", "data_wait")
        self._write({"type": "step"} | asdict(row), {f"train/{name}": getattr(row, name) for name in names})

    def epoch(self, row: EpochRow) -> None:
        """Write an epoch."""
        figures = {"train/epoch_loss": row.train_loss, "train/figure": row.train_figure}
        figures |= {f"validation/{name}": value for name, value in row.figures.items()}
        self._write({"type": "epoch"} | asdict(row), figures)

    def flush(self) -> None:
        """Make sure that all rows are on the disk."""
        with writing(self._path):
            self._file.flush()
            os.fsync(self._file.fileno())
            self._board.flush()

    def close(self) -> None:
        """Close the files."""
        with writing(self._path):
            self._file.close()
            self._board.close()

    def _write(self, row: dict[str, Any], curves: dict[str, float]) -> None:
        with writing(self._path):
            self._file.write(json.dumps(_finite(row), allow_nan=False) + "\n")
            for name, value in curves.items():
                self._board.add_scalar(name, value, row["step"])


def read_rows(folder: Path) -> list[dict[str, Any]]:
    """Return all rows of metrics.jsonl; warn how many lines are damaged, except for a last one that was cut off."""
    path = folder / METRICS_FILE
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    rows = [_parsed(line) for line in lines if line.endswith(b"\n")]
    damaged = rows.count(None)
    if damaged:
        log.warning("%s: left out %d lines that are damaged", path, damaged)
    return [row for row in rows if row is not None]


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        row = parse_json(line)
    except JsonError:
        return None
    is_row = isinstance(row, dict) and isinstance(row.get("type"), str) and type(row.get("step")) is int
    return row if is_row else None


def _finite(value: Any) -> Any:
    """Replace NaN and infinity, which JSON does not have, by None."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _keep_until(path: Path, step: int) -> None:
    rows = [row for row in read_rows(path.parent) if row["step"] <= step]
    with atomic_file(path) as part:
        part.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
