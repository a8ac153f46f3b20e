from __future__ import annotations

import json
import os
import resource
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nlvid_cli.errors import OutputError
from nlvid_cli.labelling.ledger import Ledger, read_rows
from nlvid_cli.labelling.rows import Request, Row, file_state
from nlvid_cli.recognize.answer import Answer
from nlvid_cli.recognize.prediction import Failure, FailureReason, LabelScore, Prediction, Views
from nlvid_cli.video.info import VideoFacts
from nlvid_cli.video.segment import Segment, Stretch

VIEWS = Views(3, 1, 8, 2)
REQUEST = Request("model", "0123", VIEWS, False, Answer())


def _prediction(video: str, score: float = 0.5) -> Prediction:
    best = (LabelScore('a "label", "backend": "', 1, score),)
    return Prediction(
        video, "model", "torch", "cpu", "fp32", VideoFacts(1.0, 25.0, False, 64, 48), VIEWS, "single", best, False, ()
    )


def _row(video: str, request: Request = REQUEST, score: float = 0.5) -> Row:
    return Row.of(_prediction(video, score), file_state(video), request)


def _failed(video: str) -> Row:
    return Row.of(Failure(video, FailureReason("UnreadableVideo", "no")), file_state(video), REQUEST)


def _write(output: Path, rows: list[Row]) -> None:
    with Ledger(output) as ledger:
        ledger.read()
        ledger.open()
        for row in rows:
            ledger.append(row)


def _videos(output: Path) -> list[str]:
    return [row.summary.video for row in read_rows(output)]


def _to_do(output: Path, videos: list[str], request: Request = REQUEST, retry_failed: bool = False) -> list[str]:
    ledger = Ledger(output)
    ledger.read()
    segments = [Segment(video) for video in videos]
    return [str(video) for video, _ in ledger.to_do(segments, request, retry_failed)]


@pytest.fixture
def videos(tmp_path: Path) -> list[str]:
    paths = [tmp_path / name for name in ("a.mp4", 'b", "error": {.mp4', os.fsdecode(b"c\xe9\n.mp4"))]
    for path in paths:
        path.write_bytes(b"x" * 10)
    return list(map(str, paths))


def test_lines_are_read_as_they_were_written(videos: list[str]) -> None:
    for video in videos:
        for row in (_row(video), _failed(video)):
            assert list(row.record)[:7] == ["schema", "video", "file", "model", "model_sha256", "asked", "answer"]
            read = Row.parse(row.line)
            assert (read.summary, read.line) == (row.summary, row.line)
            assert read.record == json.loads(json.dumps(row.record))
            assert (read.summary.video, read.summary.file) == (video, file_state(video))
            assert read.summary.error == ("UnreadableVideo" if "error" in row.record else None)


def test_what_is_done_is_not_done_again(tmp_path: Path, videos: list[str]) -> None:
    output = tmp_path / "labels.jsonl"
    assert _to_do(output, videos) == videos
    _write(output, [_row(videos[0]), _failed(videos[1])])
    assert _to_do(output, videos) == videos[2:]
    assert _to_do(output, videos, retry_failed=True) == videos[1:]
    assert _to_do(output, videos, Request("other", "0123", VIEWS, False, Answer())) == videos
    assert _to_do(output, videos, Request("model", "4567", VIEWS, False, Answer())) == videos  # trained again
    assert _to_do(output, videos, Request("model", "0123", Views(4, 1, 8, 2), False, Answer())) == videos
    assert _to_do(output, videos, Request("model", "0123", VIEWS, True, Answer())) == videos
    assert _to_do(output, videos, Request("model", "0123", VIEWS, False, Answer(top_k=1))) == videos


@pytest.mark.parametrize("change", ["size", "time"])
def test_a_file_that_changed_is_done_again(tmp_path: Path, videos: list[str], change: str) -> None:
    output = tmp_path / "labels.jsonl"
    _write(output, [_row(video) for video in videos])
    if change == "size":
        times = os.stat(videos[1])
        Path(videos[1]).write_bytes(b"y" * 11)
        os.utime(videos[1], ns=(times.st_atime_ns, times.st_mtime_ns))
    else:
        os.utime(videos[1], (1, 1.5))
    assert _to_do(output, videos) == [videos[1]]
    _write(output, [_row(videos[1], score=0.25)])
    assert _videos(output) == [videos[0], videos[2], videos[1]]
    assert list(read_rows(output))[-1].record["predictions"][0]["score"] == 0.25


def test_a_prediction_stays_where_nothing_can_be_learnt_of_its_file(
    tmp_path: Path, videos: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    output = tmp_path / "labels.jsonl"
    _write(output, [_row(videos[0]), _failed(videos[1]), _row(videos[2])])
    for video in videos:
        os.unlink(video)
    assert _to_do(output, [*videos, "new.mp4"]) == [videos[1], "new.mp4"]
    assert [record.getMessage() for record in caplog.records] == [
        f"{output}: 2 videos are out of reach; their rows are kept"
    ]
    assert _to_do(output, videos, Request("model", "0123", VIEWS, False, Answer(top_k=1))) == videos


def test_rows_stay_until_they_are_made_again(tmp_path: Path, videos: list[str]) -> None:
    output = tmp_path / "labels.jsonl"
    other = Request("model", "0123", VIEWS, False, Answer(top_k=1))
    _write(output, [_row(video) for video in videos])
    ledger = Ledger(output)
    ledger.read()
    assert [str(video) for video, _ in ledger.to_do(map(Segment, videos), other)] == videos
    ledger.open()
    ledger.append(_row(videos[0], other))
    ledger.close(compacting=False)  # as a run that is killed
    assert _videos(output) == [*videos, videos[0]]
    assert _to_do(output, videos) == videos[:1]
    assert _to_do(output, videos, other) == videos[1:]
    _write(output, [_row(videos[1], other)])
    assert [(row.summary.video, row.summary.answer["top_k"]) for row in read_rows(output)] == [
        (videos[2], 5), (videos[0], 1), (videos[1], 1)
    ]  # fmt: skip
    assert not list(tmp_path.glob(".*.part"))


def test_a_file_that_was_replaced_is_not_overwritten_at_the_end(tmp_path: Path, videos: list[str]) -> None:
    output = tmp_path / "labels.jsonl"
    _write(output, [_row(videos[0])])
    ledger = Ledger(output)
    ledger.read()
    ledger.open()
    ledger.append(_row(videos[0], score=0.25))
    (tmp_path / "other").write_text("another file")
    os.replace(tmp_path / "other", output)
    with pytest.raises(OutputError, match=r"replaced.*rows went with it"):
        ledger.close()
    assert output.read_text() == "another file"


def test_rows_of_other_models_and_videos_stay(tmp_path: Path, videos: list[str]) -> None:
    output = tmp_path / "labels.jsonl"
    other = Request("other", "0123", VIEWS, False, Answer())
    _write(output, [_row(videos[0])])
    _write(output, [_row(videos[0], other)])
    _write(output, [_row(videos[1])])
    assert [(row.summary.video, row.summary.model) for row in read_rows(output)] == [
        (videos[0], "model"), (videos[0], "other"), (videos[1], "model")
    ]  # fmt: skip


@pytest.mark.parametrize("tear", [lambda line: line[:40], lambda line: line[:-1], lambda line: b"\0" * 50])
def test_a_torn_line_is_done_again(tmp_path: Path, videos: list[str], tear: Any) -> None:
    output = tmp_path / "labels.jsonl"
    output.write_bytes(_row(videos[0]).line + tear(_row(videos[1]).line))
    assert _to_do(output, videos) == videos[1:]
    _write(output, [_row(videos[1])])
    assert _videos(output) == videos[:2]
    assert b"\0" not in output.read_bytes()


@pytest.mark.parametrize(
    "damage",
    [
        lambda line: line[:300] + b"\0" * 50 + line[350:],
        lambda line: b"\0" * 50 + line[50:],
        lambda line: line[:300] + b"\xff{" + line[302:],
        lambda line: line[:300] + b"\n" + line[301:],
        lambda line: b'{"schema": ' * 100_000 + b"}\n",
        lambda line: b"[" * 100_000 + b"]" * 100_000 + b"\n",
        lambda line: line.replace(b'"clips": 3', b'"clips": ' + b"[" * 900 + b"]" * 900),
        lambda line: line.replace(b'"score": ', b'"score": -Infinity, "was": '),
        lambda line: line.replace(b'"video": ', b'"video": 7, "was": '),
        lambda line: line.replace(b'"video": ', b'"video": "\\ud800", "was": '),
        lambda line: line.replace(b'"warnings": [', b'"warnings": [7, '),
    ],
)
def test_a_line_that_is_damaged_within_is_done_again(
    tmp_path: Path, videos: list[str], damage: Any, caplog: pytest.LogCaptureFixture
) -> None:
    output = tmp_path / "labels.jsonl"
    first, second, third = (_row(video).line for video in videos)
    output.write_bytes(first + damage(second) + third)
    assert _videos(output) == [videos[0], videos[2]]
    assert "torn or damaged" in caplog.text
    caplog.clear()
    assert _to_do(output, videos) == [videos[1]]
    _write(output, [_row(videos[1])])
    assert output.read_bytes() == first + third + second
    assert "torn or damaged" in caplog.text


@pytest.mark.parametrize(
    "content",
    [
        b"Chapter one\n",
        b"no end of line",
        b'{"a": 1}\n',
        _row("a.mp4").line + b'{"a": 1}\n',
        _row("a.mp4").line + b"7\n",
        _row("a.mp4").line + _row("b.mp4").line.replace(b'"schema": 1', b'"schema": 2').replace(b'"b.mp4"', b"7"),
        b'{"schema": 1, "video": "a", "error": {"type": "X", "message": ""}}\n',  # of nlvid classify
        b'{"schema": 1, "video": 7, "model": "m", "file": null, "asked": {}, "answer": {}, "predictions": []}\n',
    ],
)
def test_a_file_of_something_else_is_left_alone(tmp_path: Path, content: bytes) -> None:
    output = tmp_path / "thesis.txt"
    output.write_bytes(content)
    with pytest.raises(OutputError, match="label"):
        Ledger(output).read()
    assert output.read_bytes() == content


def test_the_shared_file_of_wrong_types(shared: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    wrong, right = (shared / "hostile" / "t.jsonl").read_bytes().splitlines(keepends=True)
    output = tmp_path / "labels.jsonl"
    output.write_bytes(wrong + right)
    with pytest.raises(OutputError, match="not an `nlvid label` file"):
        Ledger(output).read()
    assert output.read_bytes() == wrong + right
    assert [row.line for row in read_rows(output)] == [right]
    assert "1 lines" in caplog.text
    output.write_bytes(right + wrong.replace(b'{"schema":1', b'{"schema": 1'))
    with Ledger(output) as ledger:
        ledger.read()
        ledger.open()
    assert output.read_bytes() == right
    assert "1 lines are torn or damaged" in caplog.text


def test_a_full_disk_leaves_what_is_safe(tmp_path: Path, videos: list[str]) -> None:
    import signal

    output = tmp_path / "labels.jsonl"
    row = _row(videos[0])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with Ledger(output) as ledger:
            ledger.open()
            ledger.append(row)
            resource.setrlimit(resource.RLIMIT_FSIZE, (len(row.line) + 100, before[1]))
            with pytest.raises(OutputError, match="last whole row"):
                ledger.append(_row(videos[2]))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert output.read_bytes() == row.line


def test_a_file_that_was_removed_is_noticed(tmp_path: Path, videos: list[str]) -> None:
    output = tmp_path / "labels.jsonl"
    ledger = Ledger(output)
    ledger.open()
    ledger.append(_row(videos[0]))
    output.unlink()
    with pytest.raises(OutputError, match=r"removed.*rows went with it"):
        ledger.append(_row(videos[1]))
    output.touch()
    with pytest.raises(OutputError, match="replaced"):
        ledger.append(_row(videos[1]))
    with pytest.raises(OutputError, match="replaced"):
        ledger.close()
    assert output.read_bytes() == b""


def test_many_rows_are_read_quickly(tmp_path: Path) -> None:
    output = tmp_path / "labels.jsonl"
    before, after = Row.of(_prediction("v/NUMBER.mp4"), None, REQUEST).line.split(b"NUMBER")
    with output.open("wb") as stream:
        stream.writelines(before + str(number).encode() + after for number in range(20_000))
    began = time.process_time()
    assert _to_do(output, [f"v/{number}.mp4" for number in range(0, 40_000, 2)]) == [
        f"v/{number}.mp4" for number in range(20_000, 40_000, 2)
    ]
    assert time.process_time() - began < 3


def test_stretches_of_one_video_are_different_entries(tmp_path: Path) -> None:
    output = tmp_path / "labels.jsonl"
    video = str(tmp_path / "a.mp4")
    Path(video).write_bytes(b"x")
    parts = [Segment(video, Stretch(0.0, 1.0)), Segment(video, Stretch(1.0, 2.0)), Segment(video)]
    state = file_state(video)
    _write(output, [Row.of(replace(_prediction(video), stretch=part.stretch), state, REQUEST) for part in parts[1:]])
    ledger = Ledger(output)
    ledger.read()
    assert len(ledger.spans) == 2
    assert [part for part, _ in ledger.to_do(parts, REQUEST)] == parts[:1]
    lines = [json.loads(line) for line in output.read_text().splitlines()]
    assert [line.get("stretch") for line in lines] == [{"start_seconds": 1.0, "end_seconds": 2.0}, None]
    Path(video).write_bytes(b"xyz")
    assert [part for part, _ in ledger.to_do(parts, REQUEST)] == parts


def test_a_folder_of_frames_at_another_rate_is_done_again_and_its_old_row_goes(tmp_path: Path) -> None:
    output = tmp_path / "labels.jsonl"
    folder = str(tmp_path / "frames")
    Path(folder).mkdir()
    before = replace(_prediction(folder), fps=25.0)
    failed = replace(Failure(folder + "2", FailureReason("VideoNotFound", "no")), fps=25.0)
    _write(output, [Row.of(before, file_state(folder), REQUEST), Row.of(failed, None, REQUEST)])
    ledger = Ledger(output)
    ledger.read()
    same = [Segment(folder, fps=25.0), Segment(folder + "2", fps=25.0)]
    assert not list(ledger.to_do(same, REQUEST))
    for fps in (30.0, None):
        other = [replace(segment, fps=fps) for segment in same]
        assert [segment for segment, _ in ledger.to_do(other, REQUEST)] == other
    _write(output, [Row.of(replace(before, fps=30.0), file_state(folder), REQUEST)])
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert {row["video"]: row["fps"] for row in rows} == {folder: 30.0, folder + "2": 25.0}


@pytest.mark.parametrize("fps", ["25", 0, -1, True, None])
def test_a_rate_that_is_none_is_no_row(tmp_path: Path, fps: object) -> None:
    record = Row.of(replace(_prediction("a"), fps=25.0), None, REQUEST).record | {"fps": fps}
    with pytest.raises(ValueError, match="not a row"):
        Row.parse(json.dumps(record).encode() + b"\n")
