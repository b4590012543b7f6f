"""The line that passes while a program runs: on terminals, and never in the program's way."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gradscope.progress import ProgressLine
from tests.command import PYTHONPATH

SLOW = """
import sys, time, torch
W = torch.tensor(2.0, requires_grad=True)
for step in range(16):
    (W * 3).backward()
    W.grad = None
    time.sleep(0.1)
    if step == 13:
        print("half a", end="")
    if step == 14:
        print(" line", type(sys.stdout).__name__, isinstance(sys.stdout.write("") , int))
"""


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def shown_at(text: str) -> str:
    """What a terminal shows at the end of its last line."""
    line = ""
    for part in re.split(r"(\r\x1b\[K|\r|\n)", text):
        if part in ("\n", "\r\x1b[K"):
            line = ""
        elif part != "\r":
            line += part
    return line


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    monkeypatch.setenv("TERM", "xterm")
    return Clock()


def test_it_comes_after_a_second_and_tells_rate_and_time(clock: Clock) -> None:
    err = Terminal()
    line = ProgressLine(err, (), clock)
    line(0)
    assert err.getvalue() == ""
    clock.now = 20.0
    line(1233)
    assert shown_at(err.getvalue()) == "gradscope: 1,234 backwards, 61.6/s, 20 s"
    written = err.getvalue()
    clock.now = 20.1
    line(1240)
    assert err.getvalue() == written
    clock.now = 3725.0
    line(9999)
    assert shown_at(err.getvalue()) == "gradscope: 10,000 backwards, 2.68/s, 1:02:05 h"
    line.close()
    assert shown_at(err.getvalue()) == ""


def test_it_is_gone_before_the_program_prints(clock: Clock) -> None:
    terminal = Terminal()
    line = ProgressLine(terminal, (terminal,), clock)
    line(0)
    clock.now = 2.0
    line(5)
    assert shown_at(terminal.getvalue()).startswith("gradscope")
    print("loss 0.3", file=terminal)
    assert shown_at(terminal.getvalue()) == ""
    assert terminal.getvalue().endswith("\r\x1b[Kloss 0.3\n")


def test_it_does_not_write_into_a_line_of_the_program(clock: Clock) -> None:
    terminal = Terminal()
    line = ProgressLine(terminal, (terminal,), clock)
    line(0)
    clock.now = 2.0
    line(5)
    print("epoch 1 ...", end="", file=terminal)
    before = terminal.getvalue()
    clock.now = 3.0
    line(6)
    assert terminal.getvalue() == before
    print(" done", file=terminal)
    clock.now = 4.0
    line(7)
    assert shown_at(terminal.getvalue()).startswith("gradscope: 8 backwards")


def test_the_streams_are_left_as_they_were(clock: Clock) -> None:
    terminal = Terminal()
    line = ProgressLine(terminal, (terminal,), clock)
    line(0)
    clock.now = 2.0
    line(5)
    assert "write" in vars(terminal)
    line.close()
    assert "write" not in vars(terminal)
    line(6)
    line.close()
    assert "write" not in vars(terminal)


def test_a_stream_with_a_write_of_its_own_keeps_it(clock: Clock) -> None:
    terminal = Terminal()

    def own(text: str, /) -> int:
        return len(text)

    vars(terminal)["write"] = own
    line = ProgressLine(terminal, (terminal,), clock)
    line(0)
    clock.now = 2.0
    line(5)
    line.close()
    assert vars(terminal)["write"] is own
    assert terminal.getvalue() == ""


def test_nothing_where_stderr_is_no_terminal(clock: Clock) -> None:
    err, out = io.StringIO(), Terminal()
    line = ProgressLine(err, (out,), clock)
    line(0)
    clock.now = 2.0
    line(5)
    assert (err.getvalue(), out.getvalue()) == ("", "")
    assert "write" not in vars(out)


def test_nothing_where_a_line_cannot_be_taken_back(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    err = Terminal()
    line = ProgressLine(err, (), clock)
    line(0)
    clock.now = 2.0
    line(5)
    assert err.getvalue() == ""


def on_terminal(folder: Path, *args: str, **env: str) -> str:
    return shown_by(folder, "-m", "gradscope", "render", *args, **env)


def shown_by(folder: Path, *python: str, **env: str) -> str:
    """What a Python program shows on a terminal."""
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, *python],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "PYTHONPATH": PYTHONPATH, "TERM": "xterm", **env},
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
    return shown.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("quiet", [False, True])
def test_on_a_real_terminal(tmp_path: Path, quiet: bool) -> None:
    (tmp_path / "train.py").write_text(SLOW)
    shown = on_terminal(tmp_path, *(["-q"] if quiet else []), "-o", "out.json", "train.py")
    assert ("backwards, " in shown.split("half a")[0]) is not quiet
    assert "half a line TextIOWrapper True\n" in shown
    assert shown_at(shown) == ""
    assert ("drawing and writing out.json" in shown) is not quiet


def test_the_levels_of_the_graph_are_told(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(SLOW.replace("range(16)", "range(1)"))
    shown = on_terminal(tmp_path, "-o", "out.html", "train.py")
    assert "drawing and writing the graph, level ops" in shown
    assert shown_at(shown) == ""


def test_a_poor_terminal_gets_short_plain_ascii_lines(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(SLOW.replace("range(16)", "range(2)"))
    env = {"TERM": "dumb", "COLUMNS": "60", "LC_ALL": "C", "PYTHONUTF8": "0"}
    shown = on_terminal(tmp_path, "-o", "out.json", "train.py", PYTHONCOERCECLOCALE="0", **env)
    assert "No problem found" in shown
    assert "\x1b" not in shown
    assert shown.isascii()
    assert max(map(len, shown.split("\n"))) <= 60
