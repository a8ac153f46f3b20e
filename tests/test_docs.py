"""The README and the documentation state what the code does."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import nlvid_cli
from docs.models_table import PAGE, README, full_row, readme_rows, row_without_cost
from nlvid_cli.app import COMMANDS, MODEL_COMMANDS, app
from nlvid_cli.card.manifest import find_card, load_manifest
from tests.clips import make_clip
from tests.conftest import REPOSITORY

DOCS = REPOSITORY / "docs"
PAGES = [README, REPOSITORY / "CONTRIBUTING.md", REPOSITORY / "weights" / "README.md", *sorted(DOCS.glob("*.md"))]
COMMAND = typer.main.get_command(app)


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks_of(page: Path, language: str) -> list[str]:
    """The code blocks of a page that are in a language; an empty one is the shell."""
    return [code for name, code in re.findall(r"^```(\w*)\n(.*?)^```", text_of(page), re.M | re.S) if name == language]


def command_lines() -> Iterator[tuple[str, str, bool]]:
    """Every nlvid command of the pages: the name of the page, the line, and whether it is complete.

    Those in code blocks are; those in the text may leave out the videos.
    """
    for page in PAGES:
        for block in blocks_of(page, ""):
            yield from ((page.name, line, True) for line in block.splitlines() if line.startswith("nlvid "))
        prose = re.sub(r"^```.*?^```", "", text_of(page), flags=re.M | re.S)
        yield from ((page.name, code.replace("\n", " "), False) for code in re.findall(r"`(nlvid [^`]+)`", prose))


def parse(line: str) -> None:
    """Parse a command line as the program does, without running it."""
    line = re.sub(r"\$\(\(.*?\)\)", "1", line)  # shell arithmetic
    line = re.split(r" [|>] ", line)[0]  # pipes and redirections
    arguments = shlex.split(line, comments=True)[1:]
    command: Any = COMMAND
    while arguments and hasattr(command, "commands"):
        name = arguments.pop(0)
        if name.startswith("-"):  # an option of nlvid itself
            assert any(name in (*option.opts, "-h", "--help") for option in command.params)
            return
        command = command.commands[name]
    if arguments and "--help" not in arguments:
        command.make_context(command.name, arguments)


def test_every_command_line_of_the_documentation_parses() -> None:
    lines = list(command_lines())
    assert len(lines) > 60
    faults = []
    for page, line, complete in lines:
        try:
            parse(line)
        except Exception as error:
            if complete or type(error).__name__ != "MissingParameter":
                faults.append(f"{page}: {line}: {error!r}")
    assert not faults, "\n".join(faults)


def test_the_examples_of_every_help_text_parse() -> None:
    for command in (COMMANDS | MODEL_COMMANDS).values():
        examples = re.findall(r"^ +(?:\w+=\S+ )?(nlvid .*)$", command.__doc__ or "", re.M)
        assert len(examples) >= 2
        for line in examples:
            parse(line)


def test_python_snippets_use_public_names_only() -> None:
    for page in PAGES:
        for block in blocks_of(page, "python"):
            names = {
                node.attr
                for node in ast.walk(ast.parse(block))
                if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "nlvid_cli"
            }
            assert names <= set(nlvid_cli.__all__), f"{page.name}: {names}"


@pytest.mark.parametrize("page", [README, DOCS / "python.md"], ids=lambda page: page.name)
def test_the_first_python_snippet_runs(
    page: Path,
    model_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_clip(tmp_path / "video.mp4", frames=20)
    load = nlvid_cli.load
    monkeypatch.setattr(nlvid_cli, "load", lambda name: load(model_file), raising=False)
    monkeypatch.chdir(tmp_path)
    exec(blocks_of(page, "python")[0], {})
    assert "running" in capsys.readouterr().out


def page_rows() -> list[str]:
    table = text_of(PAGE).partition("<!-- models -->")[2]
    return re.findall(r"^\| `.*\n", table, re.M)


def test_the_page_of_models_and_the_readme_are_those_of_the_manifest() -> None:
    """If it fails, write the tables again with `python docs/models_table.py`."""
    models = load_manifest().models
    for row, card in zip(page_rows(), models, strict=True):
        assert row.startswith(row_without_cost(card))
    assert full_row(find_card("tiny")) in page_rows()
    assert f"{len(models)} networks" in text_of(README)
    assert f"[{len(models)} networks]" in text_of(DOCS / "index.md")
    assert readme_rows(dict(zip((card.name for card in models), page_rows(), strict=True))) in text_of(README)


@pytest.mark.slow
def test_the_page_of_models_has_the_cost_of_every_network() -> None:
    assert [full_row(card) for card in load_manifest().models] == page_rows()


@pytest.mark.parametrize("page", [page for page in PAGES if page.parent != DOCS], ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Links between the pages of the site are checked by ``make docs``."""
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text_of(page)):
        assert (page.parent / target).exists(), target


def test_pictures_ask_no_other_host() -> None:
    for picture in (DOCS / "pictures").glob("*.svg"):
        assert not re.search(r"(?:src|href|url)\s*[=(:]\s*[\"']?https?:", text_of(picture))


def test_files_that_the_pages_name_exist() -> None:
    roots = (REPOSITORY, REPOSITORY / "nlvid_cli")
    modules = {
        path.name
        for folder in ("nlvid_cli", "tests", "docs", "benchmarks")
        for path in (REPOSITORY / folder).rglob("*.py")
    }
    for page in PAGES:
        for code in re.findall(r"`([\w.]+(?:/[\w.]*)+|\w+\.py)`", text_of(page)):
            if page.name in ("CONTRIBUTING.md", "architecture.md") or code.endswith(".py"):
                assert code in modules or any((root / code).exists() for root in roots), f"{page.name}: {code}"


def test_contributing_names_dicts_that_exist() -> None:
    text = text_of(REPOSITORY / "CONTRIBUTING.md")
    found = re.findall(r"`([A-Z_]+)` \(`([\w./]+\.py)`", text)
    assert len(found) > 10
    for name, file in found:
        assert re.search(rf"^{name}\b", text_of(REPOSITORY / "nlvid_cli" / file), re.M), f"{name} in {file}"
