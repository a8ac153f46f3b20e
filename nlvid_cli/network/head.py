"""The head: from the last feature map to logits at each position, and from those to logits and scores of a view."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nlvid_cli.card.architecture import Head
from nlvid_cli.errors import InputShapeError
from nlvid_cli.network.units import size_text


class ConvolutionalHead(nn.Module):
    """Average pool with stride 1, dropout, and a 1x1x1 convolution as the classifier.

    On a map larger than the pool, it classifies at every position: the fully convolutional test of "Non-local Neural
    Networks", section 4.1.

    Args:
        channels: Channels of the feature map.
        classes: Number of labels.
        head: The card's head.
        dropout: Share of the pooled features that training sets to zero.
    """

    def __init__(self, channels: int, classes: int, head: Head, dropout: float = 0.5) -> None:
        super().__init__()
        self.pool = head.pool
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Conv3d(channels, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, T, H, W) -> (N, classes, T', H', W') logits.

        Raises:
            InputShapeError: The map is smaller than the pool.
        """
        x = x.to(self.classifier.weight.dtype)
        logits: Tensor = self.classifier(self.dropout(self._pooled(x)))
        return logits

    def description(self) -> str:
        """Return what is averaged: ``average 4 x 7 x 7, classifier``."""
        return f"average {'over all' if self.pool is None else size_text(self.pool)}, classifier"

    def _pooled(self, x: Tensor) -> Tensor:
        if self.pool is None:
            return x.mean(dim=(2, 3, 4), keepdim=True)
        size = tuple(x.shape[2:])
        if any(length < kernel for length, kernel in zip(size, self.pool, strict=True)):
            raise InputShapeError(
                f"head: the feature map is {size_text(size)} (T x H x W), smaller than the average pool "
                f"{size_text(self.pool)}; use longer or larger clips"
            )
        return F.avg_pool3d(x, self.pool, stride=1)


def mean_logits(position_logits: Tensor) -> Tensor:
    """Average logits over positions: (N, classes, T', H', W') -> (N, classes)."""
    return position_logits.mean(dim=(2, 3, 4))


SCORES: dict[str, Callable[[Tensor], Tensor]] = {
    "softmax_of_mean": lambda logits: mean_logits(logits).softmax(dim=1),
    "mean_of_softmax": lambda logits: mean_logits(logits.softmax(dim=1)),
    "mean_of_sigmoid": lambda logits: mean_logits(torch.sigmoid(logits)),
}
"""Functions from logits at each position, (N, classes, T', H', W'), to scores of each view, (N, classes)."""
