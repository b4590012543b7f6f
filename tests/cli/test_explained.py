"""A script that autograd stops: the answer, then Python's own traceback, then the report."""

from __future__ import annotations

from pathlib import Path

from tests.command import gradscope, run

STATEFUL = """
import torch
h = torch.zeros(2, requires_grad=True)
w = torch.ones(2, requires_grad=True)
for i in range(3):
    h = torch.tanh(h + w)
    h.sum().backward()
"""
THREADED = """
import threading
threading.Thread(target=threading.main_thread().join).start()
"""


def test_the_answer_stands_before_the_traceback(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(STATEFUL)
    plain = run(tmp_path, "train.py")
    ran = gradscope(tmp_path, "render", "-o", "train.md", "train.py")
    assert (ran.code, ran.out) == (plain.code, plain.out) == (1, b"")
    first, rest = ran.err.split("\n", 1)
    assert first.startswith("train.py:6  `h` leads the backward of step 1 into the graph of step 0")
    assert rest.startswith(plain.err)
    assert rest[len(plain.err) :].startswith("train.py:6  `h` leads the backward")
    assert "(train.py:7) has freed" in first


def test_quiet_leaves_the_traceback_alone(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(STATEFUL)
    assert gradscope(tmp_path, "render", "-q", "train.py").err == run(tmp_path, "train.py").err


def test_what_is_not_autograds_is_not_explained(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("import torch\nraise ValueError('mine')\n")
    ran = gradscope(tmp_path, "render", "-o", "train.md", "train.py")
    assert ran.err.startswith(run(tmp_path, "train.py").err)


def test_threads_at_work_come_first(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(THREADED + STATEFUL)
    ran = gradscope(tmp_path, "render", "-o", "train.md", "train.py")
    assert ran.err.startswith(run(tmp_path, "train.py").err)
    assert "leads the backward" in ran.err
