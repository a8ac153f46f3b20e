"""C2D and I3D ResNets: two-dimensional ResNets on video, with some kernels inflated along time.

"Non-local Neural Networks", section 4 and table 1. The differences between published checkpoints (stems, pools,
inflation, strides, heads, normalisation) are in the card; nothing here asks where a checkpoint is from.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from nlvid_cli.card.architecture import Kernel3d, ResNetArchitecture
from nlvid_cli.errors import InputShapeError
from nlvid_cli.network.head import ConvolutionalHead
from nlvid_cli.network.nonlocal_block import NonLocalBlock, insert_nonlocal
from nlvid_cli.network.units import ConvNorm, Size3, kernel_text, make_norm, size_text

STAGES = ("res2", "res3", "res4", "res5")

EXPANSION = {"bottleneck": 4, "basic": 1}
"""Output channels of a block, in units of its inner width."""


class ResidualBlock(nn.Module):
    """Bottleneck (1x1, 3x3, 1x1) or basic block (3x3, 3x3), with a place for a non-local block after it.

    The spatial stride is on the first 3x3 convolution, as in torchvision and all published video checkpoints.

    Args:
        inputs: Channels of the input.
        width: Inner channels.
        stride: Spatial stride.
        dilation: Spatial dilation of the 3x3 convolutions.
        inflated: Whether one kernel spans three frames; ``architecture.inflate_kernel`` says which.
        architecture: The card's architecture.
    """

    def __init__(
        self, inputs: int, width: int, stride: int, dilation: int, inflated: bool, architecture: ResNetArchitecture
    ) -> None:
        super().__init__()
        self.out_channels = width * EXPANSION[architecture.block]
        first = 3 if inflated and architecture.inflate_kernel == "3x1x1" else 1
        middle = 3 if inflated and architecture.inflate_kernel == "3x3x3" else 1

        def unit(inputs: int, outputs: int, kernel: Size3, stride: int, dilation: int, relu: bool) -> ConvNorm:
            time, height, width = (k // 2 for k in kernel)
            conv = nn.Conv3d(
                inputs,
                outputs,
                kernel,
                stride=(1, stride, stride),
                padding=(time, height * dilation, width * dilation),
                dilation=(1, dilation, dilation),
                bias=False,
            )
            return ConvNorm(conv, make_norm(architecture.norm, outputs, architecture.norm_eps), relu)

        if architecture.block == "bottleneck":
            self.conv1 = unit(inputs, width, (first, 1, 1), 1, 1, True)
            self.conv2 = unit(width, width, (middle, 3, 3), stride, dilation, True)
            self.conv3 = unit(width, self.out_channels, (1, 1, 1), 1, 1, False)
        else:
            self.conv1 = unit(inputs, width, (max(first, middle), 3, 3), stride, dilation, True)
            self.conv2 = unit(width, self.out_channels, (1, 3, 3), 1, dilation, False)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != self.out_channels:
            self.shortcut = unit(inputs, self.out_channels, (1, 1, 1), stride, 1, False)
        self.nonlocal_block: nn.Module = nn.Identity()  # replaced by insert_nonlocal

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, T, H, W) -> (N, out_channels, T, H / stride, W / stride)."""
        y = self.conv2(self.conv1(x))
        if hasattr(self, "conv3"):
            y = self.conv3(y)
        y = F.relu(y + self.shortcut(x), inplace=True)
        out: Tensor = self.nonlocal_block(y)
        return out

    def description(self) -> str:
        """Return kernels and channels: ``1x1x1, 64; 1x3x3, 64; 1x1x1, 256``."""
        units = [unit for name, unit in self.named_children() if name.startswith("conv") and isinstance(unit, ConvNorm)]
        return "; ".join(f"{kernel_text(unit.conv.kernel_size)}, {unit.conv.out_channels}" for unit in units)


class ResidualStage(nn.Sequential):
    """The residual blocks of one size: res2, res3, res4 or res5."""

    def description(self) -> str:
        """Return equal blocks together: ``[1x1x1, 64; 1x3x3, 64; 1x1x1, 256] x 3; non-local after 1``."""
        indices: dict[str, list[int]] = {}
        followed: list[int] = []
        for index, block in enumerate(self):
            assert isinstance(block, ResidualBlock)
            indices.setdefault(block.description(), []).append(index)
            if isinstance(block.nonlocal_block, NonLocalBlock):
                followed.append(index)
        kinds = [
            f"[{text}] x {len(found)}" + (f" (blocks {_list(found)})" if len(indices) > 1 else "")
            for text, found in indices.items()
        ]
        return " + ".join(kinds) + (f"; non-local after {_list(followed)}" if followed else "")


class ResNet3d(nn.Module):
    """A C2D or I3D ResNet, with or without non-local blocks.

    Args:
        architecture: The card's architecture.
        classes: Number of labels.
    """

    def __init__(self, architecture: ResNetArchitecture, classes: int) -> None:
        super().__init__()
        stem, width = architecture.stem, architecture.width
        conv = nn.Conv3d(3, width, stem.kernel, stem.stride, stem.padding, bias=False)
        norm = make_norm(architecture.norm, width, architecture.norm_eps)
        self._kernels = {"stem": stem, "pool1": architecture.pool1, "pool2": architecture.pool2}
        self.stem = ConvNorm(conv, norm, relu=True)
        self.pool1 = _max_pool(architecture.pool1)
        channels = width
        for number, stage in enumerate(STAGES):
            channels = self._add_stage(stage, number, channels, architecture)
            if stage == "res2" and architecture.pool2:
                self.pool2 = _max_pool(architecture.pool2)
        self.head = ConvolutionalHead(channels, classes, architecture.head)
        self._initialise()
        if architecture.nonlocal_blocks:
            blocks = architecture.nonlocal_blocks
            insert_nonlocal(self, blocks.after, blocks, architecture.norm_eps)

    def _add_stage(self, stage: str, number: int, channels: int, architecture: ResNetArchitecture) -> int:
        last = stage == STAGES[-1]
        stride = 1 if number == 0 else architecture.last_stride if last else 2
        dilation = architecture.last_dilation if last else 1
        blocks = []
        for place in range(architecture.blocks[number]):
            inflated = place in architecture.inflate[number]
            width = architecture.width * 2**number
            block = ResidualBlock(channels, width, stride if place == 0 else 1, dilation, inflated, architecture)
            channels = block.out_channels
            blocks.append(block)
        self.add_module(stage, ResidualStage(*blocks))
        return channels

    def _initialise(self) -> None:
        """Initialise as the published training code: He's normal for convolutions, std 0.01 for the classifier."""
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.normal_(self.head.classifier.weight, std=0.01)
        if self.head.classifier.bias is not None:
            nn.init.zeros_(self.head.classifier.bias)

    def features(self, x: Tensor) -> Tensor:
        """Return the last feature map, (N, channels, T', H', W')."""
        for name, layer in self.named_children():
            kernel = self._kernels.get(name)
            if kernel is not None:
                _check_fits(name, x, kernel)
            if name != "head":
                x = layer(x)
        return x

    def forward(self, x: Tensor) -> Tensor:
        """Return logits at each position: (N, 3, T, H, W) -> (N, classes, T', H', W').

        Raises:
            InputShapeError: The clip is too short or too small. The message names the layer and the sizes.
        """
        if x.dim() != 5 or x.shape[1] != 3:
            raise InputShapeError(f"stem: needs clips of shape (N, 3, T, H, W), got {tuple(x.shape)}")
        logits: Tensor = self.head(self.features(x))
        return logits


def _list(indices: list[int]) -> str:
    return ", ".join(map(str, indices))


def _max_pool(pool: Kernel3d) -> nn.Module:
    return nn.MaxPool3d(pool.kernel, pool.stride, pool.padding)


def _check_fits(name: str, x: Tensor, layer: Kernel3d) -> None:
    size = tuple(x.shape[2:])
    if any(n + 2 * p < k for n, k, p in zip(size, layer.kernel, layer.padding, strict=True)):
        raise InputShapeError(
            f"{name}: its input is {size_text(size)} (T x H x W), smaller than its kernel {size_text(layer.kernel)}; "
            "use longer or larger clips"
        )
