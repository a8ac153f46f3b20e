"""The sums of the non-local operation, without the matrix of all pairs of positions.

Each function computes y_i = 1/C(x) sum_j f(x_i, x_j) g_j of "Non-local Neural Networks", section 3.2, for positions i
of the query and j of the key, exactly, in memory linear in both. Where there are so few pairs that their matrix is
no larger than the feature maps beside it, that matrix is the fastest way, and is taken.

While a network is exported (``torch.export``), sizes are symbols and a choice by size would fix them: there each
function is one plain formula, in fp32. Softmax and concatenation then have the matrix, since no operator of ONNX
computes either without it; the dot product stays linear.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

BLOCK_PAIRS = 2**22
"""Pairs of positions whose products are in memory at a time, on a CPU: 16 MB in fp32. Measured: smaller blocks lose
time by packing the keys again and again, larger ones leave the cache."""

DIRECT_PAIRS_PER_POSITION = {torch.float32: 256, torch.bfloat16: 768, torch.float16: 768}
"""Concatenation: below so many pairs per position (of query and key together), all pairs cost less than sorting. In
half precision products are about three times as fast, while the sums are still taken in fp32."""

ROWS = 4096
"""Concatenation without gradient: queries whose second sum is in memory at a time."""

HALF = (torch.bfloat16, torch.float16)


def softmax_sum(theta: Tensor, phi: Tensor, g: Tensor, scale: float) -> Tensor:
    """Attention: f = exp(scale * theta_i . phi_j), C = sum of f.

    It is torch's fused attention. On a CPU that is slow for few pairs and in half precision; there the queries are
    taken in blocks of at most :data:`BLOCK_PAIRS` pairs (in training only where one block is enough, because the
    blocks are kept for the gradient).

    Args:
        theta: (B, P, D), queries.
        phi: (B, M, D), keys.
        g: (B, M, E), values.
        scale: factor in the exponent.

    Returns:
        (B, P, E).
    """
    if torch.compiler.is_exporting():
        return _attend(theta.float(), phi.float(), g.float(), scale).to(g.dtype)
    if theta.device.type == "cpu":
        one_block = theta.shape[0] * theta.shape[1] * phi.shape[1] <= BLOCK_PAIRS
        for_gradient = torch.is_grad_enabled() and any(x.requires_grad for x in (theta, phi, g))
        if one_block:
            return _attend(theta, phi, g, scale)
        if theta.dtype in HALF and not for_gradient:
            return _attend_in_blocks(theta, phi, g, scale)
    # The fused kernels take (batch, heads, positions, channels), and only with channels side by side in memory.
    theta, phi, g = (x.contiguous()[:, None] for x in (theta, phi, g))
    return F.scaled_dot_product_attention(theta, phi, g, scale=scale)[:, 0]


def _attend(theta: Tensor, phi: Tensor, g: Tensor, scale: float) -> Tensor:
    return torch.bmm(torch.bmm(theta * scale, phi.transpose(1, 2)).softmax(dim=2), g)


def _attend_in_blocks(theta: Tensor, phi: Tensor, g: Tensor, scale: float) -> Tensor:
    batch, positions, _ = theta.shape
    pairs = positions * phi.shape[1]
    whole = max(1, BLOCK_PAIRS // pairs)  # parts of the batch at a time
    rows = min(positions, max(1, BLOCK_PAIRS // phi.shape[1]))  # queries at a time
    y = theta.new_empty(batch, positions, g.shape[2])
    for b in range(0, batch, whole):
        for p in range(0, positions, rows):
            part = slice(b, b + whole), slice(p, p + rows)
            y[part] = _attend(theta[part], phi[part[0]], g[part[0]], scale)
    return y


def dot_product_sum(theta: Tensor, phi: Tensor, g: Tensor, scale: float) -> Tensor:
    """The plain product: f = scale * theta_i . phi_j, C = number of keys. Shapes as for :func:`softmax_sum`.

    (theta phi^T) g = theta (phi^T g): the right side costs (P + M) D E multiplications and is linear in positions; the
    left one P M (D + E) and is taken where it is cheaper, which is only where P M is smaller than (P + M) times half
    the channels, so that its matrix is no larger than a few feature maps.
    """
    if torch.compiler.is_exporting():
        # 1 / keys goes to g, so that no sum leaves the range of half precision in runtimes that sum in it
        return torch.bmm(theta.float(), torch.bmm(phi.float().transpose(1, 2), _mean_share(g) * scale)).to(g.dtype)
    positions, keys = theta.shape[1], phi.shape[1]
    depth, width = phi.shape[2], g.shape[2]
    factor = scale / keys
    if positions * keys * (depth + width) < (positions + keys) * depth * width:
        return torch.bmm(torch.bmm(theta, phi.transpose(1, 2)) * factor, g)
    return torch.bmm(theta, torch.bmm(phi.transpose(1, 2), g) * factor)


def concatenation_sum(a: Tensor, b: Tensor, g: Tensor) -> Tensor:
    """The concatenation: f = ReLU(a_i + b_j), C = number of keys; by sorting b and prefix sums.

    ::

        b, descending       b_1 >= b_2 >= ... >= b_c > -a_i >= ... >= b_M
                            |------ the ReLU is open ------|
        sum over j          a_i (g_1 + ... + g_c) + (b_1 g_1 + ... + b_c g_c)

    Only a_i + b_j matters, so b is first centred: its own offset would otherwise cancel between the two sums, digits
    and all. Half precision is summed in fp32 for the same reason.

    Args:
        a: (B, P), term of the query.
        b: (B, M), term of the key.
        g: (B, M, E), values.

    Returns:
        (B, P, E).
    """
    if torch.compiler.is_exporting():
        return torch.bmm(F.relu(a.float()[:, :, None] + b.float()[:, None, :]), _mean_share(g)).to(g.dtype)
    positions, keys = a.shape[1], b.shape[1]
    if positions * keys < DIRECT_PAIRS_PER_POSITION.get(g.dtype, 256) * (positions + keys):
        return torch.bmm(F.relu(a[:, :, None] + b[:, None, :]), g / keys)
    dtype = torch.promote_types(g.dtype, torch.float32)
    return _by_prefix_sums(a.to(dtype), b.to(dtype), g.to(dtype)).div_(keys).to(g.dtype)


def _mean_share(g: Tensor) -> Tensor:
    """What each of the values (B, M, E) adds to their mean, in fp32."""
    return g.float() / g.shape[1]


def _by_prefix_sums(a: Tensor, b: Tensor, g: Tensor) -> Tensor:
    centre = b.detach().mean(dim=1, keepdim=True)
    a, b = a + centre, b - centre
    b, order = b.sort(dim=1, descending=True)
    g = g.gather(1, order[..., None].expand_as(g))
    # b is descending: how many of -b are below a is how many b are above -a
    count = torch.searchsorted(-b.detach(), a.detach().contiguous())  # (B, P), in [0, M]
    open_g = _take(_prefix_sums(g), count)
    open_bg = _prefix_sums(b[..., None] * g)
    if open_g.requires_grad or open_bg.requires_grad or a.requires_grad:
        return open_g * a[..., None] + _take(open_bg, count)
    y = open_g.mul_(a[..., None])  # nobody needs open_g again: its memory serves the result
    for part, part_count in zip(torch.split(y, ROWS, dim=1), torch.split(count, ROWS, dim=1), strict=True):
        part += _take(open_bg, part_count)
    return y


def _prefix_sums(values: Tensor) -> Tensor:
    """(B, M, E) -> (B, M + 1, E), a zero in front: the sum of no values."""
    return F.pad(values.cumsum(dim=1), (0, 0, 1, 0))


def _take(sums: Tensor, count: Tensor) -> Tensor:
    """Sum of the first ``count`` values: (B, M + 1, E) and (B, P) -> (B, P, E)."""
    return sums.gather(1, count[..., None].expand(-1, -1, sums.shape[2]))
