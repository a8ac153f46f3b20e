from __future__ import annotations

import numpy as np
import torch

from nlvid_cli.training.augment import CropWindow, apply_crop, draw_crop, mix_pairs, normalise, sided_classes


def test_one_crop_for_all_frames() -> None:
    picture = torch.randint(0, 256, (1, 3, 40, 60), dtype=torch.uint8)
    clip = apply_crop(picture.repeat(5, 1, 1, 1), CropWindow(3, 7, 30, True), 16)
    assert clip.shape == (5, 3, 16, 16)
    assert (clip == clip[:1]).all()


def test_a_window_of_the_size_of_the_crop_is_cut_out() -> None:
    frames = torch.randint(0, 256, (2, 3, 40, 60), dtype=torch.uint8)
    assert apply_crop(frames, CropWindow(3, 7, 16, False), 16).equal(frames[:, :, 3:19, 7:23])
    assert apply_crop(frames, CropWindow(3, 7, 16, True), 16).equal(frames[:, :, 3:19, 7:23].flip(3))


def test_scale_and_place_are_those_of_the_paper() -> None:
    # decoded to 320; short side 256 to 320 and crops of 224 are squares of 224 to 280 in it
    windows = [draw_crop(np.random.default_rng(n), (320, 426), (256 / 224, 320 / 224), True) for n in range(500)]
    sides = [window.side for window in windows]
    assert min(sides) in range(224, 227)
    assert max(sides) in range(278, 281)
    assert all(window.top + window.side <= 320 and window.left + window.side <= 426 for window in windows)
    assert {window.top + window.side for window in windows} >= {320}
    assert 0.4 < np.mean([window.mirrored for window in windows]) < 0.6
    assert not any(draw_crop(np.random.default_rng(n), (320, 426), (1, 2), False).mirrored for n in range(20))


def test_values_are_normalised_as_the_card_says() -> None:
    clips = torch.full((2, 4, 3, 5, 5), 100, dtype=torch.uint8)
    out = normalise(clips, (90.0, 100.0, 110.0), (10.0, 10.0, 5.0))
    assert out.shape == (2, 3, 4, 5, 5)
    assert out[0, :, 0, 0, 0].tolist() == [1.0, 0.0, -2.0]


def test_pairs_are_mixed_with_each_other() -> None:
    clips = torch.arange(3.0).view(3, 1, 1, 1, 1)
    targets = torch.eye(3)
    mixed, shares = mix_pairs(clips, targets, 0.5, [np.random.default_rng(1)])
    share = np.random.default_rng(1).beta(0.5, 0.5)
    np.testing.assert_allclose(mixed.flatten(), [1 - share, share, 2], rtol=1e-5)
    np.testing.assert_allclose(shares, [[share, 1 - share, 0], [1 - share, share, 0], [0, 0, 1]], rtol=1e-5)


def test_classes_that_tell_left_from_right() -> None:
    names = ("turn left", "Right_hook", "turn_right", "brightening", "leftovers", "running")
    assert sided_classes(names) == ("turn left", "Right_hook", "turn_right")
    camels = ("SwipeLeft", "swipeRight", "LEFTSwipe", "UTurnRight", "Left2Right", "BrightRoom", "Leftovers", "SwipeUp")
    assert sided_classes(camels) == camels[:5]
