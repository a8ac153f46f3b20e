"""Imports go down only, nobody imports in a circle, and each heavy library has its one owner."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "nlvid_cli"

LAYERS: list[tuple[str, ...]] = [
    ("_version", "csv_lines", "errors", "interrupts", "processors"),
    ("prediction", "checkpoints.architecture", "checkpoints.card"),
    ("network",),
    ("video", "backends", "checkpoints"),
    ("datasets",),
    ("combine",),
    ("metrics",),
    ("answer",),
    ("pipeline",),
    ("recognizer", "verification"),
    ("labelling",),
    ("evaluation", "training", "onnx_export"),
    ("report",),
    ("commands",),
    ("app",),
    ("__main__", "__init__"),
]
"""From the ground up. A module may import from its own line and from those above it in this list."""

OWNERS: dict[str, tuple[str, ...]] = {
    "torch": (
        "network",
        "training",
        "onnx_export",
        "backends.streams",
        "backends.torch_backend",
        "checkpoints.convert",
        "checkpoints.formats.torch_file",
    ),
    "av": ("video",),
    "huggingface_hub": ("checkpoints.sources.hub", "checkpoints.publish"),
    "pypi_simple": ("checkpoints.sources.index",),
    "requests": ("checkpoints.download",),
    "accelerate": ("training",),
    "torchmetrics": ("training",),
    "typer": ("app", "commands"),
    "rich": ("report", "commands"),
    "onnxruntime": ("backends.onnx_backend", "backends.providers", "onnx_export.quantise"),
    "onnx": ("onnx_export.graph", "onnx_export.quantise"),
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


def _imports(path: Path, inside_functions: bool) -> set[str]:
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
            if not only_types and (inside_functions or not function):
                visit(child)

    visit(ast.parse(path.read_text(encoding="utf-8")))
    return found


def _own(path: Path, inside_functions: bool = True) -> set[str]:
    names = {name.removeprefix("nlvid_cli.") for name in _imports(path, inside_functions) if name.startswith("nlvid_")}
    return names & MODULES.keys()


def _is_in(name: str, place: str) -> bool:
    return name == place or name.startswith(place + ".")


def _level(name: str) -> int:
    fits = [(len(place), level) for level, places in enumerate(LAYERS) for place in places if _is_in(name, place)]
    assert fits, f"{name} is on no layer; add it to LAYERS"
    return max(fits)[1]


@pytest.mark.parametrize("name", MODULES)
def test_imports_go_down_only(name: str) -> None:
    wrong = [other for other in _own(MODULES[name]) if _level(other) > _level(name)]
    assert not wrong, f"{name} imports from a higher layer: {wrong}"


@pytest.mark.parametrize("name", MODULES)
def test_no_two_modules_import_each_other(name: str) -> None:
    # A function may import what its module's package imports: the dicts of choices do. Module level counts.
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        for other in _own(MODULES[waiting.pop()], inside_functions=False) - seen:
            assert other != name, f"{name} imports itself through {sorted(seen)}"
            seen.add(other)
            waiting.append(other)


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
        "print('heavy:', sorted({'torch', 'av', 'onnxruntime', 'huggingface_hub', 'ray'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("heavy: []\n")
