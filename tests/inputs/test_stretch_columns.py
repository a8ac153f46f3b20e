from __future__ import annotations

import pytest

from nlvid_cli.errors import DataSetError
from nlvid_cli.inputs.stretch_columns import find_stretch_columns, is_stretch_column
from nlvid_cli.video.segment import Stretch


@pytest.mark.parametrize(
    ("header", "unit"),
    [
        ("video,start,end,label", "seconds"),
        ("video,time_start,time_end,label", "seconds"),
        ("video,start_time,end_time,label", "seconds"),
        ("video,start_seconds,end_seconds,label", "seconds"),
        ("video,t_start,t_end,label", "seconds"),
        ("video,clip_start,clip_end,label", "seconds"),
        ("video,from,to,label", "seconds"),
        ("video,begin,end,label", "seconds"),
        ("video,onset,offset,label", "seconds"),
        ("video,start_s,stop_s,label", "seconds"),
        ("video,start_ms,end_ms,label", "milliseconds"),
        ("video,start_frame,end_frame,label", "frames"),
        ("start_frame,start_timestamp,stop_frame,stop_timestamp,label", "seconds"),
    ],
)
def test_names_of_columns(header: str, unit: str) -> None:
    names = header.split(",")
    columns = find_stretch_columns(names)
    assert columns is not None
    assert columns.unit == unit
    assert columns.names == (names[columns.start], names[columns.end])


@pytest.mark.parametrize("header", ["video,label", "video,start,label", "video,end,label", "video,total,tool,endless"])
def test_a_table_without_both_columns_has_no_stretches(header: str) -> None:
    assert find_stretch_columns(header.split(",")) is None


def test_other_columns_are_none_of_stretches() -> None:
    assert not any(map(is_stretch_column, ("label", "duration", "action", "video", "name", "time")))


def test_start_and_end_of_a_row() -> None:
    columns = find_stretch_columns(("video", "start", "end", "label"))
    assert columns is not None
    assert columns.read(("a.mp4", "0:12.5", "1:02:03", "x"), "t.csv, line 2") == (12.5, 3723.0)
    assert columns.read(("a.mp4", "", "3", "x"), "t.csv, line 2") == (None, 3.0)
    with pytest.raises(DataSetError, match=r"t\.csv, line 2: end \(3 s\) is not after start \(5 s\)"):
        columns.read(("a.mp4", "5", "3", "x"), "t.csv, line 2")
    with pytest.raises(DataSetError, match=r"line 2: start must be a time such as .* not 'soon'"):
        columns.read(("a.mp4", "soon", "3", "x"), "t.csv, line 2")
    milliseconds = find_stretch_columns(("start_ms", "end_ms"))
    assert milliseconds is not None
    assert milliseconds.read(("1500", "2500"), "t.csv, line 2") == (1.5, 2.5)


def test_the_stretch_of_a_row() -> None:
    times = find_stretch_columns(("start", "end"))
    frames = find_stretch_columns(("start_frame", "stop_frame"))
    assert times is not None
    assert frames is not None
    assert times.stretch(("0:02", "4.5"), "") == Stretch(2.0, 4.5)
    assert times.stretch(("", "3"), "") == Stretch(end_seconds=3.0)
    assert times.stretch(("", " "), "") is None
    assert frames.stretch(("10", "55.0"), "") == Stretch(start_frame=10, end_frame=55)
    assert frames.stretch(("0", ""), "") == Stretch(start_frame=0)
    with pytest.raises(DataSetError, match=r"t\.csv, line 7: .*frame"):
        frames.stretch(("1.5", "4"), "t.csv, line 7")
