"""Heat maps of the last stage: Grad-CAM and HiResCAM, over time and space."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from nlvid_cli.recognize.explain.values import Method

Array = NDArray[np.float32]


def gradcam(features: Array, gradient: Array) -> Array:
    """Weight each channel by the mean of its gradient ("Grad-CAM", Selvaraju et al., ICCV 2017, equations 1 and 2).

    Args:
        features: (channels, T, H, W), the last map.
        gradient: Gradient of the label's logit, of the same shape.

    Returns:
        (T, H, W), before the ReLU.
    """
    weights = gradient.mean(axis=(1, 2, 3))
    evidence: Array = np.tensordot(weights, features, axes=1)
    return evidence


def hirescam(features: Array, gradient: Array) -> Array:
    """Multiply element by element ("HiResCAM", Draelos and Carin, arXiv 2011.08891); see :func:`gradcam`."""
    evidence: Array = (features * gradient).sum(axis=0)
    return evidence


HEAT_MAPS: dict[Method, Callable[[Array, Array], Array]] = {"gradcam": gradcam, "hirescam": hirescam}
"""Map and gradient, each (channels, T, H, W) -> evidence, (T, H, W)."""
