"""Frames that the original test loaders take from real videos.

``data/pyslowfast_frame_indices.json`` holds the frames of each clip that PySlowFast's own loader returned (8 frames,
step 8, 10 clips), found by comparing pixels: with torchvision's decoder, the default of today, and with the PyAV loader
of 2020. Clips are left out if other frames have the same pixels.
"""

from __future__ import annotations

import json
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


INDICES = json.loads((Path(__file__).parents[1] / "data" / "pyslowfast_frame_indices.json").read_text())

PYAV_EQUAL = {
    "flipping_a_pancake.mkv": 10,  # decoded whole
    "v_SoccerJuggling_g23_c01.avi": 10,
    # PyAV returns one frame after the window too, so that the last frame is often another
    "R6llTwEh07w.mp4": 1,
    "arm_wrestling.mp4": 1,
    "S001C001P001R001A001_rgb.avi": 2,
    "kinetics-i3d__v_CricketShot_g04_c01_rgb.gif": 6,
    "v_ApplyEyeMakeup_g01_c01.avi": 6,
    # and its window is computed from the number of frames in the header, not from rate and duration
    "RATRACE_wave_f_nm_np1_fr_goo_37.avi": 3,
    "v_GGSY1Qvo990.mp4": 8,
}
"""Clips with the frames of the PyAV loader: all where it is the only one that can read the file."""


@pytest.mark.parametrize("name", [name for name, loaders in INDICES.items() if "torchvision" in loaders])
def test_frames_are_those_of_pyslowfast(action: Path, name: str) -> None:
    assert equal_clips(action / name, "torchvision") == len(INDICES[name]["torchvision"]["clips"])


@pytest.mark.parametrize("name", PYAV_EQUAL)
def test_share_of_clips_with_the_frames_of_the_loader_of_2020(action: Path, name: str) -> None:
    assert equal_clips(action / name, "pyav_2020") == PYAV_EQUAL[name]


def test_every_recorded_loader_is_compared() -> None:
    assert {name for name, loaders in INDICES.items() if "pyav_2020" in loaders} == PYAV_EQUAL.keys()
    assert all(PYAV_EQUAL[name] == 10 for name, loaders in INDICES.items() if "torchvision" not in loaders)


def equal_clips(path: Path, loader: str) -> int:
    clips = sample(probe(path), Sampling(8, 8, 10, "scaled_windows", "hold")).frame_numbers.tolist()
    return sum(clips[int(number)] == frames for number, frames in INDICES[path.name][loader]["clips"].items())


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
