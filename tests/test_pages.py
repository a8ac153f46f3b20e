"""Pages that draw the house: the files that they name exist."""

from __future__ import annotations

import re

import pytest

from tests.conftest import REPOSITORY

ROOMS = sorted(path.name for path in (REPOSITORY / "nlvid_cli").iterdir() if (path / "__init__.py").is_file())
NAMED = re.compile(rf"(?:(?:{'|'.join(ROOMS)})/[\w/.]*\w|app\.py|errors\.py)")


@pytest.mark.parametrize("page", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_every_file_exists(page: str) -> None:
    named = set(NAMED.findall((REPOSITORY / page).read_text(encoding="utf-8")))
    assert len(named) > 20
    missing = [
        name for name in named if not any((REPOSITORY / top / name).exists() for top in ("nlvid_cli", "tests", ""))
    ]
    assert not missing


def test_every_room_is_on_the_page() -> None:
    text = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert [room for room in ROOMS if f"{room}/" not in text] == []
