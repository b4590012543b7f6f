"""``%%gradscope`` and what shows itself, in a real IPython shell."""

from __future__ import annotations

import html
import os
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

IPython = pytest.importorskip("IPython", reason="IPython is not installed")

from IPython.core.interactiveshell import InteractiveShell  # noqa: E402
from IPython.utils.capture import capture_output  # noqa: E402


@dataclass
class Cell:
    """What a cell did."""

    success: bool
    out: str
    err: str
    shown: list[dict[str, Any]]
    error: BaseException | None

    @property
    def html(self) -> str:
        (page,) = [data["text/html"] for data in self.shown if "text/html" in data]
        return str(page)


class Notebook:
    """A shell with gradscope loaded."""

    def __init__(self, shell: Any) -> None:
        self.shell = shell

    def run(self, cell: str) -> Cell:
        with capture_output() as captured:
            result = self.shell.run_cell(cell, store_history=True)
        shown = [dict(output.data) for output in captured.outputs]
        error = result.error_in_exec
        return Cell(result.success, captured.stdout, captured.stderr, shown, error)


@pytest.fixture
def notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Notebook]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    InteractiveShell.clear_instance()
    shell: Any = InteractiveShell.instance(history_load_length=0, colors="nocolor")
    shell.history_manager.enabled = False
    notebook = Notebook(shell)
    notebook.run("%load_ext gradscope")
    notebook.run("import torch\nx = torch.tensor(2.0, requires_grad=True)")
    yield notebook
    shell.history_manager.end_session()
    InteractiveShell.clear_instance()


BACKWARD = "y = x**2 + 3*x\ny.backward()\n"


def test_the_cell_runs_in_the_users_namespace_and_its_value_is_shown(notebook: Notebook) -> None:
    cell = notebook.run(f"%%gradscope\n{BACKWARD}x.grad")
    assert cell.success
    assert "tensor(7.)" in cell.out
    assert notebook.shell.user_ns["y"].item() == 10
    assert "<iframe" in cell.html


def test_names_and_lines_are_those_of_the_cell(notebook: Notebook) -> None:
    cell = notebook.run(f"%%gradscope --format json\n{BACKWARD}")
    count = notebook.shell.execution_count - 1
    assert f'"file": "Cell In[{count}]"' in cell.out
    assert '"line": 2' in cell.out  # the magic's own line is the first
    assert '"text": "y = x**2 + 3*x"' in cell.out
    assert '"label": "x"' in cell.out


def test_a_traced_block_of_a_cell_names_the_cell(notebook: Notebook) -> None:
    source = "import gradscope\nwith gradscope.trace() as t:\n    y = x**2\n    y.backward()"
    assert notebook.run(source).success
    count = notebook.shell.execution_count - 1
    (step,) = notebook.shell.user_ns["t"].trace.steps
    assert step.source.location == f"Cell In[{count}]:4"
    assert step.source.text == "y.backward()"


def test_a_kernels_file_names_are_cells_too(notebook: Notebook) -> None:
    """A kernel compiles every cell under the name of a file that does not exist."""
    compiler = notebook.shell.compile
    folder = Path(os.sep) / "tmp" / "ipykernel_1"
    compiler.get_code_name = lambda raw, code, number: str(folder / f"{number}.py")
    cell = notebook.run(f"%%gradscope --format json\n{BACKWARD}")
    count = notebook.shell.execution_count - 1
    assert f'"file": "Cell In[{count}]"' in cell.out
    assert "ipykernel" not in cell.out


def test_the_options_of_render_are_taken(notebook: Notebook) -> None:
    cell = notebook.run(f"%%gradscope --level ops --select GS4 -q -o out.svg\n{BACKWARD}")
    assert cell.success
    assert cell.shown == []
    assert Path("out.svg").read_text("utf-8").lstrip().startswith("<?xml")
    told = notebook.run(f"%%gradscope -o way.dot --format text\n{BACKWARD}")
    assert "wrote way.dot" in told.out
    selected = notebook.run(f"%%gradscope --format text --select GS401\n{BACKWARD}").out
    assert "Looked for: accumulated gradient." in selected


TRAINED = "import torch\ntorch.ones(3, requires_grad=True).sum().backward()"


def test_names_of_files_cannot_move_the_cursor(notebook: Notebook) -> None:
    told = notebook.run(f"%%gradscope -o 'a\x1b[2J\u202e.json'\n{TRAINED}")
    assert "wrote a\\x1b[2J\\u202e.json." in told.out
    assert Path("a\x1b[2J\u202e.json").is_file()


def test_what_could_not_be_written_cannot_move_the_cursor(notebook: Notebook) -> None:
    lines = f"{TRAINED}\nimport os; os.rmdir('b\x1b[2J')"
    os.mkdir("b\x1b[2J")
    told = notebook.run(f"%%gradscope -o 'b\x1b[2J/c.json'\n{lines}")
    assert "could not write b\\x1b[2J/c.json: " in told.err
    assert "\x1b" not in told.err


@pytest.mark.parametrize("line", ["-o 'a\x1b[2J.txet'", "-o 'no\x1b[2J/a.json'", "--a\x1b[2J"])
def test_mistakes_cannot_move_the_cursor(notebook: Notebook, line: str) -> None:
    told = notebook.run(f"%%gradscope {line}\n{TRAINED}")
    assert "[2J" in told.err
    assert "\x1b" not in told.err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--wrong", "No such option '--wrong'"),
        ("--every 0", "0 is not in the range"),
        ("--select GSX", "no rule has the code 'GSX'"),
        ("-o nowhere/a.svg", "there is no folder"),
        ("-o a.xyz", "stands for no format"),
        ("--steps one", "is not a list of step numbers"),
        ('"', "No closing quotation"),
    ],
)
def test_a_wrong_option_is_one_sentence_and_runs_nothing(
    notebook: Notebook, options: str, says: str
) -> None:
    cell = notebook.run(f"%%gradscope {options}\nran = True")
    assert says in cell.err
    assert len(cell.err.strip().splitlines()) == 1
    assert "ran" not in notebook.shell.user_ns


def test_the_users_traceback_is_theirs_alone(notebook: Notebook) -> None:
    body = "def f():\n    raise ValueError('boom')\n" + BACKWARD + "f()"
    cell = notebook.run(f"%%gradscope\n{body}")
    assert not cell.success
    assert isinstance(cell.error, ValueError)
    assert cell.out.count("ValueError: boom") == 1
    assert "line 6" in cell.out
    assert "notebook.py" not in cell.out
    assert "run_cell_magic" not in cell.out
    assert "<iframe" in cell.html  # the report is shown all the same


def test_a_syntax_error_looks_like_one(notebook: Notebook) -> None:
    cell = notebook.run("%%gradscope\nif True\n    pass")
    assert not cell.success
    assert "SyntaxError" in cell.out
    assert "line 2" in cell.out
    assert "notebook.py" not in cell.out


def test_other_magics_work_inside(notebook: Notebook) -> None:
    cell = notebook.run(f"%%gradscope -q\n%time z = 1\n{BACKWARD}")
    assert cell.success
    assert "Wall time" in cell.out
    assert notebook.shell.user_ns["z"] == 1


def test_help_is_printed(notebook: Notebook) -> None:
    assert "--max-nodes" in notebook.run("%%gradscope --help\nran = True").out
    assert "ran" not in notebook.shell.user_ns


def test_what_shows_itself(notebook: Notebook) -> None:
    notebook.run("import gradscope\nwith gradscope.trace() as t:\n    " + "y = x**2; y.backward()")
    formatter = notebook.shell.display_formatter
    formatter.active_types = ["text/plain", "text/html", "image/svg+xml"]
    trace, _ = formatter.format(notebook.shell.user_ns["t"])
    assert "No problem found" in trace["text/plain"]
    page = html.unescape(re.search(r'srcdoc="([^"]*)"', trace["text/html"])[1])  # type: ignore[index]
    assert page.lstrip().startswith("<!doctype html>")
    assert "Content-Security-Policy" in page
    flow, _ = formatter.format(notebook.shell.user_ns["t"].flow("x"))
    assert "∂y/∂x = 4" in flow["text/plain"]
    assert ET.fromstring(flow["image/svg+xml"]).tag.endswith("svg")
    assert "<pre" in flow["text/html"]
    notebook.run("p = gradscope.render(x**3)")
    picture, _ = formatter.format(notebook.shell.user_ns["p"])
    assert ET.fromstring(picture["image/svg+xml"]).tag.endswith("svg")
    assert "2 nodes" in picture["text/plain"]
    graph, _ = formatter.format(notebook.shell.user_ns["t"].graph())
    assert "<svg" in graph["text/html"]


def test_a_trace_that_has_not_ended_says_so(notebook: Notebook) -> None:
    import gradscope

    trace, _ = notebook.shell.display_formatter.format(gradscope.trace())
    assert trace["text/plain"] == "<gradscope trace, not finished>"
    assert "text/html" not in trace
