"""The sums of the non-local operation, without the matrix of all pairs of positions.

Each function computes y_i = 1/C(x) sum_j f(x_i, x_j) g_j of "Non-local Neural Networks", section 3.2, for query
positions i and key positions j. The result is exact, and memory is linear in positions. The matrix of pairs is used
only where it is no larger than the feature maps, because it is then the fastest.

During an export (``torch.export``) sizes are symbols, and a choice by size would fix them. Each function is then one
formula in fp32. Softmax and concatenation need the matrix there, since no ONNX operator computes them without it; the
dot product stays linear.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

BLOCK_PAIRS = 2**22
"""Pairs of positions in memory at a time on a CPU: 16 MB in fp32. Measured: smaller blocks pack the keys too often, and
larger ones do not fit the cache."""

DIRECT_PAIRS_PER_POSITION = {torch.float32: 256, torch.bfloat16: 768, torch.float16: 768}
"""Concatenation: pairs per position (queries and keys together) below which all pairs cost less than sorting. In half
precision products are about three times as fast, while prefix sums stay in fp32."""

ROWS = 4096
"""Concatenation without gradients: queries whose second sum is in memory at a time."""

HALF = (torch.bfloat16, torch.float16)


def softmax_sum(theta: Tensor, phi: Tensor, g: Tensor, scale: float) -> Tensor:
    """Attention: f = exp(scale * theta_i . phi_j), C = sum of f.

    This is torch's fused attention. On a CPU it is slow for few pairs and in half precision; queries are then taken in
    blocks of at most :data:`BLOCK_PAIRS` pairs. In training this is done only if one block is enough, because gradients
    keep all blocks in memory.

    Args:
        theta: Queries, (B, P, D).
        phi: Keys, (B, M, D).
        g: Values, (B, M, E).
        scale: Factor in the exponent.

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
    # The fused kernels need (batch, heads, positions, channels), with channels adjacent in memory.
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
    """Dot product: f = scale * theta_i . phi_j, C = number of keys. Shapes as for :func:`softmax_sum`.

    (theta phi^T) g = theta (phi^T g). The right side costs (P + M) D E multiplications and is linear in positions. The
    left side costs P M (D + E). It is used where it is cheaper, which is only where its matrix is no larger than a few
    feature maps.
    """
    if torch.compiler.is_exporting():
        # 1 / keys is applied to g, so that sums stay in range in runtimes that sum in half precision
        return torch.bmm(theta.float(), torch.bmm(phi.float().transpose(1, 2), _mean_share(g) * scale)).to(g.dtype)
    positions, keys = theta.shape[1], phi.shape[1]
    depth, width = phi.shape[2], g.shape[2]
    factor = scale / keys
    if positions * keys * (depth + width) < (positions + keys) * depth * width:
        return torch.bmm(torch.bmm(theta, phi.transpose(1, 2)) * factor, g)
    return torch.bmm(theta, torch.bmm(phi.transpose(1, 2), g) * factor)


def concatenation_sum(a: Tensor, b: Tensor, g: Tensor) -> Tensor:
    """Concatenation: f = ReLU(a_i + b_j), C = number of keys; by sorting b, and prefix sums.

    ::

        b, descending       b_1 >= b_2 >= ... >= b_c > -a_i >= ... >= b_M
                            |------ the ReLU is open ------|
        sum over j          a_i (g_1 + ... + g_c) + (b_1 g_1 + ... + b_c g_c)

    Args:
        a: Term of the query, (B, P).
        b: Term of the key, (B, M).
        g: Values, (B, M, E).

    Returns:
        (B, P, E).
    """
    if torch.compiler.is_exporting():
        return torch.bmm(F.relu(a.float()[:, :, None] + b.float()[:, None, :]), _mean_share(g)).to(g.dtype)
    positions, keys = a.shape[1], b.shape[1]
    if positions * keys < DIRECT_PAIRS_PER_POSITION.get(g.dtype, 256) * (positions + keys):
        return torch.bmm(F.relu(a[:, :, None] + b[:, None, :]), g / keys)
    dtype = torch.promote_types(g.dtype, torch.float32)  # long sums lose too many digits in half precision
    return _by_prefix_sums(a.to(dtype), b.to(dtype), g.to(dtype)).div_(keys).to(g.dtype)


def _mean_share(g: Tensor) -> Tensor:
    """Return what each of the values (B, M, E) adds to their mean, in fp32."""
    return g.float() / g.shape[1]


def _by_prefix_sums(a: Tensor, b: Tensor, g: Tensor) -> Tensor:
    # Only a_i + b_j matters. A common offset of b would cancel between the two sums and take digits with it.
    centre = b.detach().mean(dim=1, keepdim=True)
    a, b = a + centre, b - centre
    b, order = b.sort(dim=1, descending=True)
    g = g.gather(1, order[..., None].expand_as(g))
    # b is descending, so the number of -b below a is the number of b above -a
    count = torch.searchsorted(-b.detach(), a.detach().contiguous())  # (B, P), in [0, M]
    open_g = _take(_prefix_sums(g), count)
    open_bg = _prefix_sums(b[..., None] * g)
    if open_g.requires_grad or open_bg.requires_grad or a.requires_grad:
        return open_g * a[..., None] + _take(open_bg, count)
    y = open_g.mul_(a[..., None])  # reuses the memory of open_g
    for part, part_count in zip(torch.split(y, ROWS, dim=1), torch.split(count, ROWS, dim=1), strict=True):
        part += _take(open_bg, part_count)
    return y


def _prefix_sums(values: Tensor) -> Tensor:
    """(B, M, E) -> (B, M + 1, E). The zero in front is the sum of no values."""
    return F.pad(values.cumsum(dim=1), (0, 0, 1, 0))


def _take(sums: Tensor, count: Tensor) -> Tensor:
    """Return the sum of the first ``count`` values: (B, M + 1, E) and (B, P) -> (B, P, E)."""
    return sums.gather(1, count[..., None].expand(-1, -1, sums.shape[2]))
