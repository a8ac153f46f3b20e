"""Imports go down only, nobody imports in a circle, and each heavy library has its one owner."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "nlvid_cli"

LAYERS: list[tuple[str, ...]] = [
    ("_version", "errors", "system"),
    ("card",),
    ("network",),
    ("models", "video"),
    ("backends", "inputs"),
    ("datasets",),
    ("recognize",),
    ("evaluation", "labelling", "onnx_export"),
    ("training",),
    ("report",),
    ("commands",),
    ("app",),
    ("__main__", "__init__"),
]
"""The rooms, from the ground up. A room may import from its own line and from those above it in this list."""

OWNERS: dict[str, tuple[str, ...]] = {
    "torch": (
        "network",
        "training",
        "onnx_export",
        "backends.streams",
        "backends.torch_backend",
        "models.convert",
        "models.formats.torch_file",
        "models.imagenet",
        "models.inflate",
    ),
    "av": ("video",),
    "PIL": ("video",),
    "huggingface_hub": ("models.store.sources.hub", "models.publish"),
    "pypi_simple": ("models.store.sources.index",),
    "requests": ("models.store.download", "models.store.session"),
    "accelerate": ("training",),
    "typer": ("app", "commands"),
    "rich": ("report", "commands"),
    "onnxruntime": ("backends.onnx_backend", "backends.onnx_session", "backends.providers", "onnx_export.quantise"),
    "onnx": ("models.onnx_file.inspection", "onnx_export.graph", "onnx_export.quantise"),
    "jinja2": (),
    "ray": (),
    "cv2": (),
    "decord": (),
}
"""Who may import a library at module level. Anybody may import inside a function."""


def _modules() -> dict[str, Path]:
    names = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)] = path
    return names


MODULES = _modules()


@cache
def _imports(path: Path, inside_functions: bool = True) -> frozenset[str]:
    """Full names of what a file imports; those under ``if TYPE_CHECKING`` do not count."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                found.update(alias.name for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{path}: relative import"
                found.add(str(child.module))
                found.update(f"{child.module}.{alias.name}" for alias in child.names)
            only_types = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
            function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            holds_statements = isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case)
            if holds_statements and not only_types and (inside_functions or not function):
                visit(child)

    visit(ast.parse(path.read_text(encoding="utf-8")))
    return frozenset(found)


@cache
def _own(path: Path, inside_functions: bool = True) -> frozenset[str]:
    names = {name.removeprefix("nlvid_cli.") for name in _imports(path, inside_functions) if name.startswith("nlvid_")}
    return frozenset(names & MODULES.keys())


def _room(name: str) -> str:
    return name.partition(".")[0]


def _is_in(name: str, place: str) -> bool:
    return name == place or name.startswith(place + ".")


def _level(room: str) -> int:
    levels = [level for level, rooms in enumerate(LAYERS) if room in rooms]
    assert levels, f"{room} is on no layer; add it to LAYERS"
    return levels[0]


def test_imports_go_down_only() -> None:
    wrong = [
        f"{name} imports {other}"
        for name, path in MODULES.items()
        for other in _own(path)
        if _level(_room(other)) > _level(_room(name))
    ]
    assert not wrong


def test_no_two_rooms_import_each_other() -> None:
    # What a function imports counts too.
    needs: dict[str, set[str]] = {}
    for name, path in MODULES.items():
        needs.setdefault(_room(name), set()).update(_room(other) for other in _own(path) if _room(other) != _room(name))
    TopologicalSorter(needs).prepare()  # raises CycleError, which names the circle


def test_no_two_modules_import_each_other() -> None:
    # A function may import what its module's package imports: the dicts of choices do. Module level counts.
    TopologicalSorter({name: _own(path, inside_functions=False) for name, path in MODULES.items()}).prepare()


@pytest.mark.parametrize("library", OWNERS)
def test_heavy_libraries_have_one_owner(library: str) -> None:
    importers = {
        name
        for name, path in MODULES.items()
        if any(_is_in(imported, library) for imported in _imports(path, inside_functions=False))
    }
    strangers = {name for name in importers if not any(_is_in(name, owner) for owner in OWNERS[library])}
    assert not strangers


@pytest.mark.parametrize("arguments", [["--help"], ["classify", "--help"], ["models", "list"], ["--version"]])
def test_quick_commands_load_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys; from nlvid_cli.app import app\n"
        f"try: app({arguments!r})\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "heavy = {'torch', 'av', 'onnx', 'onnxruntime', 'huggingface_hub', 'ray', 'jinja2'}\n"
        "print('heavy:', sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("heavy: []\n")
