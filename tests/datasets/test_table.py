from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nlvid_cli.datasets.table import read_table
from nlvid_cli.errors import DataSetError
from tests.datasets.conftest import Make


@pytest.mark.parametrize("separator", [",", ", ", "\t", ";", "|", " "])
@pytest.mark.parametrize("header", ["", "path{}label\n", "Video Path{}Class\n"])
def test_separators_and_headers(write: Make, separator: str, header: str) -> None:
    if separator == " ":  # within a name of a column it cannot be told from a separator
        header = header.replace("Video Path", "video_path")
    text = header.format(separator) + f"my clips/a 1.mp4{separator}run\n\nb.mp4{separator}riding a horse\n"
    table = read_table(write("list.txt", text))
    assert table.header in (None, ("path", "label"), ("video_path", "class"))
    assert (table.header is None) == (not header)
    first = 2 if header else 1
    assert [(row.line, row.cells) for row in table.rows] == [
        (first, ("my clips/a 1.mp4", "run")),
        (first + 2, ("b.mp4", "riding a horse")),
    ]


def test_a_row_takes_less_than_a_kilobyte(write: Make) -> None:
    count = 20_000
    path = write("t.csv", "path,label\n" + "".join(f"clips/{n}.mp4,class {n % 400}\n" for n in range(count)))
    tracemalloc.start()
    try:
        table = read_table(path)
        _, most_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(table.rows) == count
    assert most_bytes < 1000 * count


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"a, b.mp4",run\nc.mp4,walk\n', ("a, b.mp4", "run")),
        ("a, b.mp4 3\nc.mp4 4\n", ("a, b.mp4", "3")),
        ("a;b.mp4,run\nc.mp4,walk\n", ("a;b.mp4", "run")),
        ('"a b.mp4" "ride a horse"\nc.mp4 walk\n', ("a b.mp4", "ride a horse")),
        ('"she said ""hi"".mp4",run\nc.mp4,walk\n', ('she said "hi".mp4', "run")),
        ("my.mp4 copy.mp4 3\nc.mp4 4\n", ("my.mp4 copy.mp4", "3")),
        ("a.mp4,run,\nb.mp4,walk,\n,,\n", ("a.mp4", "run", "")),
    ],
)
def test_separators_within_names(write: Make, text: str, expected: tuple[str, ...]) -> None:
    assert read_table(write("list.csv", text)).rows[0].cells == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "list.csv: .*empty"),
        ("path,label\n", "list.csv: .*header"),
        ("path,label\na.mp4,run\nb.mp4\twalk\n", "line 3: 1 column .* 2 .*comma"),
        ("a.mp4,run\nb, c.mp4,walk\nd.mp4,run\n", "line 2: 3 columns .* 2 .*comma"),
        ('a.mp4,run\n"b.mp4,walk\nc.mp4,run\nd.mp4,run\n', "line 2: .*quote"),
        ("a.mp4\nb.mp4\n", "list.csv: .*no labels"),
        ("hello\nworld\n", "labels in 'hello'"),
        ("what,ever\na.mp4,run\nb.mp4,walk\n", r"line 1: .*header.*\(what, ever\)"),
        ("path,label,label\na.mp4,run,2\n", "line 1: two columns .*'label'"),
        ('[{"path": "a.mp4"}]', "no labels"),
        ('{"path": "a.mp4", "label": "run"}\n{"path"\n', "line 2: not JSON"),
        ('{"path": "a.mp4", "label": "run"}\n3\n', "line 2: not a JSON object"),
        ('{"path": "a.mp4", "label": {"x": 1}}\n', "line 1: 'label' must be"),
    ],
)
def test_mistakes_name_the_line(write: Make, text: str, message: str) -> None:
    with pytest.raises(DataSetError, match=message):
        read_table(write("list.csv", text))


def test_a_header_is_not_taken_for_data_nor_data_for_a_header(write: Make) -> None:
    assert read_table(write("a.csv", "label,video\nrun,a\nwalk,b\n")).header == ("label", "video")
    table = read_table(write("b.csv", "class.mp4,video\nb.mp4,label\n"))  # labels that are called like columns
    assert table.header is None
    assert len(table.rows) == 2


def test_json_lines_with_different_keys(write: Make) -> None:
    text = '{"path": "a.mp4", "labels": ["run", 3]}\n\n{"labels": null, "path": "b.mp4", "extra": {"x": 1}}\n'
    table = read_table(write("a.jsonl", text))
    assert table.header == ("path", "labels", "extra")
    assert [(row.line, row.cells) for row in table.rows] == [
        (1, ("a.mp4", ("run", "3"), "")),
        (3, ("b.mp4", "", "")),
    ]


def test_a_video_is_no_data_set(write: Make) -> None:
    with pytest.raises(DataSetError, match=r"clip\.mp4: a video"):
        read_table(write("clip.mp4", b"\0"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.one_of(
        st.binary(max_size=200),
        st.text("abc.mp4|,;\t \n\"'{}[]:path,label0", max_size=200).map(str.encode),
    )
)
def test_any_file_gives_a_table_or_a_data_set_error(write: Make, text: bytes) -> None:
    try:
        table = read_table(write("list.csv", text))
    except DataSetError as error:
        assert_names_the_file(str(error))
        return
    widths = {len(row.cells) for row in table.rows}
    assert len(widths) == 1
    assert [row.line for row in table.rows] == sorted({row.line for row in table.rows})


def assert_names_the_file(message: str) -> None:
    assert "list.csv" in message
