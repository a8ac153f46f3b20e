"""Files of a run, above all on a full disk."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
import torch

from nlvid_cli.errors import OutputError, UsageError
from nlvid_cli.training import records as records_module
from nlvid_cli.training.folder import RunState, load_state, prepare_folder, save_state, writing
from nlvid_cli.training.observer import EpochRow, StepRow
from nlvid_cli.training.records import Records, read_rows

ROW = StepRow(step=1, steps=2, epoch=1, loss=1.0, learning_rate=0.1, clips_per_second=1.0, data_wait=0.0)


@contextmanager
def little_room(size_bytes: int) -> Iterator[None]:
    """Do not let files grow larger than this."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def _state(step: int, values: int) -> RunState:
    network: dict[str, Any] = {"weight": torch.rand(values)}
    return RunState(step, network, {}, {}, None, 0, [], {}, {})


def test_the_last_saved_state_is_kept(tmp_path: Path) -> None:
    save_state(_state(1, 10), tmp_path)
    with little_room(100_000), pytest.raises(OutputError, match=r"state\.pt: .*free space.*--resume"):
        save_state(_state(2, 100_000), tmp_path)
    assert load_state(tmp_path).step == 1
    assert [path.name for path in tmp_path.iterdir()] == ["state.pt"]


def test_the_state_of_another_version_is_refused(tmp_path: Path) -> None:
    torch.save(vars(_state(1, 1)) | {"a_field_of_another_version": 1}, tmp_path / "state.pt")
    with pytest.raises(UsageError, match="another --output"):
        load_state(tmp_path)


def test_rows_that_do_not_fit_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records_module, "SummaryWriter", MagicMock())  # it writes in a thread of its own, at any time
    records = Records(tmp_path, 0)
    records.step(ROW)
    records.flush()
    with little_room((tmp_path / "metrics.jsonl").stat().st_size):
        records.step(ROW)
        with pytest.raises(OutputError, match=r"metrics\.jsonl: .*File too large.*free space"):
            records.flush()
    records.close()
    assert len(read_rows(tmp_path)) == 2
    with little_room(10), pytest.raises(OutputError, match=r"metrics\.jsonl"):
        Records(tmp_path, 1)
    assert len(read_rows(tmp_path)) == 2  # earlier rows are not lost


@pytest.mark.parametrize(
    "line", [b"[" * 100_000, b"[1]", b'{"type": "step", "step": NaN}', b'{"type": "step", "step": "1"}', b"\xff"]
)
def test_rows_that_are_damaged_are_left_out(tmp_path: Path, line: bytes, caplog: pytest.LogCaptureFixture) -> None:
    good = [b'{"type": "step", "step": 1}\n', b'{"type": "step", "step": 2}\n']
    (tmp_path / "metrics.jsonl").write_bytes(good[0] + line + b"\n" + good[1] + b'{"type": "st')
    assert [row["step"] for row in read_rows(tmp_path)] == [1, 2]
    assert "1 lines that are damaged" in caplog.text


@pytest.mark.parametrize("content", [b"[" * 100_000, b"[]", b'{"recipe": 7}', b"\xff", b'{"recipe": NaN}'])
def test_what_a_run_was_may_be_damaged(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "recipe.json").write_bytes(content)
    (tmp_path / "state.pt").touch()
    with pytest.raises(UsageError, match=r"recipe\.json"):
        prepare_folder(tmp_path, {"recipe": {"epochs": 1}}, resume=True)


def test_the_file_is_named_once() -> None:
    with (
        pytest.raises(OutputError, match=r"^model\.safetensors: cannot be written \(full\)$"),
        writing(Path("model.safetensors")),
    ):
        raise OSError("model.safetensors: full")


def test_other_errors_pass() -> None:
    with pytest.raises(ValueError, match="other"), writing(Path("model.safetensors")):
        raise ValueError("other")


def test_nan_and_infinity_are_null_in_json(tmp_path: Path) -> None:
    records = Records(tmp_path, 0)
    records.epoch(EpochRow(1, 1, train_loss=1.0, train_figure=float("nan"), figures={"mAP": float("inf")}, best=True))
    records.close()
    row = read_rows(tmp_path)[0]
    assert (row["train_figure"], row["figures"]) == (None, {"mAP": None})
