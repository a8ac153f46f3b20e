"""Parts of videos, folders of frames and addresses, as a user names them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nlvid_cli.video.probe import probe
from nlvid_cli.video.read import read_frames
from tests.clips import make_clip
from tests.conftest import Run
from tests.server import serving

COUNT = 60


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 frames in RGB, 25 a second, and beside it the folder of its frames."""
    path = make_clip(tmp_path_factory.mktemp("clip") / "clip.mkv", codec="ffv1", frames=COUNT, pix_fmt="bgr0")
    pixels = read_frames(probe(path), np.arange(COUNT)[None], None).frames[0]
    (path.parent / "frames").mkdir()
    for number, pixel in enumerate(pixels):
        Image.fromarray(pixel.astype(np.uint8)).save(path.parent / "frames" / f"img_{number}.png")
    return path


def _json(run: Run, model_file: Path, *arguments: object) -> Any:
    options = ("-m", model_file, "--device", "cpu", "--precision", "fp32", "-f", "json")
    outcome = run("classify", *options, *arguments)
    assert outcome.status == 0, outcome.err
    return json.loads(outcome.out)


def _without_names(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in ("video", "fps")}


@pytest.mark.parametrize("part", [(), ("--start", "0:00.4", "--end", "1.52"), ("--end", "0:01")])
def test_a_folder_of_frames_gives_what_its_video_gives(
    run: Run, model_file: Path, clip: Path, part: tuple[str, ...]
) -> None:
    frames = _json(run, model_file, clip.parent / "frames", "--frames", "--fps", "25", *part)
    assert (frames["fps"], frames["frame_rate"]) == (25.0, 25.0)
    assert _without_names(frames) == _without_names(_json(run, model_file, clip, *part))


def test_several_folders_of_frames(run: Run, model_file: Path, clip: Path) -> None:
    records = _json(run, model_file, clip.parent, "--frames", "--fps", "50/2", "--start", "1")
    assert [Path(record["video"]).name for record in records] == ["clip.mkv", "frames"]
    assert _without_names(records[0]) == _without_names(records[1])


def test_a_part_is_exact_to_the_frame_and_reported(run: Run, model_file: Path, clip: Path, tmp_path: Path) -> None:
    """A file of the same frames alone has the same scores; one frame more or fewer has others."""
    cut = tmp_path / "cut"
    cut.mkdir()
    for number in range(20, 45):
        (cut / f"{number}.png").symlink_to(clip.parent / "frames" / f"img_{number}.png")
    expected = _json(run, model_file, cut, "--frames", "--fps", "25")
    part = _json(run, model_file, clip, "--start", "0.8", "--end", "1.8")
    assert part["stretch"] == {"start_seconds": 0.8, "end_seconds": 1.8}
    assert part["predictions"] == expected["predictions"]
    assert [one["start_seconds"] for one in part["clips"]] == pytest.approx(
        [one["start_seconds"] + 0.8 for one in expected["clips"]]
    )
    for start, end in (("0.81", "1.8"), ("0.8", "1.81")):
        assert _json(run, model_file, clip, "--start", start, "--end", end)["predictions"] != part["predictions"]
    options = ("-m", model_file, "--device", "cpu", "--precision", "fp32", "--start", "0:00.8", "--end", "0:00:01.8")
    assert "(0.8 to 1.8 s)" in run("classify", clip, *options).out
    assert ",,0.8,1.8,1," in run("classify", clip, *options, "-f", "csv").out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--start", "-1"), "--start .*1:02:03.*'-1'"),
        (("--end", "nan"), "--end .*'nan'"),
        (("--start", "1e300"), "--start .*'1e300'"),
        (("--start", "2", "--end", "1"), r"end after its start \(2 to 1 s\)"),
        (("--end", "0"), "end after its start"),
        (("--fps", "25"), "--fps .*--frames"),
        (("--frames",), "no folder of frames"),
        (("--frames", "--fps", "nan"), "--fps .*30000/1001"),
    ],
)
def test_wrong_usage_is_one_line(run: Run, clip: Path, options: tuple[str, ...], message: str) -> None:
    outcome = run("classify", clip, *options)
    assert outcome.status == 2
    assert len(outcome.err.splitlines()) == 1
    assert re.search(message, outcome.err)


def test_a_start_beyond_the_end_says_how_long_the_video_is(run: Run, model_file: Path, clip: Path) -> None:
    outcome = run("classify", clip, "-m", model_file, "--start", "1:00:00")
    assert outcome.status == 1
    assert "the video has 2.40 s (60 frames)" in outcome.err


def test_an_address_gives_what_the_file_gives(run: Run, model_file: Path, clip: Path) -> None:
    with serving(clip.parent) as address:
        for part in ((), ("--start", "0.8", "--end", "1.8")):
            there = _json(run, model_file, f"{address}/clip.mkv", *part)
            assert there["video"] == f"{address}/clip.mkv"
            assert _without_names(there) == _without_names(_json(run, model_file, clip, *part))
        outcome = run("classify", f"{address}/none.mp4", "-m", model_file, "-f", "json")
    assert outcome.status == 1
    assert json.loads(outcome.out)["error"]["type"] == "VideoNotFound"
