"""Tests of the helpers that word messages."""

from __future__ import annotations

import pytest

from nlvid_cli.errors import shortened


@pytest.mark.parametrize(
    ("items", "expected"),
    [([], ""), ([1, 2], "1; 2"), ([1, 2, 3], "1; 2 and 1 more"), (range(2000), "0; 1 and 1998 more")],
)
def test_a_long_list_ends_in_the_number_of_the_others(items: list[int], expected: str) -> None:
    assert shortened(items, 2, "; ") == expected
