from __future__ import annotations

import csv
import io
from dataclasses import replace

from nlvid_cli.report.timeline.csv_rows import COLUMNS, TimelineCsvRenderer
from nlvid_cli.video.segment import Stretch
from tests.report.samples import FAILURE
from tests.report.timeline.samples import made_timeline


def test_a_row_per_segment_and_one_per_failure() -> None:
    stream = io.StringIO()
    renderer = TimelineCsvRenderer(stream)
    renderer.add(made_timeline(labels=('run, "fast"', "b", "c", "d")), 1.0)
    renderer.add(made_timeline(()), 1.0)
    renderer.add(replace(FAILURE, stretch=Stretch(2.0, 4.5)), 1.0)
    renderer.close()
    rows = list(csv.DictReader(io.StringIO(stream.getvalue())))
    assert tuple(rows[0]) == COLUMNS
    assert [row["segment"] for row in rows] == ["1", "2", "3", ""]
    assert rows[0] == {
        "video": "clips/[a] b.mp4",
        "segment": "1",
        "start_seconds": "1.0",
        "end_seconds": "3.5",
        "label": 'run, "fast"',
        "index": "0",
        "score": "0.900000",
        "model": "i3d-inception-64x1.deepmind-k400",
        "error_type": "",
        "error_message": "",
    }
    assert rows[3]["error_type"] == "NoVideoStream"
    assert (rows[3]["start_seconds"], rows[3]["end_seconds"]) == ("2.0", "4.5")
