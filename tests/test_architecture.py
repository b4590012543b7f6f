"""The arrows of the house: who may import whom, and that looking at a report needs no torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "gradscope"
MODULES = sorted(PACKAGE.rglob("*.py"))
LONGEST = 350
ROOM = "gradscope"

# What each room may import beside the standard library: our rooms, and other people's packages.
MODEL = {"gradscope.model", "gradscope.errors"}
ALLOWED: dict[str, set[str]] = {
    "model": {"gradscope.model"},
    "errors.py": set(),
    "analysis": {*MODEL, "gradscope.analysis", "networkx"},
    "diagnose": {*MODEL, "gradscope.analysis", "gradscope.diagnose", "networkx"},
    "render": {
        *MODEL,
        *("gradscope.analysis", "gradscope.render", "networkx", "rich", "graphviz", "pygraphviz"),
        *("jinja2", "markupsafe", "altair", "vl_convert"),
    },
    "capture": {*MODEL, "gradscope", "gradscope.capture", "torch"},
}
# The command line may not import torch at all; the launcher only by importing capture.
TORCH_ROOMS = ("capture", "integrations")
LIGHT = ("gradscope", "gradscope.cli", "gradscope.job", "gradscope.output", "gradscope.launch")


def _imports(path: Path) -> Iterator[tuple[str, int]]:
    """Every absolute module name that the file imports, inside functions as well."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}:{node.lineno}: write imports in full"
            yield from _from(node)


def _from(node: ast.ImportFrom) -> Iterator[tuple[str, int]]:
    """``from gradscope import x`` means the module ``x`` where there is one."""
    module = node.module or ""
    for alias in node.names:
        inner = PACKAGE.parent.joinpath(*module.split("."), alias.name)
        is_module = inner.with_suffix(".py").exists() or inner.is_dir()
        yield (f"{module}.{alias.name}" if is_module else module), node.lineno


def _room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0]


def _within(name: str, allowed: set[str]) -> bool:
    if name == ROOM:
        return ROOM in allowed
    return any(name == each or name.startswith(f"{each}.") for each in allowed - {ROOM})


def _forbidden(path: Path) -> list[str]:
    allowed = ALLOWED[_room(path)]
    return [
        f"{path.relative_to(PACKAGE)}:{line} imports {name}"
        for name, line in _imports(path)
        if name.partition(".")[0] not in sys.stdlib_module_names and not _within(name, allowed)
    ]


def test_every_room_with_arrows_exists() -> None:
    assert {_room(path) for path in MODULES} >= set(ALLOWED)


@pytest.mark.parametrize("room", sorted(ALLOWED))
def test_imports_follow_the_arrows(room: str) -> None:
    wrong = [found for path in MODULES if _room(path) == room for found in _forbidden(path)]
    assert wrong == []


def test_only_capture_imports_torch() -> None:
    wrong = [
        f"{path.relative_to(PACKAGE)}:{line}"
        for path in MODULES
        if _room(path) not in TORCH_ROOMS
        for name, line in _imports(path)
        if name.partition(".")[0] == "torch"
        and not (_room(path) == "session.py" and _is_inside_function(path, line))
    ]
    assert wrong == []


def _is_inside_function(path: Path, line: int) -> bool:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    tree = ast.parse(path.read_text("utf-8"))
    found = [node for node in ast.walk(tree) if isinstance(node, functions)]
    typing_only = [node for node in tree.body if isinstance(node, ast.If)]
    return any(n.lineno <= line <= (n.end_lineno or 0) for n in [*found, *typing_only])


@pytest.mark.parametrize("name", LIGHT)
def test_importing_loads_no_torch(name: str) -> None:
    code = f"import sys, {name}; print(sorted(m for m in sys.modules if m == 'torch'))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_is_short_and_says_what_it_is(path: Path) -> None:
    text = path.read_text("utf-8")
    assert ast.get_docstring(ast.parse(text)), "no docstring"
    assert len(text.splitlines()) <= LONGEST


def test_a_wrong_arrow_would_be_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check itself, on a file that does everything wrong, inside a function too."""
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", tmp_path)
    file = tmp_path / "diagnose" / "bad.py"
    file.parent.mkdir()
    file.write_text(
        "import math\nfrom gradscope.model import graph\n"
        "def f():\n    from gradscope.render.text import render_text\n    import torch.nn\n"
    )
    assert _forbidden(file) == [
        "diagnose/bad.py:4 imports gradscope.render.text",
        "diagnose/bad.py:5 imports torch.nn",
    ]
