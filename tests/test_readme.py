"""What the README states is what the code says."""

from __future__ import annotations

import re

from tests.conftest import REPOSITORY
from tests.readme_table import table

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")


def test_the_table_of_models_is_that_of_the_manifest() -> None:
    assert table() in README, "print the new one with `python -m tests.readme_table`"


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", README):
        assert (REPOSITORY / target).exists(), target
