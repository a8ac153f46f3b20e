"""Interpolation, against what OpenCV and torch themselves computed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nlvid_cli.video.resize import float_bilinear, opencv_bilinear

REFERENCE = dict(np.load(Path(__file__).parents[1] / "data" / "opencv_bilinear.npz"))
"""What cv2.resize(noise(height, width), (new width, new height), interpolation=cv2.INTER_LINEAR) gave, by
"<height>x<width>_<new height>x<new width>". The same in opencv-python-headless 4.10.0, 4.14.0 and 5.0.0, with and
without IPP and vector instructions."""


def noise(height: int, width: int) -> np.ndarray:
    return np.random.RandomState(height * width).randint(0, 256, (height, width, 3)).astype(np.uint8)


def sizes(name: str) -> tuple[int, ...]:
    return tuple(int(side) for part in name.split("_") for side in part.split("x"))


def test_reference_has_the_odd_cases() -> None:
    assert len(REFERENCE) == 12
    assert any((height, width) == (2 * h, 2 * w) for height, width, h, w in map(sizes, REFERENCE))


@pytest.mark.parametrize("name", REFERENCE)
def test_opencv_bilinear_is_that_of_opencv(name: str) -> None:
    height, width, *new = sizes(name)
    out = np.empty((*new, 3), np.uint8)
    opencv_bilinear(noise(height, width), out)
    assert np.array_equal(out, REFERENCE[name])


def test_opencv_bilinear_of_views() -> None:
    """Pictures that are turned upright are views with strides of all kinds."""
    picture = noise(37, 53)
    for view in (picture[::-1], picture[:, ::-1], picture.transpose(1, 0, 2)):
        out, expected = np.empty((2, 17, 24, 3), np.uint8)
        opencv_bilinear(view, out)
        opencv_bilinear(np.ascontiguousarray(view), expected)
        assert np.array_equal(out, expected)


def test_opencv_bilinear_rounds_by_direction() -> None:
    """Across first, then down: the picture must be upright before it is resized."""
    picture, out, turned = noise(37, 53), np.empty((17, 24, 3), np.uint8), np.empty((24, 17, 3), np.uint8)
    opencv_bilinear(picture, out)
    opencv_bilinear(np.ascontiguousarray(picture.transpose(1, 0, 2)), turned)
    difference = np.abs(turned.transpose(1, 0, 2).astype(int) - out)
    assert difference.max() == 1


@pytest.mark.parametrize(
    ("height", "width", "new_height", "new_width"),
    [(37, 53, 17, 24), (11, 7, 29, 23), (64, 48, 32, 24), (1, 9, 6, 3), (480, 640, 256, 341), (1, 1, 4, 5)],
)
def test_float_bilinear_is_that_of_torch(height: int, width: int, new_height: int, new_width: int) -> None:
    picture = noise(height, width)
    out = np.empty((new_height, new_width, 3), np.float32)
    float_bilinear(picture, out)
    planes = torch.from_numpy(picture).permute(2, 0, 1)[None].float()  # (H, W, 3) -> (1, 3, H, W)
    expected = torch.nn.functional.interpolate(planes, (new_height, new_width), mode="bilinear", align_corners=False)
    assert np.abs(out - expected[0].permute(1, 2, 0).numpy()).max() < 1e-3  # of 255


lengths = st.integers(1, 40)


@settings(deadline=None)
@given(lengths, lengths, lengths, lengths)
def test_what_always_holds(height: int, width: int, new_height: int, new_width: int) -> None:
    picture = noise(height, width)
    whole, exact = np.empty((new_height, new_width, 3), np.uint8), np.empty((new_height, new_width, 3), np.float32)
    opencv_bilinear(picture, whole)
    float_bilinear(picture, exact)
    assert np.abs(whole - exact).max() <= 1.3  # 11-bit weights, and roundings down on the way
    assert exact.min() >= picture.min()
    assert exact.max() <= picture.max() + 1e-3
    if (height, width) == (new_height, new_width):
        assert np.array_equal(whole, picture)
        assert np.array_equal(exact, picture)


def test_flat_pictures_stay_flat() -> None:
    out = np.empty((17, 24, 3), np.uint8)
    for value in range(256):
        opencv_bilinear(np.full((37, 53, 3), value, np.uint8), out)
        assert np.abs(out.astype(int) - value).max() <= 1
