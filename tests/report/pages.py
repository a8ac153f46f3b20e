"""Read pages as a browser does."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

from nlvid_cli.errors import UnreadableVideo


class Page(HTMLParser):
    """The tags and the text of a page; every tag must be closed in its place."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br", "input"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.text += data + " "


def thumbnail(path: Path) -> bytes:
    if "broken" in path.name:
        raise UnreadableVideo("made by the test")
    return b"\xff\xd8" + path.name.encode("utf-8", "replace")
