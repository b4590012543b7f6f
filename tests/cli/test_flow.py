"""``gradscope flow`` as a stranger uses it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.command import SAMPLES, gradscope

SCRIPT = """
import sys
import torch
x = torch.tensor(2.0, requires_grad=True)
for step in range(3):
    y = x**2 + 3 * x - 5
    y.backward()
    x.grad = None
print("printed", sys.argv[1:])
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    (tmp_path / "poly.py").write_text(SCRIPT)
    return tmp_path


def test_the_answer_and_the_files(script: Path) -> None:
    files = ["-o", "way.svg", "-o", "way.json", "-o", "way.md", "-o", "way.dot"]
    ran = gradscope(script, "flow", "--to", "x", *files, "poly.py", "--lr", "1")
    assert (ran.code, ran.out) == (0, b"printed ['--lr', '1']\n")
    assert "∂y/∂x = 7" in ran.err
    assert ran.files == {"poly.py", "way.svg", "way.json", "way.md", "way.dot"}
    told = ran.json("way.json")
    assert told["schema"] == "gradscope-flow/1"
    assert told["chain_rule"]["derivative"] == 7
    assert [hop["line"] for hop in told["hops"]] == [6, 6, 6, None]
    assert (script / "way.md").read_text("utf-8").startswith("```\n∂y/∂x = 7")
    assert "∂y/∂x = 4 + 3 = 7" in (script / "way.svg").read_text("utf-8")


def test_a_module_and_defaults_of_the_project(script: Path) -> None:
    (script / "pyproject.toml").write_text(
        "[tool.gradscope]\nquiet = true\nmax-nodes = 2\nselect = ['GS1']\nlevel = 'params'\n"
    )
    ran = gradscope(script, "flow", "--to", "x", "-o", "way.json", "-m", "poly", "--lr", "1")
    assert (ran.code, ran.out, ran.err) == (0, b"printed ['--lr', '1']\n", "")
    assert ran.json("way.json")["chain_rule"]["derivative"] == 7


def test_a_format_is_alone_on_stdout(script: Path) -> None:
    ran = gradscope(script, "flow", "--to", "x", "--step", "1", "--format", "json", "poly.py")
    assert json.loads(ran.out)["step"] == 1
    assert "printed" in ran.err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--to", "xx"], "nothing is called 'xx' in any backward that was kept"),
        (["--to", "x", "--step", "7"], "there is no step 7: the program ran 3 backwards"),
        (["--to", "y"], "y is where the backward of step 2 began"),
    ],
)
def test_no_such_way_is_one_sentence(script: Path, options: list[str], says: str) -> None:
    ran = gradscope(script, "flow", *options, "poly.py")
    assert ran.code == 2
    assert ran.out == b"printed []\n"
    (line,) = ran.err.splitlines()
    assert says in line


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["poly.py"], "Missing option '--to'"),
        (["--to", "x"], "name a script"),
        (["--to", "x", "-o", "way.html", "poly.py"], "stands for no format of flow"),
        (["--to", "x", "-o", "no/way.svg", "poly.py"], "there is no folder"),
        (["--to", "x", "missing.py"], "missing.py"),
    ],
)
def test_bad_use_runs_nothing(script: Path, args: list[str], says: str) -> None:
    ran = gradscope(script, "flow", *args)
    assert ran.code == 2
    assert says in ran.err
    assert ran.out == b""


def test_a_script_that_raises_keeps_its_exit_code(script: Path) -> None:
    (script / "bad.py").write_text(SCRIPT + "\nraise SystemExit(5)\n")
    ran = gradscope(script, "flow", "--to", "x", "bad.py")
    assert ran.code == 5
    assert "∂y/∂x = 7" in ran.err


def test_a_module_and_a_vanishing_gradient(tmp_path: Path) -> None:
    ran = gradscope(tmp_path, "flow", "--to", "layers.0.weight", str(SAMPLES / "vanishing.py"))
    assert ran.code == 0
    assert "12 × SigmoidBackward0 at ×0.24" in ran.err
    (tmp_path / "poly.py").write_text(SCRIPT)
    ran = gradscope(tmp_path, "flow", "--to", "x", "-m", "poly", "--to", "ignored")
    assert ran.out == b"printed ['--to', 'ignored']\n"
    assert "∂y/∂x = 7" in ran.err
