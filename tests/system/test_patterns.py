from __future__ import annotations

import os
import time

import pytest

from nlvid_cli.system.patterns import PatternError, first_matches


def test_the_first_group_or_the_whole_match() -> None:
    names = ["anne_run", "Ben walk", os.fsdecode(b"caf\xe9_1"), "走_2", ""]
    assert first_matches("^([^_]+)_(.)", names) == ["anne", None, "caf\udce9", "走", None]
    assert first_matches("[a-z]+_", names) == ["anne_", None, None, None, None]
    assert first_matches("(x)?r", names) == [None] * 5
    assert first_matches("a", []) == []


@pytest.mark.parametrize("pattern", ["(", "a{99999999999}", "(" * 10_000 + ")" * 10_000, "(?P<a>b)(?P<a>c)"])
def test_what_is_not_a_regular_expression(pattern: str) -> None:
    with pytest.raises(PatternError, match="regular expression"):
        first_matches(pattern, ["a"])


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|a)*$", "^(([a-z])+.)+[A-Z]([a-z])+$"])
def test_an_expression_that_would_take_for_ever_is_ended(pattern: str) -> None:
    began = time.monotonic()
    with pytest.raises(PatternError, match="more than 1 s"):
        first_matches(pattern, ["a" * 60 + "!"], seconds=1)
    assert time.monotonic() - began < 10


def test_a_hundred_thousand_names_are_quick() -> None:
    assert first_matches(r"^v_(.+)_g\d+", [f"v_run_g{n}_c01" for n in range(100_000)]) == ["run"] * 100_000
