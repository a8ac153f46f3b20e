"""Heat maps against the ``grad-cam`` package."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from nlvid_cli.backends.torch_backend import TorchBackend
from nlvid_cli.card.card import Card
from nlvid_cli.network.build import load_network
from nlvid_cli.recognize.explain.heat import HEAT_MAPS, gradcam, hirescam
from tests.small_networks import NETWORKS, random_weights


def test_the_formulas() -> None:
    features, gradient = np.random.default_rng(0).standard_normal((2, 3, 2, 4, 5)).astype(np.float32)
    expected = sum(gradient[c].mean() * features[c] for c in range(3))
    np.testing.assert_allclose(gradcam(features, gradient), expected, atol=1e-6)
    np.testing.assert_allclose(hirescam(features, gradient), np.einsum("cthw,cthw->thw", features, gradient), atol=1e-5)


def _packages_map(name: str, network: torch.nn.Module, layer: torch.nn.Module, view: np.ndarray, label: int) -> Any:
    package = pytest.importorskip("pytorch_grad_cam", reason="the package grad-cam is not installed")
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    class MeanLogits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.network(x).mean(dim=(2, 3, 4))

    kind = {"gradcam": package.GradCAM, "hirescam": package.HiResCAM}[name]
    tensor = torch.from_numpy(view)
    with kind(model=MeanLogits(), target_layers=[layer]) as cam:
        cam.activations_and_grads(tensor)[0, label].backward()
        features = cam.activations_and_grads.activations[0].cpu().numpy()
        gradient = cam.activations_and_grads.gradients[0].cpu().numpy()
        found = cam.get_cam_image(tensor, layer, [ClassifierOutputTarget(label)], features, gradient, False)
    return found[0]


def _compare(card: Card, tensors: dict[str, np.ndarray], view: np.ndarray, last: str) -> None:
    label = 2
    gradients = TorchBackend(card, tensors, "cpu", "fp32").gradients(view, label)
    for name, method in HEAT_MAPS.items():
        network = load_network(card, tensors)
        expected = _packages_map(name, network, network.get_submodule(last), view, label)
        found = method(gradients.features, gradients.feature_gradient)
        largest = np.abs(expected).max()
        assert largest > 0
        np.testing.assert_allclose(found / largest, expected / largest, atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_equal_to_the_package_on_small_networks(name: str) -> None:
    card = NETWORKS[name]
    view = np.random.default_rng(0).standard_normal((1, 3, 8, 64, 64), dtype=np.float32)
    last = "mixed_4b" if card.architecture.kind == "inception" else "res5.0"
    _compare(card, random_weights(card), view, last)


@pytest.mark.slow
def test_equal_to_the_package_on_the_i3d() -> None:
    pytest.importorskip("pytorch_grad_cam", reason="the package grad-cam is not installed")
    from nlvid_cli.models.find import find_model
    from nlvid_cli.models.model_file import open_checkpoint

    card, path = find_model("i3d")
    view = np.random.default_rng(0).uniform(-1, 1, (1, 3, 32, 224, 224)).astype(np.float32)
    _compare(card, dict(open_checkpoint(path)[1]), view, "mixed_5c")


@pytest.mark.slow
def test_equal_to_the_package_on_a_resnet() -> None:
    from nlvid_cli.card.manifest import find_card

    card = find_card("i3d-r50-8x8.pyslowfast-k400")
    view = np.random.default_rng(0).standard_normal((1, 3, 8, 224, 224), dtype=np.float32)
    _compare(card, random_weights(card), view, f"res5.{card.architecture.blocks[3] - 1}")  # type: ignore[union-attr]
