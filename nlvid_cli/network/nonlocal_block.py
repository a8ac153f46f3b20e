"""The non-local block: z = W y + x, where y_i is a weighted sum over all positions j.

"Non-local Neural Networks" (Wang, Girshick, Gupta, He, CVPR 2018), section 3. It works on sequences (T), images (H, W)
and video (T, H, W). The differences between published checkpoints are all in its configuration.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn

from nlvid_cli.card.architecture import NonLocal
from nlvid_cli.errors import InputShapeError
from nlvid_cli.network.pairwise import concatenation_sum, dot_product_sum, softmax_sum
from nlvid_cli.network.units import Conv, ConvNorm, make_norm

CONVS: dict[int, Callable[..., Conv]] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
MAX_POOLS = {1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: nn.MaxPool3d}


class NonLocalBlock(nn.Module):
    """A block that adds to each position what it gathers from all others.

    A fresh block is the identity, so that it can be inserted into any pre-trained network (section 3.3): the scale of
    its last normalisation is zero, or the last convolution if there is no normalisation.

    Args:
        channels: Channels of the input and the output.
        config: The card's non-local blocks.
        dimensions: 1 for sequences (N, C, T), 2 for images (N, C, H, W), 3 for video (N, C, T, H, W).
        group_frames: For video, number of consecutive frames in a group within which attention stays. None for no
            groups.
        norm_eps: Epsilon of the batch norm.
    """

    def __init__(
        self,
        channels: int,
        config: NonLocal,
        dimensions: int = 3,
        group_frames: int | None = None,
        norm_eps: float = 1e-5,
    ) -> None:
        super().__init__()
        self.channels, self.config, self.dimensions = channels, config, dimensions
        # "space" is attention in groups of a single frame
        self.group_frames = 1 if config.domain == "space" and dimensions == 3 else group_frames
        inner = config.inner_channels or max(1, channels // 2)
        conv = CONVS[dimensions]
        if config.pairwise != "gaussian":
            self.theta: nn.Module = conv(channels, inner, 1, bias=config.bias)
            self.phi: nn.Module = conv(channels, inner, 1, bias=config.bias)
        self.g = conv(channels, inner, 1, bias=config.bias)
        if config.pairwise == "concatenation":
            self.weight_theta = nn.Parameter(torch.empty(inner))
            self.weight_phi = nn.Parameter(torch.empty(inner))
        self.pool = _subsampling(config, dimensions)
        out = conv(inner, channels, 1, bias=config.out_bias)
        self.out = ConvNorm(out, make_norm(config.norm, channels, norm_eps, dimensions), relu=False)
        self.scale = _scale(config, channels if config.pairwise == "gaussian" else inner)
        self._initialise()

    def _initialise(self) -> None:
        for layer in self.modules():
            if isinstance(layer, Conv):
                nn.init.normal_(layer.weight, std=0.01)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        if self.config.pairwise == "concatenation":
            nn.init.normal_(self.weight_theta, std=0.01)
            nn.init.normal_(self.weight_phi, std=0.01)
        last = self.out.conv if self.config.norm == "none" else self.out.norm
        for parameter in last.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, *size) -> the same shape.

        Raises:
            InputShapeError: The number of channels, axes or frames does not fit.
        """
        self._check(x)
        theta, phi, g = self._embed(x)
        y = self._sum(self._fold(theta), self._fold(phi), self._fold(g))
        result: Tensor = x + self.out(self._unfold(y, x))
        return result

    def queries_and_keys(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the weights f / C are computed from: theta of each query position, phi of each key position.

        For the concatenation these are its two terms, w_theta . theta and w_phi . phi, of one channel.

        Args:
            x: (N, channels, *size).

        Returns:
            (N, D, *size) and (N, D, *size of the sub-sampled map).
        """
        self._check(x)
        theta, phi, _ = self._embed(x)
        if self.config.pairwise != "concatenation":
            return theta, phi
        shape = (-1,) + (1,) * self.dimensions
        a, b = theta * self.weight_theta.view(shape), phi * self.weight_phi.view(shape)
        return a.sum(dim=1, keepdim=True), b.sum(dim=1, keepdim=True)

    def _embed(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return theta at full size, and phi and g at the sub-sampled size."""
        gaussian = self.config.pairwise == "gaussian"
        theta = x if gaussian else self.theta(x)
        if self.config.pool_place == "before":
            small = self.pool(x)
            return theta, small if gaussian else self.phi(small), self.g(small)
        return theta, self.pool(x if gaussian else self.phi(x)), self.pool(self.g(x))

    def _sum(self, theta: Tensor, phi: Tensor, g: Tensor) -> Tensor:
        """(B, P, D), (B, M, D), (B, M, E) -> (B, P, E)."""
        if self.config.pairwise == "dot_product":
            return dot_product_sum(theta, phi, g, self.scale)
        if self.config.pairwise == "concatenation":
            # as matrices of one column: ONNX Runtime 1.32 fuses transpositions into products with vectors wrongly
            a, b = theta @ self.weight_theta[:, None], phi @ self.weight_phi[:, None]
            return concatenation_sum(a[..., 0], b[..., 0], g)  # (B, P, 1) -> (B, P)
        return softmax_sum(theta, phi, g, self.scale)

    def _fold(self, x: Tensor) -> Tensor:
        """Put positions that see each other into one row: (N, C, *size) -> (B, positions, C)."""
        if self.dimensions == 3 and self.config.domain == "time":
            # (N, C, T, H, W) -> (N, H, W, T, C) -> (N*H*W, T, C)
            return x.permute(0, 3, 4, 2, 1).flatten(0, 2)
        if self.dimensions == 3 and self.group_frames:
            # (N, C, T, H, W) -> (N, T/G, G, C, H, W) -> (N, T/G, G, H, W, C) -> (N*T/G, G*H*W, C)
            n, c, t, h, w = x.shape
            groups = x.transpose(1, 2).reshape(n, t // self.group_frames, self.group_frames, c, h, w)
            return groups.permute(0, 1, 2, 4, 5, 3).flatten(2, 4).flatten(0, 1)
        return x.flatten(2).transpose(1, 2)  # (N, C, *size) -> (N, positions, C)

    def _unfold(self, y: Tensor, like: Tensor) -> Tensor:
        """Undo :meth:`_fold`: (B, positions, C) -> (N, C, *size of ``like``)."""
        n, size = like.shape[0], like.shape[2:]
        if self.dimensions == 3 and self.config.domain == "time":
            # (N*H*W, T, C) -> (N, H, W, T, C) -> (N, C, T, H, W)
            return y.reshape(n, size[1], size[2], size[0], -1).permute(0, 4, 3, 1, 2)
        if self.dimensions == 3 and self.group_frames:
            # (N*T/G, G*H*W, C) -> (N, T*H*W, C), since groups follow each other in time
            y = y.reshape(n, -1, y.shape[2])
        return y.transpose(1, 2).reshape(n, -1, *size)  # (N, positions, C) -> (N, C, *size)

    def _check(self, x: Tensor) -> None:
        if x.dim() != self.dimensions + 2 or x.shape[1] != self.channels:
            raise InputShapeError(
                f"non-local block: needs (N, {self.channels}) and {self.dimensions} more axes, got {tuple(x.shape)}"
            )
        if self.group_frames and self.dimensions == 3 and x.shape[2] % self.group_frames:
            raise InputShapeError(
                f"non-local block: {x.shape[2]} frames do not divide into groups of {self.group_frames}"
            )

    @property
    def ignores_weights(self) -> bool:
        """Whether the block adds the same at all positions, whatever its weights f / C: a fresh block adds nothing.

        Then its scale is zero, that is a norm's or the last convolution's weight, or g is constant.
        """
        scales = [getattr(layer, "weight", None) for layer in (self.out.conv, self.out.norm, self.g)]
        return any(not bool(scale.any()) for scale in scales if isinstance(scale, Tensor))

    def extra_repr(self) -> str:
        """Return what torch's printout of a module leaves out."""
        return f"{self.config.pairwise}, {self.config.domain}"

    def description(self) -> str:
        """Return what the block is."""
        return "non-local"


def insert_nonlocal(
    network: nn.Module, places: Iterable[str] | Mapping[str, int], config: NonLocal, norm_eps: float = 1e-5
) -> None:
    """Insert fresh non-local blocks after layers of a network. Its outputs stay the same.

    A layer with an attribute ``nonlocal_block`` holds the block there. Any other layer becomes a ``Sequential`` of
    itself (``layer``) and the block (``nonlocal_block``).

    Args:
        network: Any network for video, changed in place.
        places: Names of layers, as ``named_modules`` gives them. For layers without an attribute ``out_channels``, a
            mapping from name to channels.
        config: Configuration of the blocks. Its ``after`` is ignored.
        norm_eps: Epsilon of their batch norm.

    Raises:
        InputShapeError: A layer does not exist, or its channels are unknown.
    """
    channels = dict(places) if isinstance(places, Mapping) else dict.fromkeys(places)
    parameter = next(network.parameters())
    for name, given in channels.items():
        layer = _layer(network, name)
        count = given or getattr(layer, "out_channels", None)
        if not isinstance(count, int):
            raise InputShapeError(
                f"non-local block: the channels of layer {name!r} are unknown; give {{name: channels}}"
            )
        block = NonLocalBlock(count, config, group_frames=config.frames_together(name), norm_eps=norm_eps)
        block.to(parameter.device, parameter.dtype).train(network.training)
        if hasattr(layer, "nonlocal_block"):
            layer.nonlocal_block = block
        else:
            wrapped = nn.Sequential()
            wrapped.add_module("layer", layer)
            wrapped.add_module("nonlocal_block", block)
            network.set_submodule(name, wrapped)


def block_of(network: nn.Module, name: str) -> NonLocalBlock:
    """Return the non-local block after a layer of that name."""
    block = network.get_submodule(f"{name}.nonlocal_block")
    assert isinstance(block, NonLocalBlock), name
    return block


def _layer(network: nn.Module, name: str) -> nn.Module:
    try:
        return network.get_submodule(name)
    except AttributeError:
        raise InputShapeError(f"non-local block: the network has no layer {name!r} to insert it after") from None


def _subsampling(config: NonLocal, dimensions: int) -> nn.Module:
    """Return the max pool over the last ``dimensions`` axes of the kernel; in the domain of time, only along time."""
    if config.pool is None:
        return nn.Identity()
    time, height, width = config.pool
    if dimensions == 3 and config.domain == "time" and (height, width) != (1, 1):
        raise ValueError("in the domain of time, a position sees only its own place: pool with (k, 1, 1) or not at all")
    kernel = {1: (time,), 2: (height, width), 3: (time, height, width)}[dimensions]
    if dimensions == 3 and time > 1 and (config.domain == "space" or config.group_frames):
        raise ValueError("with attention within frames or groups of frames, pool with (1, k, k) or not at all")
    return MAX_POOLS[dimensions](kernel) if math.prod(kernel) > 1 else nn.Identity()


def _scale(config: NonLocal, depth: int) -> float:
    return depth**-0.5 if config.scaled else 1.0
