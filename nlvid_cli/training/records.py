"""What a run writes into its folder beside the weights: metrics.jsonl, and events for TensorBoard."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from nlvid_cli.training.observer import EpochRow, StepRow

METRICS_FILE = "metrics.jsonl"
"""A line per row: {"type": "step", ...} and {"type": "epoch", ...}, with the fields of StepRow and EpochRow."""


class Records:
    """Rows of a run, appended as they come.

    Args:
        folder: of the run.
        step: steps that are done; rows beyond, of a run that was cut off, are taken out.
    """

    def __init__(self, folder: Path, step: int) -> None:
        path = folder / METRICS_FILE
        _keep_until(path, step)
        self._file = path.open("a", encoding="utf-8")
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1 if step else None)

    def step(self, row: StepRow) -> None:
        """Write down a step."""
        self._write({"type": "step"} | asdict(row))
        for name in ("loss", "learning_rate", "clips_per_second", "data_wait"):
            self._board.add_scalar(f"train/{name}", getattr(row, name), row.step)

    def epoch(self, row: EpochRow) -> None:
        """Write down an epoch."""
        self._write({"type": "epoch"} | asdict(row))
        figures = {"train/epoch_loss": row.train_loss, "train/figure": row.train_figure}
        figures |= {f"validation/{name}": value for name, value in row.figures.items()}
        for name, value in figures.items():
            self._board.add_scalar(name, value, row.step)

    def flush(self) -> None:
        """Let what was written reach the files."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._board.flush()

    def close(self) -> None:
        """No more rows."""
        self._file.close()
        self._board.close()

    def _write(self, row: dict[str, Any]) -> None:
        self._file.write(json.dumps(row) + "\n")


def read_rows(folder: Path) -> list[dict[str, Any]]:
    """All rows of metrics.jsonl; a last line that was cut off is left out."""
    path = folder / METRICS_FILE
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def _keep_until(path: Path, step: int) -> None:
    rows = [row for row in read_rows(path.parent) if row["step"] <= step]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
