from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
import pytest

from nlvid_cli.errors import VideoNotFound
from nlvid_cli.video.thumbnail import encode_jpeg, thumbnail
from tests.clips import make_clip, picture


def _decode(jpeg: bytes) -> np.ndarray:
    with av.open(io.BytesIO(jpeg), format="jpeg_pipe") as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24")


def test_three_frames_side_by_side(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mkv", codec="ffv1", pix_fmt="bgr0", frames=8, size=(96, 72))
    strip = _decode(thumbnail(path))
    assert strip.shape == (72, 3 * 96, 3)
    for place, number in enumerate((2, 4, 6)):
        shown = strip[:, place * 96 : (place + 1) * 96].astype(int)
        differences = [np.abs(shown - picture(n, 96, 72)).mean() for n in range(8)]
        assert np.argmin(differences) == number


def test_colours_and_odd_sizes_survive() -> None:
    flat = np.full((33, 51, 3), (200, 40, 90), np.uint8)
    np.testing.assert_allclose(_decode(encode_jpeg(flat)).astype(int), flat, atol=4)


def test_one_frame_is_enough(tmp_path: Path) -> None:
    assert _decode(thumbnail(make_clip(tmp_path / "one.mp4", frames=1, size=(64, 48)))).shape == (72, 288, 3)


def test_no_video(tmp_path: Path) -> None:
    with pytest.raises(VideoNotFound):
        thumbnail(tmp_path / "none.mp4")
