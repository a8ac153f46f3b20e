"""What a run writes into its folder beside the weights: metrics.jsonl, and events for TensorBoard."""

from __future__ import annotations

import json
import math
import os
import secrets
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from nlvid_cli.training.observer import EpochRow, StepRow
from nlvid_cli.training.writing import writing

METRICS_FILE = "metrics.jsonl"
"""A line per row: {"type": "step", ...} and {"type": "epoch", ...}, with the fields of StepRow and EpochRow."""


class Records:
    """Rows of a run, appended as they come.

    Args:
        folder: of the run.
        step: steps that are done; rows beyond, of a run that was cut off, are taken out.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self._path = folder / METRICS_FILE
        with writing(self._path):
            _keep_until(self._path, step)
            self._file = self._path.open("a", encoding="utf-8")
            self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1 if step else None)

    def step(self, row: StepRow) -> None:
        """Write down a step."""
        names = ("loss", "learning_rate", "clips_per_second", "data_wait")
        self._write({"type": "step"} | asdict(row), {f"train/{name}": getattr(row, name) for name in names})

    def epoch(self, row: EpochRow) -> None:
        """Write down an epoch."""
        figures = {"train/epoch_loss": row.train_loss, "train/figure": row.train_figure}
        figures |= {f"validation/{name}": value for name, value in row.figures.items()}
        self._write({"type": "epoch"} | asdict(row), figures)

    def flush(self) -> None:
        """Let what was written reach the files."""
        with writing(self._path):
            self._file.flush()
            os.fsync(self._file.fileno())
            self._board.flush()

    def close(self) -> None:
        """No more rows."""
        with writing(self._path):
            self._file.close()
            self._board.close()

    def _write(self, row: dict[str, Any], curves: dict[str, float]) -> None:
        with writing(self._path):
            self._file.write(json.dumps(_finite(row), allow_nan=False) + "\n")
            for name, value in curves.items():
                self._board.add_scalar(name, value, row["step"])


def _finite(value: Any) -> Any:
    """The same with None for what is no number, as JSON has none but finite ones."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_rows(folder: Path) -> list[dict[str, Any]]:
    """All rows of metrics.jsonl; a last line that was cut off is left out."""
    path = folder / METRICS_FILE
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def _keep_until(path: Path, step: int) -> None:
    rows = [row for row in read_rows(path.parent) if row["step"] <= step]
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        temporary.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
