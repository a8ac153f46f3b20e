from __future__ import annotations

import pytest

from nlvid_cli.errors import UsageError
from nlvid_cli.inputs.times import parse_rate, parse_time, seconds_of


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("12.5", 12.5),
        ("0:12.5", 12.5),
        ("1:02:03", 3723.0),
        ("1:2", 62.0),
        ("90:00", 5400.0),
        ("120:00.25", 7200.25),
        ("00:00:01.089", 1.089),
        ("00:01:02,500", 62.5),
        ("2s", 2.0),
        (" 7 s ", 7.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("1e2", 100.0),
        ("100:00:00", 360_000.0),
        ("-3", -3.0),
    ],
)
def test_times(text: str, seconds: float) -> None:
    assert seconds_of(text) == pytest.approx(seconds)


HOSTILE = [
    *(
        "",
        " ",
        "s",
        "soon",
        "nan",
        "inf",
        "-inf",
        "1e400",
        "1e10",
        "9" * 400,
        "9" * 400 + ":00",
        "1_000",
        "0x10",
        "1,5",
    ),
    *(
        ":",
        "1:",
        ":1",
        "1:60",
        "1:60:00",
        "1:2:3:4",
        "-1:00",
        "1:-2",
        "1::2",
        "1:02:03:",
        "1 2",
        "\u0661",
        "1\n2",
        "\0",
    ),
]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_is_no_time(text: str) -> None:
    assert seconds_of(text) is None
    with pytest.raises(UsageError, match=r"--start takes a time .*12\.5, 0:12\.5 or 1:02:03"):
        parse_time(text, "--start")


def test_an_option_is_not_before_the_start() -> None:
    assert parse_time("0", "--end") == 0.0
    with pytest.raises(UsageError, match=r"--end .*'-3'"):
        parse_time("-3", "--end")


def test_rates() -> None:
    assert parse_rate("25") == 25.0
    assert parse_rate(" 29.97 ") == 29.97
    assert parse_rate("30000/1001") == pytest.approx(29.97003)
    assert parse_rate("1/2") == 0.5


@pytest.mark.parametrize(
    "text", ["0", "-25", "nan", "inf", "1/0", "0/1", "25fps", "", "1/2/3", "1e99", "1e9", "9" * 400]
)
def test_what_is_no_rate(text: str) -> None:
    with pytest.raises(UsageError, match=r"--fps takes .*30000/1001"):
        parse_rate(text)
