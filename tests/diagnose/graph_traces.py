"""Traces of graphs with updates in between, for rules that look at both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from gradscope.model.graph import Graph
from gradscope.model.trace import Parameter, Trace, Update, UpdateHistory
from tests.builders import trace_with
from tests.diagnose.traces import BACKWARD, STEP, updates


def trained(
    graphs: Sequence[Graph],
    *,
    owned: Callable[[Parameter], bool] = lambda p: True,
    steps: bool = True,
) -> Trace:
    """One backward per graph and an optimizer's update after each.

    Args:
        graphs: In order.
        owned: Which parameters the optimizer holds.
        steps: Whether it steps at all.
    """
    trace = trace_with(*graphs, loss=1.0)
    n = len(graphs)
    made = tuple(Update(i, i, "optimizer", "SGD", STEP, 1) for i in range(n)) if steps else ()
    return replace(
        trace,
        steps=tuple(replace(s, source=BACKWARD, roots=("loss",)) for s in trace.steps),
        updates=made,
        parameters=tuple(_owned(p, n if steps and owned(p) else 0) for p in trace.parameters),
    )


def _owned(parameter: Parameter, count: int) -> Parameter:
    if not count or parameter.kind != "parameter":
        return parameter
    history = updates([1] * count, [0] * count)
    return replace(parameter, optimizers=("SGD",), updates=history)


def idle(index: int, name: str, shape: tuple[int, ...] = (4, 4)) -> Parameter:
    """A parameter that the optimizer holds and no backward ever reached."""
    return Parameter(
        index=index,
        name=name,
        kind="parameter",
        shape=shape,
        dtype="float32",
        device="cpu",
        count=16,
        optimizers=("SGD",),
        updates=UpdateHistory(),
    )
