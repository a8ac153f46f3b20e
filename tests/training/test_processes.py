"""Several processes compute what one computes, and what was killed goes on as if nothing had happened."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nlvid_cli.datasets.labelled import DataSet
from nlvid_cli.models.model_file import open_checkpoint
from nlvid_cli.training.folder import load_state
from nlvid_cli.training.records import read_rows
from tests.conftest import REPOSITORY
from tests.training.child import main

CHILD = "tests.training.child"


def steps(folder: Path) -> list[dict[str, Any]]:
    return [row for row in read_rows(folder) if row["type"] == "step"]


def epochs(folder: Path) -> list[dict[str, Any]]:
    return [row for row in read_rows(folder) if row["type"] == "epoch"]


@pytest.fixture(scope="module")
def alone(two_motions: DataSet, motions_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of one process that nothing disturbed."""
    import torch

    torch.set_num_threads(1)
    output = tmp_path_factory.mktemp("alone") / "run"
    main(motions_folder, output)
    return output


def child(*arguments: object, start_new_session: bool = False) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        cwd=REPOSITORY,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        start_new_session=start_new_session,
    )


@pytest.mark.parametrize(("how", "tolerance"), [("double", 1e-6), ("finetune", 1e-4)])
def test_two_processes_give_the_losses_of_one(
    how: str, tolerance: float, two_motions: DataSet, motions_folder: Path, tmp_path: Path
) -> None:
    """From random weights in float64 (see ``double_precision``), and fine-tuning in float32."""
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", CHILD)
    assert child(*launcher, motions_folder, tmp_path / "two", how).wait() == 0
    main(motions_folder, tmp_path / "one", double=how == "double", finetune=how == "finetune")
    one = [row["loss"] for row in steps(tmp_path / "one")]
    two = [row["loss"] for row in steps(tmp_path / "two")]
    assert len(one) == 20
    assert np.ptp(one) > 0.1  # they did learn something
    np.testing.assert_allclose(two, one, rtol=0, atol=tolerance)
    figures = [[row["figures"] for row in epochs(tmp_path / run)] for run in ("one", "two")]
    assert figures[0] == figures[1]
    assert len(figures[0]) == 4


def test_a_killed_run_goes_on_to_the_same_weights(alone: Path, motions_folder: Path, tmp_path: Path) -> None:
    output, kill_at = tmp_path / "run", random.randrange(2, 19)
    process = child("-m", CHILD, motions_folder, output)
    while process.poll() is None and (len(steps(output)) if output.exists() else 0) < kill_at:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the run was over before it could be killed"
    assert load_state(output).step < 20
    main(motions_folder, output, resume=True)
    expected, got = load_state(alone), load_state(output)
    for name, tensor in expected.network.items():
        assert tensor.equal(got.network[name]), f"{name} differs, killed at step {kill_at}"
    for name, tensor in expected.average.items():
        assert tensor.equal(got.average[name]), f"average of {name} differs, killed at step {kill_at}"
    before, after = open_checkpoint(alone / "model.safetensors")[1], open_checkpoint(output / "model.safetensors")[1]
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert [row["loss"] for row in steps(output)] == [row["loss"] for row in steps(alone)]
    assert epochs(output) == epochs(alone)


def test_sigterm_to_all_processes_of_a_run_saves_it(motions_folder: Path, tmp_path: Path, two_motions: DataSet) -> None:
    """As Slurm and systemd send it: to the processes that decode, too."""
    output = tmp_path / "run"
    process = child("-m", CHILD, motions_folder, output, "workers", start_new_session=True)
    while process.poll() is None and (not output.exists() or len(steps(output)) < 2):
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(60) == 130
    assert 2 <= load_state(output).step < 2000
    assert _is_gone(process.pid)


def _is_gone(group: int) -> bool:
    """Whether the last process of a group ends, in no more than ten seconds."""
    for _ in range(1000):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.01)
    return False
