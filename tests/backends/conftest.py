"""A network of two Inception blocks, for all tests of this folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nlvid_cli.card.architecture import Head, InceptionArchitecture
from nlvid_cli.card.card import Card
from nlvid_cli.models.model_file import write_checkpoint
from tests.conftest import make_card
from tests.small_networks import random_weights


@pytest.fixture(scope="session")
def card() -> Card:
    head = Head("softmax_of_mean", (1, 2, 2))
    return make_card(architecture=InceptionArchitecture("inception", head, 1e-3, last="mixed_3b"))


@pytest.fixture(scope="session")
def random_tensors(card: Card) -> dict[str, np.ndarray]:
    return random_weights(card)


@pytest.fixture(scope="session")
def model_file(card: Card, random_tensors: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "random.safetensors"
    write_checkpoint(path, card, random_tensors)
    return path
