"""The page that draws the house."""

from __future__ import annotations

import re

from tests.conftest import REPOSITORY

ROOMS = sorted(path.name for path in (REPOSITORY / "nlvid_cli").iterdir() if (path / "__init__.py").is_file())
NAMED = re.compile(rf"(?:(?:{'|'.join(ROOMS)})/[\w/.]*\w|app\.py|errors\.py)")


def test_every_file_of_the_walks_exists() -> None:
    named = set(NAMED.findall((REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")))
    assert len(named) > 50
    assert [name for name in sorted(named) if not (REPOSITORY / "nlvid_cli" / name).exists()] == []


def test_every_room_is_on_the_page() -> None:
    text = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert [room for room in ROOMS if f"{room}/" not in text] == []
