"""Frames that the original test loaders take from real videos."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from nlvid_cli.card.card import Sampling
from nlvid_cli.video.probe import probe
from nlvid_cli.video.sample import sample


@pytest.fixture
def action(shared: Path) -> Path:
    return shared / "videos" / "action"


@pytest.mark.parametrize(
    "name", ["RATRACE_wave_f_nm_np1_fr_goo_37.avi", "hmdb51_Turnk_r_Pippi_Michel_cartwheel_f_cm_np2_le_med_6.avi"]
)
def test_pictures_of_packed_b_frames_are_counted(action: Path, name: str) -> None:
    """As MMAction2 and FAIR do: theirs is arithmetic with the number of pictures that decode."""
    info = probe(action / name)
    with av.open(str(action / name), metadata_errors="replace") as container:
        pictures = sum(1 for _ in container.decode(video=0))
    free = pictures - 63
    mmaction2 = [[round(free * clip / 9) + 2 * i for i in range(32)] for clip in range(10)]
    assert sample(info, Sampling(32, 2, 10, "ends", "loop")).frame_numbers.tolist() == mmaction2
    gap = np.float32(pictures) / np.float32(10)
    fair = [[(int(gap * np.float32(clip)) + 8 * i) % pictures for i in range(8)] for clip in range(10)]
    assert sample(info, Sampling(8, 8, 10, "wrapped", "loop")).frame_numbers.tolist() == fair
