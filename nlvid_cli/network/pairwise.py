"""The sums of the non-local operation, without the matrix of all pairs of positions.

Each function computes y_i = 1/C(x) sum_j f(x_i, x_j) g_j of "Non-local Neural Networks", section 3.2, for positions i
of the query and j of the key, exactly, in memory linear in both.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def softmax_sum(theta: Tensor, phi: Tensor, g: Tensor, scale: float) -> Tensor:
    """Attention, in the fused form of torch: f = exp(scale * theta_i . phi_j), C = sum of f.

    Args:
        theta: (B, P, D), queries.
        phi: (B, M, D), keys.
        g: (B, M, E), values.
        scale: factor in the exponent.

    Returns:
        (B, P, E).
    """
    # The fused kernels take (batch, heads, positions, channels), and only with channels side by side in memory.
    theta, phi, g = (x.contiguous()[:, None] for x in (theta, phi, g))
    return F.scaled_dot_product_attention(theta, phi, g, scale=scale)[:, 0]


def dot_product_sum(theta: Tensor, phi: Tensor, g: Tensor, scale: float) -> Tensor:
    """The plain product: f = scale * theta_i . phi_j, C = number of keys. Shapes as for :func:`softmax_sum`.

    (theta phi^T) g = theta (phi^T g): the right side costs (P + M) D E multiplications and is linear in positions; the
    left one P M (D + E) and is taken where it is cheaper, which is only where P M is smaller than (P + M) times half
    the channels, so that its matrix is no larger than a few feature maps.
    """
    positions, keys = theta.shape[1], phi.shape[1]
    depth, width = phi.shape[2], g.shape[2]
    factor = scale / keys
    if positions * keys * (depth + width) < (positions + keys) * depth * width:
        return torch.bmm(torch.bmm(theta, phi.transpose(1, 2)), g) * factor
    return torch.bmm(theta, torch.bmm(phi.transpose(1, 2), g) * factor)


def concatenation_sum(a: Tensor, b: Tensor, g: Tensor) -> Tensor:
    """The concatenation: f = ReLU(a_i + b_j), C = number of keys; by sorting b and prefix sums.

    ::

        b, descending       b_1 >= b_2 >= ... >= b_c > -a_i >= ... >= b_M
                            |------ the ReLU is open ------|
        sum over j          a_i (g_1 + ... + g_c) + (b_1 g_1 + ... + b_c g_c)

    Only a_i + b_j matters, so b is first centred: its own offset would otherwise cancel between the two sums, digits
    and all.

    Args:
        a: (B, P), term of the query.
        b: (B, M), term of the key.
        g: (B, M, E), values.

    Returns:
        (B, P, E).
    """
    centre = b.detach().mean(dim=1, keepdim=True)
    a, b = a + centre, b - centre
    b, order = b.sort(dim=1, descending=True)
    g = g.gather(1, order[..., None].expand_as(g))
    # b is descending: how many of -b are below a is how many b are above -a
    count = torch.searchsorted(-b.detach(), a.detach().contiguous())  # (B, P), in [0, M]
    open_g, open_bg = _prefix_at(g, count), _prefix_at(b[..., None] * g, count)
    return (a[..., None] * open_g + open_bg) / b.shape[1]


def _prefix_at(values: Tensor, count: Tensor) -> Tensor:
    """Sum of the first ``count`` values: (B, M, E) and (B, P) -> (B, P, E)."""
    sums = F.pad(values.cumsum(dim=1), (0, 0, 1, 0))  # a zero in front: the sum of no values
    return sums.gather(1, count[..., None].expand(-1, -1, values.shape[2]))
