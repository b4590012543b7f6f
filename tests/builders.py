"""Ready-made graphs and traces that tests share; ``GraphBuilder`` makes others."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Sequence

from gradscope.model.graph import Graph, Node
from gradscope.model.stats import TensorStats
from gradscope.model.trace import GradientHistory, Parameter, Step, Trace
from tests.graph_builder import (
    SCRIPT,
    UNMEASURED,
    Gradient,
    GraphBuilder,
    line,
    stats,
)
from tests.model_graphs import gpt2_like_graph, linear, resnet_like_graph, unrolled_rnn_graph

__all__ = [
    "SCRIPT",
    "UNMEASURED",
    "Gradient",
    "GraphBuilder",
    "chain_graph",
    "gpt2_like_graph",
    "line",
    "mlp_graph",
    "resnet_like_graph",
    "scalar_graph",
    "stats",
    "trace_with",
    "unrolled_rnn_graph",
]


def scalar_graph() -> Graph:
    """``y = W * x + b`` with W=2, x=1, b=3 and ``y.backward()``: gradients 1, 2 and 1."""
    b = GraphBuilder()
    x = b.leaf("x", kind="input", value=1.0, gradient=2.0)
    w = b.leaf("W", kind="input", value=2.0, gradient=1.0)
    bias = b.leaf("b", kind="input", value=3.0, gradient=1.0)
    source = line(5, "y = W * x + b", "W * x")
    product = b.op("Mul", w, x, shape=(), gradient=1.0, value=2.0, source=source)
    source = line(5, "y = W * x + b", "W * x + b")
    b.op("Add", product, bias, shape=(), gradient=1.0, value=5.0, source=source, label="y")
    return b.graph()


def chain_graph(
    ops: Sequence[str] | int,
    gradients: Sequence[Gradient] | Callable[[int], float] | None = None,
    *,
    shape: Sequence[int] = (8,),
    same_line: bool = True,
) -> Graph:
    """A leaf ``x`` and then ``ops`` one after the other, in forward order.

    ``ops`` as a number means so many ``Mul``. ``gradients`` are what each op receives, in forward
    order too (so the loss's gradient comes last); the leaf gets the first one.
    """
    names = ["Mul"] * ops if isinstance(ops, int) else list(ops)
    received: list[Gradient] = [UNMEASURED] * len(names)
    if callable(gradients):
        received = [gradients(i) for i in range(len(names))]
    elif gradients is not None:
        received = list(gradients)
    b = GraphBuilder()
    last = b.leaf("x", shape, kind="input", gradient=received[0] if received else UNMEASURED)
    for i, (name, gradient) in enumerate(zip(names, received, strict=True)):
        number = 10 if same_line else 10 + i
        last = b.op(
            name,
            last,
            shape=shape,
            gradient=gradient,
            source=line(number, f"y = {name.lower()}(y)", f"{name.lower()}(y)"),
            label="y",
            iteration=i + 1 if same_line else 1,
        )
    return b.graph(last)


def mlp_graph(
    layers: int = 3,
    *,
    activation: str = "Sigmoid",
    top: float = 1e-2,
    factor: float = 0.2,
    width: int = 32,
) -> Graph:
    """``net``: Linear and activation, ``layers`` times, then a mean squared error.

    The gradient is ``top`` at the last activation and changes by ``factor`` per layer downwards;
    a weight's gradient is as large as that of its layer's output.
    """
    b = GraphBuilder()
    h = -1
    with b.module("net", "Net"):
        for i in range(layers):
            rms = top * factor ** (layers - 1 - i)
            with b.module(f"fc{i + 1}", "Linear"):
                text = f"h = torch.{activation.lower()}(self.fc{i + 1}(h))"
                source = line(20 + i, text, f"self.fc{i + 1}(h)", "Net.forward")
                h = linear(b, f"net.fc{i + 1}", h, width, width, rms * factor, source)
            source = line(20 + i, text, text[4:], "Net.forward")
            h = b.op(activation, h, shape=(64, width), gradient=rms, source=source, label="h")
    source = line(40, "loss = F.mse_loss(net(x), target)", "F.mse_loss(net(x), target)")
    b.op("MseLoss", h, shape=(), gradient=1.0, value=0.25, source=source, label="loss")
    return b.graph()


def trace_with(*graphs: Graph, loss: float | None = None) -> Trace:
    """A trace with one step per graph and the graph's leaves as parameters.

    ``Node.parameter`` is right for the first graph, and for others with the same leaves.
    """
    steps = tuple(
        Step(index=i, loss=_loss(graph, loss), graph=graph, node_count=len(graph.structure.nodes))
        for i, graph in enumerate(graphs)
    )
    return Trace(target="train.py", steps=steps, parameters=_parameters(graphs))


def _loss(graph: Graph, given: float | None) -> float | None:
    value = graph.value(graph.structure.roots[0])
    return given if given is not None or value is None else value.value


def _parameters(graphs: Sequence[Graph]) -> tuple[Parameter, ...]:
    """One parameter per distinct leaf label, with the gradients it received in each graph."""
    columns: dict[str, GradientHistory] = {}
    leaves: dict[str, tuple[Node, Graph]] = {}
    for step, graph in enumerate(graphs):
        for node in graph.structure.nodes:
            if node.kind not in ("parameter", "input"):
                continue
            leaves.setdefault(node.label, (node, graph))
            history = columns.setdefault(node.label, _history())
            _append(history, step, graph.gradient(node.id))
    return tuple(
        Parameter(
            index=index,
            name=name,
            kind="parameter" if node.kind == "parameter" else "input",
            shape=node.shape or (),
            dtype="float32",
            device="cpu",
            count=math.prod(node.shape or ()),
            fan_in=len(graph.structure.incoming[node.id]),
            value=graph.value(node.id),
            gradients=columns[name],
        )
        for index, (name, (node, graph)) in enumerate(leaves.items())
    )


def _history() -> GradientHistory:
    return GradientHistory(array("i"), array("d"), array("d"), array("d"), array("f"), array("b"))


def _append(history: GradientHistory, step: int, gradient: TensorStats | None) -> None:
    history.step.append(step)
    history.arrived.append(gradient is not None)
    for name, column in (("l2_norm", history.norm), ("min", history.min), ("max", history.max)):
        measured = getattr(gradient, name, None)
        column.append(math.nan if measured is None else measured)
    zeros = gradient.zero_fraction if gradient else None
    history.zero_fraction.append(math.nan if zeros is None else zeros)
