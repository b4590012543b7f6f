from __future__ import annotations

from dataclasses import replace

from gradscope.model.events import Call
from gradscope.model.graph import Graph
from gradscope.model.trace import ScriptError, Trace
from tests.builders import GraphBuilder, line, trace_with
from tests.diagnose.traces import judge

READ = line(14, "w.data -= lr * w.grad", "w.grad")
CALL = Call("nonleaf_grad", 0, -1, READ, "w", count=2)


def graph(text: str) -> Graph:
    b = GraphBuilder()
    leaf = b.leaf("x", (3,), kind="input", gradient=1.0)
    b.op("Mul", leaf, shape=(3,), label="w", source=line(5, text, text[4:]))
    b.op("Sum", b.op("Exp", 1, shape=(3,)), shape=())
    return b.graph()


def trace(text: str, error: ScriptError | None = None) -> Trace:
    return replace(trace_with(graph(text)), calls=(CALL,), script_error=error)


SMALL = "w = torch.randn(3, requires_grad=True) * 0.01"
STOPPED = ScriptError("TypeError", "unsupported operand: 'float' and 'NoneType'", READ)


def test_it_is_an_error_where_none_ended_the_script() -> None:
    (finding,) = judge(trace(SMALL, STOPPED), "GS306")
    assert finding.severity == "error"
    assert finding.message == (
        "the .grad of `w` (train.py:14) is None, since it is no leaf: it is the result of an "
        f"operation, made by `{SMALL}` (train.py:5)"
    )
    assert finding.where.source is not None
    assert finding.where.source.line == 5
    assert finding.fix.startswith("w = w.detach().requires_grad_()")
    assert finding.evidence["raised"] == "TypeError"


def test_otherwise_it_is_told() -> None:
    (finding,) = judge(trace("w = layer(x)"), "GS306")
    assert finding.severity == "info"
    assert finding.fix.startswith("w.retain_grad()")
    elsewhere = replace(STOPPED, source=line(20, "boom(None)"))
    (finding,) = judge(trace(SMALL, elsewhere), "GS306")
    assert finding.severity == "info"


def test_an_update_that_made_a_new_tensor() -> None:
    (finding,) = judge(trace("w = w - lr * w.grad", STOPPED), "GS306")
    assert finding.fix == "with torch.no_grad():\n    w -= lr * w.grad"


def test_a_tensor_without_a_name() -> None:
    nameless = replace(trace(SMALL), calls=(replace(CALL, label=""),))
    (finding,) = judge(nameless, "GS306")
    assert finding.where.source == READ
    assert judge(replace(nameless, calls=()), "GS306") == []


REFUSED = ScriptError(
    "ValueError", "can't optimize a non-leaf Tensor", line(9, "opt = SGD([w], lr=0.1)", "SGD([w])")
)


def test_an_optimizer_that_refuses_a_result() -> None:
    alive = replace(graph(SMALL), backward_ran=False)
    (finding,) = judge(Trace(forward_graphs=(alive,), script_error=REFUSED), "GS306")
    assert finding.severity == "error"
    assert finding.message == (
        "the optimizer (train.py:9) is given `w`, which is no leaf: it is the result of an "
        f"operation, made by `{SMALL}` (train.py:5)"
    )
    assert finding.where.source is not None
    assert finding.where.source.line == 5
    assert finding.evidence["raised"] == "ValueError"
    (finding,) = judge(Trace(script_error=REFUSED), "GS306")
    assert finding.where.source == REFUSED.source
