"""Graphs in which numbers stop being finite, for the rules about NaN and Inf."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from gradscope.model.graph import Graph
from gradscope.model.stats import TensorStats
from tests.builders import GraphBuilder, line
from tests.diagnose.traces import INF, NAN


def values(low: float, high: float, n: int = 4, *, nan: int = 0, inf: int = 0) -> TensorStats:
    """Forward values between two numbers."""
    bad = nan + inf
    norm = (NAN if nan else INF) if bad else math.hypot(low, high)
    zeros = 1 / n if low == 0 else 0.0
    return TensorStats(
        (n,), "float32", "cpu", n, norm, NAN if nan else low, NAN if nan else high, zeros,
        nan_count=nan, inf_count=inf,
    )  # fmt: skip


def broken(kind: str, amount: int = 1, n: int = 4) -> TensorStats:
    """A gradient with NaN or Inf in it."""
    low, norm = (NAN, NAN) if kind == "nan" else (-INF, INF)
    nan, inf = (amount, 0) if kind == "nan" else (0, amount)
    return TensorStats(
        (n,), "float32", "cpu", n, norm, low, norm, 0.0, nan_count=nan, inf_count=inf
    )


def chain(
    ops: Sequence[tuple[str, TensorStats | None, TensorStats | float]], leaf: TensorStats | float
) -> Graph:
    """Ops in forward order, each with its forward values and the gradient it receives."""
    b = GraphBuilder()
    h = b.leaf("x", (4,), gradient=leaf)
    handles = {}
    for i, (name, value, gradient) in enumerate(ops):
        source = line(10 + i, f"h = {name.lower()}(h)")
        h = b.op(name, h, shape=(4,), gradient=gradient, source=source, label=f"h{i}")
        handles[h] = value
    graph = b.graph()
    known = {(b.ids[handle], 0): value for handle, value in handles.items() if value is not None}
    return replace(graph, values={**graph.values, **known})


def with_bad_path(graph: Graph, ops: Sequence[str]) -> Graph:
    """The same graph with non-finite results along those ops."""
    found = dict(graph.values)
    for node in graph.structure.nodes:
        if node.op.removesuffix("Backward0") in ops:
            old = found.get((node.id, 0))
            if old is None or old.is_finite:
                found[node.id, 0] = values(0.0, 0.0, nan=2)
    return replace(graph, values=found)
