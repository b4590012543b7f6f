"""Whole reports for the renderers' tests, as capture and diagnosis would hand them over."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Sequence
from dataclasses import replace

from gradscope.model.finding import Finding, Report, Skipped, Where
from gradscope.model.graph import Graph
from gradscope.model.trace import (
    GradientHistory,
    Overhead,
    Parameter,
    ScriptError,
    Step,
    Trace,
    Update,
    UpdateHistory,
)
from tests.builders import scalar_graph
from tests.graph_builder import GraphBuilder, line, stats

ENVIRONMENT = {"python": "3.11.9", "torch": "2.13.0", "device": "cpu"}
RULES = ("vanishing-gradient", "exploding-gradient", "nonfinite-gradient", "accumulated-gradient")
HOSTILE_NAMES = (
    "d['a|b`c``d']",
    "<script>alert(1)</script>",
    '<img src=x onerror="alert(1)">',
    "line\nbreak\r\n| a | b |\n# heading",
    "\x1b[31mred\x1b[0m\x07\x9b2J",
    "[bold red]markup[/bold red] [link=http://evil]x[/link]",
    "right\u202eto\u2066left\u200bzero\ufeff",
    "lone\ud800surrogate",
    "x" * 10_000,
    "名前🙂é",
    "\\|` **bold** _it_ [a](http://b) &lt; $x$",
)


def scalar_report() -> Report:
    """``y = W * x + b``: gradients 2 (x), 1 (W) and 1 (b)."""
    graph = scalar_graph()
    step = Step(
        index=0,
        source=line(6, "y.backward()"),
        loss=5.0,
        backward_ns=84_000,
        graph=graph,
        node_count=len(graph.structure.nodes),
        roots=("y",),
    )
    trace = Trace(
        target="/home/user/scalar.py",
        environment=ENVIRONMENT,
        steps=(step,),
        parameters=leaves_of(graph, kind="input"),
        overhead=Overhead(total_ns=2_100_000, own_ns=400_000),
    )
    return Report(trace, checked=RULES)


def regression_report(steps: int = 1000) -> Report:
    """A healthy linear regression, loss 9 → 0.01, with graphs of three steps kept."""
    graph = layered_graph(["model"], width=3)
    kept = {0, steps // 2, steps - 1}
    trace = Trace(
        target="/home/user/train.py",
        argv=("--epochs", "10"),
        environment=ENVIRONMENT,
        steps=tuple(
            training_step(i, 9.0 * math.exp(-0.00681 * i), graph if i in kept else None)
            for i in range(steps)
        ),
        updates=tuple(Update(i, i, optimizer="SGD", parameters=2) for i in range(steps)),
        parameters=leaves_of(graph, steps=steps, decay=lambda i: math.exp(-0.0034 * i)),
        overhead=Overhead(total_ns=1_900_000_000, own_ns=58_900_000),
        dropped={"values of in-place changed tensors": 3},
    )
    return Report(trace, checked=RULES)


def accumulated_report() -> Report:
    """GS401 with a consequence, a warning and a note beside it."""
    graph = layered_graph(["net.0", "net.2"], width=8)
    steps = 120
    trace = Trace(
        target="/home/user/train.py",
        environment=ENVIRONMENT,
        steps=tuple(
            training_step(i, 2.31 + 0.01 * i, graph if i in (0, 119) else None)
            for i in range(steps)
        ),
        updates=tuple(Update(i, i, optimizer="SGD", parameters=4) for i in range(steps)),
        parameters=leaves_of(graph, steps=steps, decay=lambda i: 1.0 + i),
        overhead=Overhead(total_ns=410_000_000, own_ns=12_000_000),
    )
    exploding = Finding(
        code="GS102",
        name="exploding-gradient",
        severity="warning",
        message="The total gradient norm grew 120-fold over 120 steps.",
        where=Where(parameter="net.0.weight", step=119),
        steps=(12, 119),
    )
    accumulated = Finding(
        code="GS401",
        name="accumulated-gradient",
        severity="error",
        message=(
            "loss.backward() adds to gradients that optimizer.step() already used: call "
            "optimizer.zero_grad() first (119 of 120 updates)"
        ),
        where=Where(
            parameter="net.0.weight", source=line(23, "loss.backward()"), nodes=(), step=119
        ),
        steps=(1, 119),
        seen=119,
        of=120,
        evidence={"parameters": 4, "largest sum": 120, "norm ratio": 61.25},
        cause="No zero_grad() runs between optimizer.step() and the next backward, so every "
        "gradient since the start is still in .grad.",
        fix="optimizer.zero_grad()\nloss.backward()",
        silence="Gradients that are meant to pile up are cleared before step().",
        consequences=(exploding,),
    )
    vanishing = Finding(
        code="GS101",
        name="vanishing-gradient",
        severity="warning",
        message="The gradient shrinks 2400-fold from the loss to net.0.",
        where=Where(op="SigmoidBackward0", module="net.1", source=line(14, "h = self.act(h)")),
        steps=(0, 119),
        seen=120,
        of=120,
        fix="Use ReLU, or a normalisation between the layers.",
    )
    return Report(
        trace,
        (accumulated, vanishing),
        (Skipped("GS201", "every value seen was finite."), Skipped("GS102", "KeyError: 3", True)),
        RULES,
    )


def crash_report() -> Report:
    """The script raised in its third step, in forward."""
    report = regression_report(2)
    error = ScriptError(
        type="RuntimeError",
        message="mat1 and mat2 shapes cannot be multiplied (4x3 and 8x1)\nsecond line: hint",
        source=line(31, "return self.fc(x)", function="Net.forward"),
        traceback="Traceback (most recent call last):\n  …\n",
    )
    return Report(replace(report.trace, script_error=error), checked=RULES)


def crash_with_traceback(traceback: str) -> Report:
    """A crash whose traceback is this text."""
    report = crash_report()
    assert report.trace.script_error is not None
    error = replace(report.trace.script_error, traceback=traceback)
    return replace(report, trace=replace(report.trace, script_error=error))


def empty_report(*, forward: bool = False) -> Report:
    """No backward at all; with ``forward`` a graph was built and never used."""
    graph = replace(scalar_graph(), gradients={}, backward_ran=False)
    return Report(
        Trace(
            target="/home/user/tensors.py",
            environment=ENVIRONMENT,
            forward_graphs=(graph,) if forward else (),
            unused_forwards=2 if forward else 0,
            parameters=leaves_of(graph, kind="input", steps=0) if forward else (),
            overhead=Overhead(total_ns=900_000, own_ns=90_000),
        ),
        checked=(),
    )


def many_parameters_report(parameters: int = 300) -> Report:
    """So many parameters in a chain of layers; one in the middle is flagged."""
    graph = layered_graph([f"net.layers.{i}" for i in range(parameters // 2)], width=64)
    trace = Trace(
        target="/home/user/deep.py",
        environment=ENVIRONMENT,
        steps=(training_step(0, 0.7, graph),),
        parameters=leaves_of(graph),
    )
    found = Finding(
        code="GS105",
        name="zero-gradient",
        severity="warning",
        message="The gradient of net.layers.75.weight is exactly zero.",
        where=Where(parameter="net.layers.75.weight"),
    )
    return Report(trace, (found,), checked=RULES)


def hostile_report() -> Report:
    """Everything a program may call its tensors, files, arguments and errors."""
    b = GraphBuilder()
    leaves = [b.leaf(name, (2, 3), gradient=0.1) for name in HOSTILE_NAMES]
    evil = "y = f('|<script>alert(2)</script>```\x1b[2J\u202e')"
    root = b.op("Mul", *leaves, shape=(), gradient=1.0, value=1.0, source=line(3, evil))
    graph = b.graph(root)
    findings = tuple(
        Finding(
            code="GS105",
            name="zero-gradient",
            severity="warning",
            message=f"{name} got zero",
            where=Where(parameter=name, variable=name, module=name, source=line(3, evil)),
            evidence={name: name},
            cause=name,
            fix=f"{name}\n```\n<script>alert(3)</script>",
            silence=name,
        )
        for name in HOSTILE_NAMES
    )
    name = HOSTILE_NAMES[3]
    trace = Trace(
        target="/tmp/<b>|`\x1b[5m`.py",
        argv=HOSTILE_NAMES,
        environment={**ENVIRONMENT, "device": "<u>cpu</u>|"},
        steps=(training_step(0, math.nan, graph),),
        parameters=leaves_of(graph),
        script_error=ScriptError("Evil|Error", "\x1b[31m<script>\n| boom |", line(3, evil), evil),
        dropped={name: 2},
        notes=HOSTILE_NAMES,
    )
    return Report(trace, findings, (Skipped("GS101", name),), RULES)


def bare_report() -> Report:
    """One of each with nothing but what must be given."""
    found = Finding("GS101", "vanishing-gradient", "info", "")
    trace = Trace(
        steps=(Step(0),),
        updates=(Update(0, 0),),
        parameters=(Parameter(0, "", "parameter", (0,), "float32", "meta", 0),),
        script_error=ScriptError("E", ""),
    )
    return Report(trace, (found,), (Skipped("GS102", ""),))


def large_report(steps: int = 10_000, parameters: int = 200) -> Report:
    """A long run: the size that every format has to bear."""
    graph = layered_graph([f"net.layers.{i}" for i in range(parameters // 2)], width=64)
    trace = Trace(
        target="/home/user/long.py",
        environment=ENVIRONMENT,
        steps=tuple(
            training_step(i, 1.0 + math.sin(i), graph if i % 1000 == 0 else None)
            for i in range(steps)
        ),
        updates=tuple(
            Update(i, i, optimizer="AdamW", source=line(44, "opt.step()"), parameters=parameters)
            for i in range(steps)
        ),
        parameters=leaves_of(graph, steps=steps, decay=lambda i: 1.5 + math.sin(i * 0.37)),
    )
    return Report(trace, checked=RULES)


def training_step(index: int, loss: float, graph: Graph | None) -> Step:
    return Step(
        index=index,
        source=line(23, "loss.backward()"),
        loss=loss,
        backward_ns=410_000 + 100 * (index % 7),
        level="ops" if graph else "params",
        graph=graph,
        node_count=len(graph.structure.nodes) if graph else None,
        roots=("loss",),
    )


def layered_graph(names: Sequence[str], *, width: int) -> Graph:
    """One Linear after the other; the gradient halves per layer towards the input."""
    b = GraphBuilder()
    h = b.leaf("x", (16, width), kind="input", gradient=None)
    for i, name in enumerate(names):
        rms = 0.5 ** (len(names) - 1 - i)
        weight = b.leaf(f"{name}.weight", (width, width), gradient=rms)
        bias = b.leaf(f"{name}.bias", (width,), gradient=rms / 2)
        shape = (16, width)
        h = b.op("Addmm", bias, h, weight, shape=shape, gradient=rms, source=line(9, "h = f(h)"))
    b.op("MseLoss", h, shape=(), gradient=1.0, value=0.5, source=line(22, "loss = mse(h, y)"))
    return b.graph()


def leaves_of(
    graph: Graph,
    *,
    kind: str = "parameter",
    steps: int = 1,
    decay: Callable[[int], float] = lambda index: 1.0,
) -> tuple[Parameter, ...]:
    """The graph's leaves as parameters; the k-th gradient is the graph's times ``decay(k)``."""
    found = []
    for node in graph.structure.nodes:
        if node.parameter is None:
            continue
        found.append(_parameter(graph, node.id, kind, steps, decay))
    return tuple(sorted(found, key=lambda parameter: parameter.index))


def _parameter(
    graph: Graph, node_id: int, kind: str, steps: int, decay: Callable[[int], float]
) -> Parameter:
    node = graph.structure.nodes[node_id]
    assert node.parameter is not None
    assert node.shape is not None
    value, gradient = graph.value(node_id), graph.gradient(node_id)
    base = gradient.l2_norm if gradient else math.nan
    low = gradient.min if gradient else math.nan
    high = gradient.max if gradient else math.nan
    assert base is not None
    assert low is not None
    assert high is not None
    scale = [decay(k) for k in range(steps)]
    updated = steps if kind == "parameter" and node.kind == "parameter" and steps > 1 else 0
    return Parameter(
        index=node.parameter,
        name=node.label,
        kind="input" if kind == "input" or node.kind == "input" else "parameter",
        shape=node.shape,
        dtype="float32",
        device="cpu",
        count=math.prod(node.shape),
        optimizers=("SGD",) if updated else (),
        fan_in=len(graph.structure.incoming[node_id]),
        value=value if value is not None else stats(0.1, node.shape),
        gradients=GradientHistory(
            step=array("i", range(steps)),
            norm=array("d", [base * s for s in scale]),
            min=array("d", [low * s for s in scale]),
            max=array("d", [high * s for s in scale]),
            zero_fraction=array("f", [0.0] * steps),
            arrived=array("b", [gradient is not None] * steps),
        ),
        updates=UpdateHistory(
            update=array("i", range(updated)),
            fresh=array("i", [1] * updated),
            carried=array("i", [0] * updated),
            grad_norm=array("d", [base * s for s in scale[:updated]]),
            value_rms=array("d", [0.1] * updated),
            update_rms=array("d", [1e-4 * s for s in scale[:updated]]),
            lost=array("i", [0] * updated),
        ),
    )
