from __future__ import annotations

from pathlib import Path

import pytest

from nlvid_cli.errors import VideoNotFound
from nlvid_cli.video.frame_names import FoundFrames, find_frames, frames_among


def test_frames_are_in_the_order_of_their_numbers() -> None:
    assert frames_among(["frame-10.jpeg", "frame-9.jpeg", "frame-1.JPG"]).names == (
        "frame-1.JPG",
        "frame-9.jpeg",
        "frame-10.jpeg",
    )
    assert frames_among(["000002.png", "000001.png"]).names == ("000001.png", "000002.png")


def test_the_last_number_of_a_name_counts() -> None:
    names = ["v_Run_g01_c02_0002.jpg", "v_Run_g01_c02_0010.jpg", "v_Run_g01_c02_0001.jpg"]
    assert frames_among(names).names == (names[2], names[0], names[1])
    assert frames_among(["0002_rgb.png", "0001_rgb.png"]).names == ("0001_rgb.png", "0002_rgb.png")


@pytest.mark.parametrize(
    "axes", [("flow_x_", "flow_y_"), ("x_", "y_"), ("flow-u-", "flow-v-"), ("FlowX", "FlowY"), ("u", "v")]
)
def test_optical_flow_is_left_out_and_told(axes: tuple[str, str]) -> None:
    frames = [f"img_{number:05d}.jpg" for number in range(1, 4)]
    flow = [f"{axis}{number:05d}.jpg" for axis in axes for number in range(1, 5)]
    found = frames_among([*flow, *frames])
    assert found == FoundFrames(tuple(frames), flow=8)
    assert "8 pictures are optical flow, and left out" in found.warnings


def test_names_that_only_seem_to_be_optical_flow() -> None:
    for start in ("v_", "x", "flower_", "overflow_cam_"):
        assert len(frames_among([f"{start}{number}.jpg" for number in range(5)]).names) == 5


def test_other_files_are_counted() -> None:
    found = frames_among(["1.jpg", "2.jpg", "3.jpg", "cover.jpg", "notes.txt", "thumb_1.jpg", ".DS_Store", "2.png"])
    assert found.names == ("1.jpg", "2.jpg", "3.jpg")
    assert found.others == 4
    assert any("4 other files" in warning for warning in found.warnings)


def test_gaps_are_closed_and_told() -> None:
    assert frames_among(["1.jpg", "2.jpg", "5.jpg", "6.jpg"]).missing == 2
    assert frames_among([f"{number}.jpg" for number in range(0, 50, 5)]).missing == 0  # every fifth frame was kept
    assert frames_among(["1.jpg", f"{10**40}.jpg"]).names == ("1.jpg", f"{10**40}.jpg")


def test_a_folder_without_frames_says_what_is_there(tmp_path: Path) -> None:
    with pytest.raises(VideoNotFound, match="numbered pictures"):
        find_frames(tmp_path)
    (tmp_path / "flow_x_1.jpg").touch()
    with pytest.raises(VideoNotFound, match="optical flow"):
        find_frames(tmp_path)
    (tmp_path / "1.jpg").mkdir()
    with pytest.raises(VideoNotFound, match="numbered pictures"):
        find_frames(tmp_path)
    (tmp_path / "1.png").touch()
    assert find_frames(tmp_path).names == ("1.png",)
    (tmp_path / "a.mp4").touch()
    with pytest.raises(VideoNotFound, match="videos"):
        find_frames(tmp_path)
