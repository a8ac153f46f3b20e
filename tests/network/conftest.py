from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.conftest import REPOSITORY


@pytest.fixture(scope="session")
def golden() -> dict[str, np.ndarray]:
    """Reference outputs of the Inception I3D with its real weights."""
    with np.load(REPOSITORY / "tests" / "data" / "i3d_inception_k400.npz") as file:
        return dict(file)


@pytest.fixture(scope="session")
def real_network() -> torch.nn.Module:
    from nlvid_cli.card.manifest import find_card
    from nlvid_cli.models.find import find_file
    from nlvid_cli.models.model_file import open_checkpoint
    from nlvid_cli.network.build import build_network, load_weights

    card = find_card("i3d")
    _, tensors = open_checkpoint(find_file(card))
    network = build_network(card)
    load_weights(network, {name: torch.from_numpy(array) for name, array in tensors.items()}, card.name)
    return network
