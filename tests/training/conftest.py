from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from nlvid_cli.datasets.labelled import DataSet
from tests.training.made import colours_and_motions, motions


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Use one thread, which is faster for tiny networks and gives the same numbers as child processes."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def motions_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("motions") / "videos"


@pytest.fixture(scope="session")
def two_motions(motions_folder: Path) -> DataSet:
    return motions(motions_folder, 8)


@pytest.fixture(scope="session")
def several_labels(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    return colours_and_motions(tmp_path_factory.mktemp("colours") / "videos", 4)
