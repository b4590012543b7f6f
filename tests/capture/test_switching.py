"""The line that switched grad mode off, when a loss has no graph."""

from __future__ import annotations

import linecache
from types import ModuleType

import pytest
import torch

import gradscope
from gradscope.capture.quiet import grad_enabled, quiet
from gradscope.model.events import Cut

PRELUDE = """
import torch
w = torch.ones(3, requires_grad=True)
"""
CALL = """
torch.set_grad_enabled(False)
with torch.no_grad():
    y = w + 1
loss = (w * 2).sum()
loss.backward()
"""
GUARD = """
def leave():
    torch.no_grad().__enter__()
leave()
loss = (w * 2).sum()
loss.backward()
"""
AGAIN = """
torch.set_grad_enabled(False)
torch.set_grad_enabled(True)
(w * 2).sum().backward()
torch.set_grad_enabled(False)
(w * 2).sum().backward()
"""
GENERATOR = """
def batches():
    with torch.no_grad():
        yield torch.ones(3)
for x in batches():
    (w * x).sum().backward()
"""
DECORATED = """
def train():
    (w * 2).sum().backward()
@torch.no_grad()
def main():
    train()
main()
"""
FUNCTION = """
class Double(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        with torch.no_grad():
            return x * 2
    @staticmethod
    def backward(ctx, g):
        return g * 2
Double.apply(w).sum().backward()
torch.set_grad_enabled(False)
Double.apply(w).sum().backward()
"""


def run(body: str, level: str = "ops") -> list[Cut]:
    """The cuts without an input of a program whose last backward fails."""
    path = f"/switching_{abs(hash((body, level)))}.py"
    text = PRELUDE + body
    linecache.cache[path] = (len(text), None, text.splitlines(keepends=True), path)
    main = ModuleType("program")
    try:
        with gradscope.trace(level=level) as t, pytest.raises(RuntimeError, match="not require"):
            exec(compile(text, path, "exec"), vars(main))
    finally:
        torch.set_grad_enabled(True)
        del linecache.cache[path]
    assert not t.trace.dropped
    return [c for c in t.trace.cuts if c.op in ("grad_mode", "inference_mode")]


@pytest.mark.parametrize(
    ("body", "line"),
    [(CALL, 5), (GUARD, 6), (AGAIN, 8), (GENERATOR, 6), (DECORATED, 10), (FUNCTION, 14)],
)
def test_the_line_that_switched_grad_mode_off(body: str, line: int) -> None:
    (cut,) = run(body)
    assert (cut.op, cut.depth) == ("grad_mode", 0)
    assert cut.source is not None
    assert cut.source.line == line


def test_without_the_calls_only_the_mode_is_known() -> None:
    (cut,) = run(CALL, level="params")
    assert (cut.op, cut.source, cut.depth) == ("grad_mode", None, 0)


def test_inference_mode_is_known_without_a_line() -> None:
    body = "guard = torch.inference_mode()\nguard.__enter__()\nloss = w.sum()\n"
    end = "try:\n    loss.backward()\nfinally:\n    guard.__exit__(None, None, None)\n"
    (cut,) = run(body + end)
    assert (cut.op, cut.source) == ("inference_mode", None)


def test_a_loss_that_has_no_graph_while_grad_mode_is_on() -> None:
    assert run("with torch.no_grad():\n    y = w + 1\ny = y.sum()\ny.backward()\n") == []


def test_grad_mode_of_another_thread_is_its_own() -> None:
    body = """
import threading
def switch():
    torch.set_grad_enabled(False)
thread = threading.Thread(target=switch)
thread.start()
thread.join()
w.detach().sum().backward()
"""
    assert run(body) == []


def test_the_mode_that_own_work_found() -> None:
    with quiet(), quiet():
        assert grad_enabled()
    with torch.no_grad(), quiet():
        assert not grad_enabled()
    assert grad_enabled()
