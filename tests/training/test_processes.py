"""Several processes compute what one computes, and a killed run resumes as if nothing had happened."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nlvid_cli.datasets.labelled import DataSet
from nlvid_cli.models.model_file import open_checkpoint
from nlvid_cli.training.folder import load_state
from nlvid_cli.training.records import read_rows
from tests.conftest import REPOSITORY
from tests.training import child
from tests.training.child import main

EPOCHS = 3
"""Epochs of the quick runs, of two steps each."""

TOLERANCES = {"double": 1e-6, "finetune": 1e-4}
"""Differences of losses, by kind of run: from random weights in float64, and from trained weights in float32."""


def steps(folder: Path) -> list[dict[str, Any]]:
    return [row for row in read_rows(folder) if row["type"] == "step"]


def epochs(folder: Path) -> list[dict[str, Any]]:
    return [row for row in read_rows(folder) if row["type"] == "epoch"]


def start(target: Callable[..., None], *arguments: Any, **options: Any) -> ForkServerProcess:
    """Start a process that does not have to import torch again."""
    context = get_context("forkserver")
    context.set_forkserver_preload([child.__name__])
    process = context.Process(target=target, args=arguments, kwargs=options, daemon=False)
    process.start()
    return process


def command(*arguments: object, start_new_session: bool = False) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        cwd=REPOSITORY,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        start_new_session=start_new_session,
    )


def require_same_losses(one: Path, two: Path, count: int, how: str) -> None:
    losses = [[row["loss"] for row in steps(folder)] for folder in (one, two)]
    assert len(losses[0]) == count
    assert np.ptp(losses[0]) > 0.1  # the network did learn something
    np.testing.assert_allclose(losses[1], losses[0], rtol=0, atol=TOLERANCES[how])
    first, second = epochs(one), epochs(two)
    assert [row["figures"] for row in second] == [row["figures"] for row in first]
    np.testing.assert_allclose([row["train_figure"] for row in second], [row["train_figure"] for row in first])


@pytest.mark.parametrize(("how", "validate"), [("double", True), ("finetune", False)])
def test_two_processes_give_the_losses_of_one(
    how: str, validate: bool, two_motions: DataSet, motions_folder: Path, tmp_path: Path
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = {"epochs": EPOCHS, "validate": validate}
    ranks = [start(child.run_rank, n, 2, port, motions_folder, tmp_path / "two", how, **options) for n in (0, 1)]
    main(motions_folder, tmp_path / "one", how, **options)  # type: ignore[arg-type]
    for process in ranks:
        process.join()
        assert process.exitcode == 0
    require_same_losses(tmp_path / "one", tmp_path / "two", 2 * EPOCHS, how)


@pytest.mark.slow
@pytest.mark.parametrize("how", TOLERANCES)
def test_two_processes_of_torchrun_give_the_losses_of_one(
    how: str, two_motions: DataSet, motions_folder: Path, tmp_path: Path
) -> None:
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", child.__name__)
    assert command(*launcher, motions_folder, tmp_path / "two", how).wait() == 0
    main(motions_folder, tmp_path / "one", how)
    require_same_losses(tmp_path / "one", tmp_path / "two", 20, how)
    assert len(epochs(tmp_path / "one")) == 4


def test_a_killed_run_resumes_to_the_same_weights(two_motions: DataSet, motions_folder: Path, tmp_path: Path) -> None:
    alone, output, kill_at = tmp_path / "alone", tmp_path / "run", random.randrange(2, 2 * EPOCHS - 1)
    process = start(child.run_alone, motions_folder, output, epochs=EPOCHS)
    while process.is_alive() and (len(steps(output)) if output.exists() else 0) < kill_at:
        time.sleep(0.01)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL, "the run was over before it could be killed"
    assert load_state(output).step < 2 * EPOCHS
    main(motions_folder, output, resume=True, epochs=EPOCHS)
    main(motions_folder, alone, epochs=EPOCHS)  # a run that nothing disturbs
    expected, got = load_state(alone), load_state(output)
    for name, tensor in expected.network.items():
        assert tensor.equal(got.network[name]), f"{name} differs, killed at step {kill_at}"
    for name, tensor in expected.average.items():
        assert tensor.equal(got.average[name]), f"average of {name} differs, killed at step {kill_at}"
    before, after = open_checkpoint(alone / "model.safetensors")[1], open_checkpoint(output / "model.safetensors")[1]
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert [row["loss"] for row in steps(output)] == [row["loss"] for row in steps(alone)]
    assert epochs(output) == epochs(alone)


@pytest.mark.slow
def test_sigterm_to_all_processes_of_a_run_saves_it(motions_folder: Path, tmp_path: Path, two_motions: DataSet) -> None:
    """As Slurm and systemd send it: also to the workers."""
    output = tmp_path / "run"
    process = command("-m", child.__name__, motions_folder, output, "workers", start_new_session=True)
    while process.poll() is None and (not output.exists() or len(steps(output)) < 2):
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(60) == 130
    assert 2 <= load_state(output).step < 2000
    assert _is_gone(process.pid)


@pytest.mark.slow
def test_shared_memory_may_be_small(motions_folder: Path, tmp_path: Path, two_motions: DataSet) -> None:
    """A container has 64 MB of it by default. Here it is smaller than one batch of these tiny clips."""
    inside = 'mount -t tmpfs -o size=64k tmpfs /dev/shm && exec "$@"'
    container = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", inside, "sh"]
    if shutil.which("unshare") is None or subprocess.run([*container, "true"], check=False).returncode:
        pytest.skip("this machine lets nobody mount")
    code = "import sys; from pathlib import Path; from tests.training.child import main; "
    code += "main(Path(sys.argv[1]), Path(sys.argv[2]), 'workers', epochs=2)"
    arguments = [*container, sys.executable, "-c", code, motions_folder, tmp_path / "run"]
    assert subprocess.run(arguments, cwd=REPOSITORY, check=False, timeout=120).returncode == 0
    assert len(steps(tmp_path / "run")) == 4


def _is_gone(group: int) -> bool:
    """Whether the last process of a group ends within ten seconds."""
    for _ in range(1000):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.01)
    return False
