"""Views that int8 is calibrated on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nlvid_cli.card.card import Card
from nlvid_cli.onnx_export.videos import ENOUGH_VIEWS, calibration_views
from tests.clips import make_clip


def test_a_short_clip_gives_as_many_different_views_as_are_enough(card: Card, tmp_path: Path) -> None:
    views = list(calibration_views(card, [str(make_clip(tmp_path / "short.mp4", frames=10))]))
    assert [view.shape for view in views] == [(1, 3, 8, 64, 64)] * ENOUGH_VIEWS
    assert len(np.unique(views, axis=0)) == ENOUGH_VIEWS
    assert all(-1 <= view.min() < view.max() <= 1 for view in views)  # black and white, normalised
    np.testing.assert_array_equal(views[2], -views[0])  # the negative: this card's grey is 0


def test_enough_videos_are_not_altered(card: Card, tmp_path: Path) -> None:
    videos = [str(make_clip(tmp_path / f"{number}.mp4", frames=100)) for number in range(4)]
    assert len(list(calibration_views(card, videos))) == 12  # three clips of each
