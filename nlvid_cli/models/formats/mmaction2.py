"""MMAction2's names: ``backbone.layer1.0.conv1.conv``, ``cls_head.fc_cls``; torch files, under ``state_dict``.

C2D networks and two-dimensional recognisers have image kernels, (O, I, H, W).
"""

from __future__ import annotations

from collections.abc import Collection

from nlvid_cli.models.formats.common import Tensors, translate_all
from nlvid_cli.models.formats.names import NUMBERED_FROM_ONE, Names

_BLOCK = r"backbone\.layer(?P<stage>\d)\.(?P<block>\d+)"
_NONLOCAL = _BLOCK + r"\.non_local_block"

NAMES = Names(
    (
        (r"backbone\.conv1\.conv\.(?P<part>\w+)", "stem.conv.{part}"),
        (r"backbone\.conv1\.bn\.(?P<part>\w+)", "stem.norm.{part}"),
        (_BLOCK + r"\.conv(?P<conv>\d)\.conv\.(?P<part>\w+)", "res{stage}.{block}.conv{conv}.conv.{part}"),
        (_BLOCK + r"\.conv(?P<conv>\d)\.bn\.(?P<part>\w+)", "res{stage}.{block}.conv{conv}.norm.{part}"),
        (_BLOCK + r"\.downsample\.conv\.(?P<part>\w+)", "res{stage}.{block}.shortcut.conv.{part}"),
        (_BLOCK + r"\.downsample\.bn\.(?P<part>\w+)", "res{stage}.{block}.shortcut.norm.{part}"),
        # followed by a pool, phi and g are sequences of a convolution (0) and the pool (1)
        (
            _NONLOCAL + r"\.(?P<unit>theta|phi|g)(\.0)?\.conv\.(?P<part>\w+)",
            "res{stage}.{block}.nonlocal_block.{unit}.{part}",
        ),
        (_NONLOCAL + r"\.conv_out\.conv\.(?P<part>\w+)", "res{stage}.{block}.nonlocal_block.out.conv.{part}"),
        (_NONLOCAL + r"\.conv_out\.bn\.(?P<part>\w+)", "res{stage}.{block}.nonlocal_block.out.norm.{part}"),
        (r"cls_head\.fc_cls\.(?P<part>\w+)", "head.classifier.{part}"),
    ),
    {"stage": NUMBERED_FROM_ONE},
)


AVERAGE = "ema_"
"""Beginning of the names that mmcv's moving average adds: ``ema_backbone_conv1_conv_weight`` beside each parameter."""


def matches(keys: Collection[str]) -> bool:
    """Whether tensors of these names are from this family."""
    return "backbone.conv1.conv.weight" in keys


def read(tensors: Tensors, where: str) -> Tensors:
    """Return the parameters under nlvid's names; errors as for ``common.translate_all``."""
    parameters = {name: tensor for name, tensor in tensors.items() if not name.startswith(AVERAGE)}
    return translate_all(parameters, NAMES.translate, where)
