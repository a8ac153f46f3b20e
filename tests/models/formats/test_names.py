"""Tables of names."""

from __future__ import annotations

import pytest

from nlvid_cli.models.formats.names import TORCHVISION


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("conv1.weight", "stem.conv.weight"),
        ("bn1.running_var", "stem.norm.running_var"),
        ("layer1.0.downsample.0.weight", "res2.0.shortcut.conv.weight"),
        ("layer4.2.bn3.bias", "res5.2.conv3.norm.bias"),
        ("layer3.22.conv2.weight", "res4.22.conv2.conv.weight"),
        ("fc.bias", "head.classifier.bias"),
        ("layer5.0.conv1.weight", None),
        ("layer0.0.conv1.weight", None),
        ("xconv1.weight", None),
        ("conv1.weight.x", None),
        ("", None),
    ],
)
def test_torchvisions_names(theirs: str, ours: str | None) -> None:
    assert TORCHVISION.translate(theirs) == ours
