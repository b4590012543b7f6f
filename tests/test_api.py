"""The Python interface: ``gradscope.trace()`` and ``gradscope.render()``."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import gradscope
from gradscope.errors import GradscopeError, UsageError
from tests.capture.reading import labelled, labels, last_graph, named, op, parameter


def _step(factor: float = 2.0) -> Tensor:
    w = torch.ones(2, requires_grad=True)
    loss = (w * factor).sum()
    loss.backward()
    return loss


def test_a_block() -> None:
    with gradscope.trace() as t:
        _step()
    assert len(t.trace.steps) == 1
    assert t.trace.target == "trace()"
    assert t.trace.environment["torch"] == torch.__version__
    assert t.findings == ()
    assert 0 < t.trace.overhead.own_ns <= t.trace.overhead.total_ns


def test_reports() -> None:
    with gradscope.trace() as t:
        _step()
    text, markdown = t.report(), t.report("markdown")
    assert "w" in text
    assert "| " in markdown
    assert json.loads(t.report("json"))["schema"] == "gradscope/1"
    assert t.report("dot").startswith("digraph")
    with pytest.raises(UsageError, match="not one of text"):
        t.report("pdf")


@pytest.mark.parametrize("suffix", [".dot", ".svg", ".md", ".txt", ".json"])
def test_pictures(suffix: str, tmp_path: Path) -> None:
    with gradscope.trace() as t:
        _step()
    path = tmp_path / f"graph{suffix}"
    t.render(path)
    assert "w" in path.read_text()
    t.render(str(path))


def test_before_the_block_has_ended() -> None:
    session = gradscope.trace()
    with pytest.raises(UsageError, match="has to end first"):
        session.trace  # noqa: B018
    with session:
        for ask in (lambda: session.trace, lambda: session.findings, session.report):
            with pytest.raises(UsageError, match="has to end first"):
                ask()
    assert session.trace.steps == ()


def test_an_unfinished_block_cannot_be_drawn(tmp_path: Path) -> None:
    with gradscope.trace() as t, pytest.raises(UsageError):
        t.render(tmp_path / "graph.dot")
    with pytest.raises(GradscopeError, match="no graph"):
        t.render(tmp_path / "graph.dot")


def test_a_block_that_raises_still_answers() -> None:
    session = gradscope.trace()
    with pytest.raises(ZeroDivisionError), session:  # noqa: PT012 - the block is the subject
        _step()
        1 / 0  # noqa: B018
    assert len(session.trace.steps) == 1
    assert session.trace.script_error is not None
    assert session.trace.script_error.type == "ZeroDivisionError"
    assert session.trace.script_error.source is not None
    assert "1 / 0" in session.trace.script_error.source.text
    assert "ZeroDivisionError" in session.report()


def test_a_handle_can_be_used_again() -> None:
    session = gradscope.trace()
    with session:
        _step()
        _step()
    first = session.trace
    assert len(session.report()) > 0
    with session:
        _step(3.0)
    assert (len(first.steps), len(session.trace.steps)) == (2, 1)
    assert session.trace.steps[0].loss == 6.0
    assert "6" in session.report()


def test_a_running_handle_cannot_be_entered() -> None:
    session = gradscope.trace()
    with session, pytest.raises(UsageError, match="already running"), session:
        pass
    with session:
        _step()
    assert len(session.trace.steps) == 1


def test_a_decorator() -> None:
    session = gradscope.trace()

    @session
    def train(factor: float, *, twice: bool = False) -> float:
        """Trains."""
        loss = _step(factor)
        if twice:
            _step(factor)
        return loss.item()

    assert train.__doc__ == "Trains."
    assert train(2.0, twice=True) == 4.0
    assert len(session.trace.steps) == 2
    assert train(3.0) == 6.0
    assert [s.loss for s in session.trace.steps] == [6.0], "of the last call"


def test_a_decorated_function_that_calls_itself_is_one_block() -> None:
    """The inner call said that the trace was already running, and ended the user's run."""
    session = gradscope.trace()

    @session
    def train(depth: int) -> None:
        _step(1.0)
        if depth:
            train(depth - 1)

    train(2)
    assert len(session.trace.steps) == 3


def test_what_runs_after_its_call_cannot_be_decorated() -> None:
    def generator() -> Iterator[int]:
        yield 1

    async def coroutine() -> None:
        pass

    async def both() -> AsyncIterator[int]:
        yield 1

    for function in (generator, coroutine, both):
        with pytest.raises(UsageError, match=f"{function.__name__}.. runs after its call"):
            gradscope.trace()(function)


def test_a_decorator_names_the_functions_variables() -> None:
    session = gradscope.trace()

    @session
    def train() -> None:
        net = nn.Linear(2, 1)
        loss = net(torch.ones(1, 2)).sum()
        loss.backward()

    train()
    assert labels(last_graph(session)) == {"net.weight", "net.bias", "loss"}


def test_blocks_inside_blocks() -> None:
    with gradscope.trace() as outer:
        _step()
        with gradscope.trace() as inner:
            w = torch.ones(2, requires_grad=True)
            h = w
            for _ in range(3):
                h = torch.tanh(h * 2)
            h.sum().backward()
        _step()
    assert (len(outer.trace.steps), len(inner.trace.steps)) == (3, 1)
    (of_inner,) = [g for _, g in inner.trace.graphs]
    of_outer = outer.trace.graphs[1][1]
    assert of_inner.structure == of_outer.structure
    assert of_inner.gradients == of_outer.gradients
    assert of_inner.values == of_outer.values
    assert [n.iteration for n in named(of_outer, "Tanh")] == [1, 2, 3]


def test_an_inner_block_that_raises() -> None:
    with gradscope.trace() as outer:
        with pytest.raises(ValueError, match="oops"), gradscope.trace():
            raise ValueError("oops")
        _step()
    assert outer.trace.script_error is None
    assert len(outer.trace.steps) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"level": "all"}, "level"),
        ({"every": 0}, "every"),
        ({"budget": 0.0}, "budget"),
        ({"budget": 2.0}, "budget"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        gradscope.trace(**options)


def test_levels() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
    found = {}
    for level in ("params", "modules", "ops"):
        with gradscope.trace(level=level) as t:
            net(torch.ones(1, 2)).exp().sin().sum().backward()
        found[level] = t.trace
        assert t.trace.steps[0].level == level
        assert len(parameter(t.trace, "net.0.weight").gradients) == 1
    assert found["params"].graphs == ()
    modules, everything = found["modules"].graphs[0][1], found["ops"].graphs[0][1]
    assert len(modules.gradients) < len(everything.gradients)
    linears = [n.id for n in named(modules, "Addmm")]
    assert all((i, 0) in modules.gradients for i in linears)


def test_chosen_steps() -> None:
    with gradscope.trace(steps=(0, 3)) as t:
        for _ in range(6):
            _step()
    assert [s.index for s, _ in t.trace.graphs] == [0, 3]
    with gradscope.trace(steps=(-1,)) as t:
        for _ in range(6):
            _step()
    assert [s.index for s, _ in t.trace.graphs] == [5]
    with gradscope.trace(every=3) as t:
        for _ in range(6):
            _step()
    assert [s.index for s, _ in t.trace.graphs] == [0, 3]
    assert [s.level for s in t.trace.steps] == ["ops", "params", "params"] * 2


def test_a_run_without_a_backward() -> None:
    net = nn.Linear(3, 1)
    with gradscope.trace() as t:
        out = net(torch.ones(2, 3))
        loss = out.pow(2).mean()
    (graph,) = t.trace.forward_graphs
    assert not graph.backward_ran
    assert t.trace.steps == ()
    assert t.trace.unused_forwards == 3
    assert op(graph, "Mean").label == "loss"
    assert op(graph, "Addmm").module == "net"
    assert graph.gradients == {}
    value = graph.value(graph.structure.roots[0])
    assert value is not None
    assert value.value == pytest.approx(loss.item())


def test_forward_graphs_beside_a_backward() -> None:
    w = torch.ones(2, requires_grad=True)
    with gradscope.trace() as t:
        (w * 2).sum().backward()
        kept = (w * 3).exp()
    (graph,) = t.trace.forward_graphs
    assert labelled(graph, "kept").kind == "loss"
    assert t.trace.unused_forwards == 2
    del kept


def test_nothing_at_all() -> None:
    with gradscope.trace() as t:
        pass
    assert t.trace.steps == t.trace.parameters == t.trace.forward_graphs == ()  # type: ignore[comparison-overlap]
    assert t.report()


# --- render() -----------------------------------------------------------------------------------


def _draw(result: object, path: Path) -> str:
    gradscope.render(result, path)
    return path.read_text()


def test_render_a_tensor(tmp_path: Path) -> None:
    W, x = torch.tensor(2.0, requires_grad=True), torch.tensor(3.0, requires_grad=True)
    y = W * x
    text = _draw(y, tmp_path / "graph.dot")
    assert "W" in text
    assert "MulBackward0" in text
    assert W.grad is None
    y.backward()
    assert W.grad is not None


def test_render_collections(tmp_path: Path) -> None:
    w = torch.ones(2, requires_grad=True)
    a, b = w.exp(), w.sin()
    for result in (
        [a, b],
        (a, b),
        {"a": a, "b": b},
        OrderedDict(a=a, n=3, b=[b, "text", None]),
    ):
        text = _draw(result, tmp_path / "graph.dot")
        assert "ExpBackward0" in text
        assert "SinBackward0" in text


def test_render_a_collection_in_itself(tmp_path: Path) -> None:
    loop: list[Any] = [torch.ones(2, requires_grad=True).exp()]
    loop.append(loop)
    assert "ExpBackward0" in _draw(loop, tmp_path / "graph.dot")


def test_render_a_models_output(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    text = _draw(net(torch.ones(1, 2)), tmp_path / "graph.dot")
    assert "net.0.weight" in text


def test_render_a_leaf(tmp_path: Path) -> None:
    w = torch.ones(2, requires_grad=True)
    assert "w" in _draw(w, tmp_path / "graph.dot")


@pytest.mark.parametrize("result", [torch.ones(2), [torch.ones(2)]])
def test_render_without_a_graph(result: object, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not require grad"):
        gradscope.render(result, tmp_path / "graph.svg")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("result", [None, 3.0, "loss", [], {}, nn.Linear(1, 1)])
def test_render_something_else(result: object, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not of"):
        gradscope.render(result, tmp_path / "graph.svg")


def test_render_to_a_bad_path(tmp_path: Path) -> None:
    y = torch.ones(2, requires_grad=True) * 2
    with pytest.raises(UsageError, match="suffix"):
        gradscope.render(y, tmp_path / "graph.xyz")
    with pytest.raises(UsageError, match="no folder"):
        gradscope.render(y, tmp_path / "missing" / "graph.svg")
    with pytest.raises(UsageError):
        gradscope.render(y, tmp_path)


def test_render_changes_nothing(tmp_path: Path) -> None:
    net = nn.Linear(2, 1)
    loss = net(torch.ones(1, 2)).sum()
    state = torch.get_rng_state()
    gradscope.render(loss, tmp_path / "graph.dot")
    assert torch.equal(state, torch.get_rng_state())
    loss.backward()
    assert net.weight.grad is not None
    assert torch.equal(net.weight.grad, torch.ones(1, 2))


def test_render_inside_a_trace(tmp_path: Path) -> None:
    w = torch.ones(2, requires_grad=True)
    with gradscope.trace() as t:
        loss = (w * 2).sum()
        gradscope.render(loss, tmp_path / "graph.dot")
        loss.backward()
    assert [n.call for n in last_graph(t).structure.nodes if n.call] == ["sum", "mul"]
    assert not t.trace.dropped


# --- imports ------------------------------------------------------------------------------------


def _python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_needs_no_torch() -> None:
    code = """
import sys
sys.modules["torch"] = None
import gradscope, gradscope.cli, gradscope.output, gradscope.session
session = gradscope.trace(level="params")
try:
    session.__enter__()
except ImportError as error:
    print("ImportError", error.name)
"""
    assert _python(code).startswith("ImportError")


def test_importing_loads_neither_torch_nor_graphviz() -> None:
    code = """
import sys, gradscope
print([m for m in ("torch", "graphviz", "pygraphviz", "networkx", "rich") if m in sys.modules])
"""
    assert _python(code) == "[]\n"
