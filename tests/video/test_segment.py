from __future__ import annotations

import json

import pytest

from nlvid_cli.errors import UsageError
from nlvid_cli.video.segment import Segment, Stretch


@pytest.mark.parametrize(
    "stretch", [Stretch(2.0, 4.5), Stretch(0.0), Stretch(end_seconds=3.0), Stretch(start_frame=10, end_frame=55)]
)
def test_a_stretch_survives_json(stretch: Stretch) -> None:
    assert Stretch.from_dict(json.loads(json.dumps(stretch.to_dict()))) == stretch


def test_what_is_open_is_not_in_the_json() -> None:
    assert Stretch(2.0).to_dict() == {"start_seconds": 2.0}
    assert Stretch.from_dict(None) is None


@pytest.mark.parametrize(
    "values", [(2.0, 2.0), (2.0, 1.0), (-1.0, 1.0), (None, 0.0), (float("nan"), 1.0), (0.0, float("inf"))]
)
def test_an_empty_or_impossible_stretch_is_refused(values: tuple[float, float]) -> None:
    with pytest.raises(UsageError, match="stretch"):
        Stretch(*values)


def test_times_and_frames_together_are_refused() -> None:
    with pytest.raises(UsageError, match="both"):
        Stretch(start_seconds=1.0, end_frame=30)


def test_people_read_where_it_is() -> None:
    assert str(Segment("a.mp4")) == "a.mp4"
    assert str(Segment("a.mp4", Stretch(2.0, 4.5))) == "a.mp4 (2 to 4.5 s)"
    assert str(Stretch(2.0)) == "2 s to the end"
    assert str(Stretch(end_frame=300)) == "frames 0 to 300"
    assert str(Stretch(start_frame=5)) == "frames 5 to the end"
