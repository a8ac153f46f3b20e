from __future__ import annotations

from pathlib import Path

import pytest

from nlvid_cli.errors import VideoNotFound
from nlvid_cli.video.frame_names import FoundFrames, find_frames, frames_among, unnamed_folder


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
    with pytest.raises(VideoNotFound, match=r"without pictures"):
        find_frames(tmp_path)
    (tmp_path / "flow_x_1.jpg").touch()
    with pytest.raises(VideoNotFound, match="optical flow"):
        find_frames(tmp_path)
    (tmp_path / "1.jpg").mkdir()
    (tmp_path / "flow_x_1.jpg").unlink()
    (tmp_path / "a.mp4").touch()
    with pytest.raises(VideoNotFound, match=r"without pictures .* but videos"):
        find_frames(tmp_path)
    (tmp_path / "1.png").touch()
    assert find_frames(tmp_path).names == ("1.png",)


def test_a_folder_where_a_file_is_wanted_says_what_it_seems_to_be(tmp_path: Path) -> None:
    assert "not a file" in str(unnamed_folder(tmp_path))
    (tmp_path / "1.png").touch()
    (tmp_path / "2.png").touch()
    assert "a folder of 2 pictures" in str(unnamed_folder(tmp_path))
    assert "--frames --fps 25" in str(unnamed_folder(tmp_path))
    (tmp_path / "a.mp4").touch()
    assert "a folder of videos" in str(unnamed_folder(tmp_path))
    assert "cannot be opened" in str(unnamed_folder(tmp_path / "gone"))


@pytest.mark.parametrize(
    "ordered",
    [
        ["9.png", "010.png", "11.png", "0100.png"],  # any padding
        ["s1_2.png", "s1_10.png", "s2_1.png", "s10_1.png"],  # several numbers
        ["f-000009-t0.36.png", "f-000010-t0.4.png", "f-000011-t0.44.png"],  # the time as well
        ["2024-01-01_09-59-59.900.jpg", "2024-01-01_10-00-00.000.jpg", "2024-01-01_10-00-00.100.jpg"],
        ["a.png", "b.png", "c.png"],  # none
        ["0a1f.png", "00b2.png", "3c.png", "d4e.png"],  # nothing in common
        ["A1.JPG", "A2.Jpeg", "A3.PNG", "A4.tIf", "A5.bmp", "A6.webp", "A7.jp2", "A8.pgm"],
    ],
)
def test_natural_order(ordered: list[str]) -> None:
    assert frames_among([*reversed(ordered)]).names == tuple(ordered)


def test_series_side_by_side_do_not_mix() -> None:
    names = [f"{kind}_{number}.png" for kind in ("depth", "mask", "rgb") for number in range(4)]
    found = frames_among([*names, "rgb_4.png"])
    assert found.names == tuple(f"rgb_{number}.png" for number in range(5))
    assert found.others == 8
