"""Crops, values and the order of axes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, get_args, get_type_hints

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlvid_cli.card.card import Preprocess
from nlvid_cli.errors import InputShapeError
from nlvid_cli.video.preprocess import CROPS, crop_corners, preprocess


def rules(
    crop: int, crops: Literal[1, 3] = 1, mean: float | tuple[float, ...] = 0.0, std: float | tuple[float, ...] = 1.0
) -> Preprocess:
    means, stds = (value if isinstance(value, tuple) else (value,) * 3 for value in (mean, std))
    return Preprocess(crop, crop, crops, "swscale_bilinear", means, stds)  # type: ignore[arg-type]


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize(
    ("height", "width", "crops", "expected"),
    [
        (256, 340, 1, [(16, 58)]),
        (256, 340, 3, [(16, 0), (16, 58), (16, 116)]),
        (340, 256, 3, [(0, 16), (58, 16), (116, 16)]),
        (256, 341, 1, [(16, 58)]),  # 117 free pixels: the odd one stays at the end
        (224, 224, 3, [(0, 0), (0, 0), (0, 0)]),
        (256, 256, 3, [(16, 0), (16, 16), (16, 32)]),
    ],
)
def test_crop_corners(height: int, width: int, crops: Literal[1, 3], expected: list[tuple[int, int]]) -> None:
    assert crop_corners(height, width, rules(224, crops)) == expected


def test_rules_are_those_that_cards_can_name() -> None:
    assert set(CROPS) == set(get_args(get_type_hints(Preprocess)["crop_positions"]))


@pytest.mark.parametrize(
    ("positions", "free", "expected", "centre"),
    [
        ("centre_down", 84, [0, 42, 84], 42),
        ("centre_down", 199, [0, 99, 199], 99),  # 99.5
        ("centre_up", 84, [0, 42, 84], 42),
        ("centre_up", 199, [0, 100, 199], 100),
        ("even", 84, [0, 42, 84], 42),
        ("even", 199, [0, 99, 198], 99),
        ("even_centre_last", 84, [0, 84, 42], 42),
        ("even_centre_last", 199, [0, 198, 99], 99),
        ("centre_down", 1, [0, 0, 1], 0),
        ("centre_half_even", 84, [0, 42, 84], 42),
        ("centre_half_even", 199, [0, 100, 199], 100),  # 99.5, to the even 100
        ("centre_half_even", 85, [0, 42, 85], 42),  # 42.5, to the even 42
        ("centre_half_even", 1, [0, 0, 1], 0),
        ("centre_up", 1, [0, 1, 1], 1),
        ("even", 1, [0, 0, 0], 0),
        ("even_centre_last", 0, [0, 0, 0], 0),
    ],
)
def test_crop_positions(positions: Any, free: int, expected: list[int], centre: int) -> None:
    wide, one = replace(rules(256, 3), crop_positions=positions), replace(rules(256, 1), crop_positions=positions)
    assert crop_corners(256, 256 + free, wide) == [(0, left) for left in expected]
    assert crop_corners(256 + free, 256, wide) == [(top, 0) for top in expected]
    assert crop_corners(256, 256 + free, one) == [(0, centre)]
    assert crop_corners(256 + free, 256, one) == [(centre, 0)]


def test_views_follow_the_order_of_the_crops() -> None:
    frames = noise(1, 2, 8, 13, 3)  # 5 free pixels: 0, 4, 2
    views = preprocess(frames, replace(rules(8, 3), crop_positions="even_centre_last"))
    for view, left in zip(views, (0, 4, 2), strict=True):
        assert np.array_equal(view[0, 1], frames[0, 1, :, left : left + 8, 0])


def test_float_frames() -> None:
    frames = noise(1, 2, 8, 10, 3)
    same = preprocess(frames.astype(np.float32), rules(8, 3, 127.5, 63.75))
    assert np.array_equal(same, preprocess(frames, rules(8, 3, 127.5, 63.75)))
    halves = preprocess(frames.astype(np.float32) + np.float32(0.5), rules(8, 3))
    assert np.array_equal(halves, preprocess(frames, rules(8, 3)) + np.float32(0.5))


def test_order_of_views_and_axes() -> None:
    frames = noise(2, 5, 8, 12, 3)
    views = preprocess(frames, rules(8, 3))
    assert views.shape == (6, 3, 5, 8, 8)
    assert views.dtype == np.float32
    assert views.flags.c_contiguous
    for clip in range(2):
        for place, left in enumerate((0, 2, 4)):
            for channel in range(3):
                expected = frames[clip, :, :, left : left + 8, channel]
                assert np.array_equal(views[clip * 3 + place, channel], expected)


def test_values_are_exact_in_fp32() -> None:
    every_value = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16, 1).repeat(3, axis=-1)
    mean, std = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
    views = preprocess(every_value, rules(16, 1, mean, std))
    for channel in range(3):
        expected = (every_value[0, 0, ..., channel].astype(np.float32) - np.float32(mean[channel])) / np.float32(
            std[channel]
        )
        assert np.array_equal(views[0, channel, 0], expected)


@settings(max_examples=30)
@given(st.integers(1, 3), st.integers(1, 4), st.integers(8, 20), st.integers(8, 20), st.sampled_from([1, 3]))
def test_any_shape(clips: int, length: int, height: int, width: int, crops: Literal[1, 3]) -> None:
    frames = noise(clips, length, height, width, 3)
    views = preprocess(frames, rules(8, crops, 127.5, 127.5))
    assert views.shape == (clips * crops, 3, length, 8, 8)
    assert views.min() >= -1
    assert views.max() <= 1
    # views of turned frames are turned views
    turned = preprocess(np.ascontiguousarray(frames.transpose(0, 1, 3, 2, 4)), rules(8, crops, 127.5, 127.5))
    if height != width:
        assert np.array_equal(turned.transpose(0, 1, 2, 4, 3), views)


def test_frames_that_are_not_contiguous() -> None:
    frames = noise(1, 4, 8, 10, 3)
    mirrored = frames[:, ::-1, :, ::-1]
    assert np.array_equal(preprocess(mirrored, rules(8)), preprocess(np.ascontiguousarray(mirrored), rules(8)))


def test_frames_smaller_than_the_crop() -> None:
    with pytest.raises(InputShapeError, match="crop of 9"):
        preprocess(noise(1, 1, 8, 10, 3), rules(9))
