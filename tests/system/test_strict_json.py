from __future__ import annotations

import json
import time
from typing import Any

import pytest

from nlvid_cli.system.strict_json import MAX_DEPTH, JsonError, parse_json


@pytest.mark.parametrize(
    "value",
    [
        {"a": [1, -2.5, 1e-300, True, False, None, 'é\n\\"[{'], "b": {"": []}},
        2**64 - 1,
        -(2**63),
        "caf\udce9.mp4",
        "\U0001f600",
        "[" * 1000,
        [{"a": 1}] * 1000,
        "",
    ],
)
def test_values_are_those_of_json(value: Any) -> None:
    assert parse_json(json.dumps(value)) == value
    assert parse_json(json.dumps(value).encode()) == value
    assert repr(parse_json(json.dumps(value))) == repr(value)


def test_text_in_utf8() -> None:
    assert parse_json('{"é": "走"}'.encode()) == {"é": "走"}


@pytest.mark.parametrize(
    ("text", "noun"),
    [
        ("[" * 100_000, "deep"),
        ("[" * 100_000 + "]" * 100_000, "deep"),
        ('{"a":' * 100_000 + "1" + "}" * 100_000, "deep"),
        ('{"schema": ' + "[" * 900 + "]" * 900 + "}", "deep"),
        ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "deep"),
        ("1" * 5000, "integer"),
        (str(2**64), "integer"),
        ("1e999", "number"),
        ("NaN", "NaN"),
        ('{"a": -Infinity}', "Infinity"),
        ('{"a": 1, "a": 2}', "twice"),
        ('{"a": "\\ud800"}', "character"),
        ('{"\\udfff": 1}', "character"),
        (b'{"\xff": 1}', "utf-8"),
        ("", "value"),
        ("{", "Expecting"),
        ("1 2", "Extra"),
        ('"', "Unterminated"),
        ('"\x1b"', "control"),
        (b"\xef\xbb\xbf{}", "Expecting"),
    ],
)
def test_everything_else_is_one_error(text: str | bytes, noun: str) -> None:
    with pytest.raises(JsonError, match=noun):
        parse_json(text)


def test_as_deep_as_it_may_be() -> None:
    value = parse_json("[" * MAX_DEPTH + "]" * MAX_DEPTH)
    assert json.loads(json.dumps(value)) == value


@pytest.mark.parametrize("text", ["[" * 100 + '"' + '\\"' * 1_000_000, '"[' * 500_000, '\\"[' * 500_000])
def test_hostile_texts_take_no_longer_than_others(text: str) -> None:
    began = time.perf_counter()
    with pytest.raises(JsonError):
        parse_json(text)
    assert time.perf_counter() - began < 2
