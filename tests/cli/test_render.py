"""The main job, end to end, on small scripts: what is written, where it goes, what is said."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import PYTHONPATH, SAMPLES, gradscope

TRAIN = """
import sys
import torch
W = torch.tensor(2.0, requires_grad=True)
for step in range(3):
    y = W * 3
    y.backward()
    W.grad = None
print("printed", sys.argv[1:])
"""


@pytest.fixture
def train(tmp_path: Path) -> Path:
    (tmp_path / "train.py").write_text(TRAIN)
    return tmp_path


def test_by_default_it_reports_and_writes_two_files_here(train: Path) -> None:
    ran = gradscope(train, "render", "train.py", "--lr", "1")
    assert (ran.code, ran.out) == (0, b"printed ['--lr', '1']\n")
    assert ran.files == {"train.py", "train.gradscope.html", "train.gradscope.svg"}
    assert "No problem found" in ran.err
    last = ran.err.splitlines()[-1]
    assert last == "gradscope: wrote train.gradscope.html and train.gradscope.svg."
    assert "<!doctype html>" in (train / "train.gradscope.html").read_text("utf-8").lower()
    assert (train / "train.gradscope.svg").read_bytes().lstrip().startswith(b"<")


def test_files_of_an_earlier_run_are_replaced_and_that_is_said(train: Path) -> None:
    (train / "train.gradscope.html").write_text("old")
    ran = gradscope(train, "render", "train.py")
    assert "train.gradscope.html (replaced)" in ran.err
    assert (train / "train.gradscope.html").read_text("utf-8") != "old"


def test_every_format_at_once(train: Path) -> None:
    names = [f"out.{suffix}" for suffix in ("svg", "png", "pdf", "dot", "md", "txt", "json")]
    ran = gradscope(train, "render", *[part for n in names for part in ("-o", n)], "train.py")
    assert ran.code == 0
    assert ran.files == {"train.py", *names}
    starts = {n: (train / n).read_bytes()[:8] for n in names}
    assert starts["out.png"] == b"\x89PNG\r\n\x1a\n"
    assert starts["out.pdf"].startswith(b"%PDF")
    assert b"digraph" in (train / "out.dot").read_bytes()
    assert ran.json("out.json")["schema"] == "gradscope/1"
    assert "](out.svg)" in (train / "out.md").read_text("utf-8")


def test_markdown_alone_has_its_pictures_beside_it(train: Path) -> None:
    ran = gradscope(train, "render", "-o", "out.md", "train.py")
    links = re.findall(r"\]\((.*?)\)", (train / "out.md").read_text("utf-8"))
    assert links[0] == "out_files/graph.svg"
    assert {f"out_files/{path.name}" for path in (train / "out_files").iterdir()} == set(links)
    assert f"wrote out.md and {len(links)} files in out_files/." in ran.err


def test_a_format_on_stdout_stands_alone_there(train: Path) -> None:
    ran = gradscope(train, "render", "--format", "json", "train.py", "x")
    assert ran.out.startswith(b"{")
    assert ran.out.rstrip().endswith(b"}")
    assert ran.err == "printed ['x']\n"
    assert ran.files == {"train.py"}


def test_a_format_and_a_file(train: Path) -> None:
    ran = gradscope(train, "render", "--format", "dot", "-o", "out.txt", "train.py")
    assert ran.out.startswith(b"digraph")
    assert ran.files == {"train.py", "out.txt"}


def test_quiet_says_nothing(train: Path) -> None:
    ran = gradscope(train, "render", "-q", "train.py")
    assert (ran.code, ran.out, ran.err) == (0, b"printed []\n", "")
    assert ran.files == {"train.py", "train.gradscope.html", "train.gradscope.svg"}


def test_a_module_is_named_by_its_dotted_name(train: Path) -> None:
    (train / "pack").mkdir()
    (train / "train.py").rename(train / "pack" / "fit.py")
    ran = gradscope(train, "render", "-m", "pack.fit", "--lr", "1")
    assert (ran.code, ran.out) == (0, b"printed ['--lr', '1']\n")
    assert ran.files == {"pack.fit.gradscope.html", "pack.fit.gradscope.svg"}


def test_outputs_go_where_the_command_was_given(train: Path) -> None:
    (train / "train.py").write_text("import os\nos.mkdir('x')\nos.chdir('x')\n" + TRAIN)
    ran = gradscope(train, "render", "train.py")
    assert ran.files == {"train.py", "train.gradscope.html", "train.gradscope.svg"}
    assert list((train / "x").iterdir()) == []


def test_only_the_chosen_rules_run(train: Path) -> None:
    script = str(SAMPLES / "accumulated.py")
    ran = gradscope(train, "render", "--ignore", "GS4", "-o", "out.json", script)
    codes = {finding["code"] for finding in ran.json("out.json")["findings"]}
    assert "GS401" not in codes


def test_a_code_of_no_rule_is_found_before_the_run(train: Path) -> None:
    ran = gradscope(train, "render", "--select", "GS999", "train.py")
    assert (ran.code, ran.out) == (2, b"")
    assert "no rule has the code 'GS999'" in ran.err


def test_steps_and_levels_reach_the_capture(train: Path) -> None:
    ran = gradscope(train, "render", "-q", "--steps", "1", "-o", "out.json", "train.py")
    levels = [step["level"] for step in ran.json("out.json")["steps"]]
    assert levels == ["params", "ops", "params"]


def _on_terminal(folder: Path, *args: str, env: dict[str, str] | None = None) -> str:
    """Run with stdout and stderr on a terminal; gives what the terminal showed."""
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "gradscope", *args],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "PYTHONPATH": PYTHONPATH, "TERM": "xterm", **(env or {})},
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        shown += part
    os.close(ours)
    assert child.wait(timeout=60) == 0
    return shown.decode("utf-8")


def test_a_terminal_gets_colour_and_a_passing_line(train: Path) -> None:
    shown = _on_terminal(train, "render", "train.py")
    assert "\x1b[" in shown
    assert "drawing and writing …\r\x1b[K" in shown
    assert shown.index("printed") < shown.index("No problem found")


@pytest.mark.parametrize("never", [("--color", "never"), ()])
def test_colour_can_be_refused(train: Path, never: tuple[str, ...]) -> None:
    env = {} if never else {"NO_COLOR": "1"}
    shown = _on_terminal(train, "render", *never, "train.py", env=env)
    assert "\x1b[" not in shown.replace("\r\x1b[K", "")


def test_colour_can_be_forced(train: Path) -> None:
    assert "\x1b[" not in gradscope(train, "render", "train.py").err
    assert "\x1b[" in gradscope(train, "render", "--color", "always", "train.py").err


def test_the_program_keeps_its_environment_before_torch(train: Path) -> None:
    (train / "train.py").write_text(
        "import sys\nassert 'torch' not in sys.modules\nassert 'numpy' not in sys.modules\n" + TRAIN
    )
    assert gradscope(train, "render", "-q", "train.py").code == 0


def test_neighbours_of_the_script_do_not_replace_our_modules(train: Path) -> None:
    for name in ("networkx", "rich", "graphviz", "click"):
        (train / f"{name}.py").write_text("raise RuntimeError('not meant for gradscope')\n")
    ran = gradscope(train.parent, "render", "-q", "-o", "out.svg", f"{train.name}/train.py")
    assert (ran.code, ran.err) == (0, "")
