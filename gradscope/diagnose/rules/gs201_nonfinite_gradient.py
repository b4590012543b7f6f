"""A gradient is NaN or Inf: this is the op where it begins.

What: The first node in backward order whose incoming gradient is finite and whose outgoing one is
not, or, where the loss itself is NaN or Inf already, the first op in forward order that made it
so; with the values that did it. A mixed-precision scaler that skips such a step is no finding.

Why it hurts: One NaN spreads through every sum it meets. The next update writes it into the
weights, and from then on everything is NaN.

Example::

    distance = torch.sqrt(((a - b) ** 2).sum(1))     # at a == b the derivative is 1/0

Instead::

    distance = torch.sqrt(((a - b) ** 2).sum(1) + 1e-12)
"""

from __future__ import annotations

from collections.abc import Iterator

from gradscope.analysis.paths import op_base
from gradscope.diagnose.nonfinite import (
    Origin,
    backward_origin,
    forward_origin,
    input_values,
    is_masked,
    touches_zero,
)
from gradscope.diagnose.rule import Rule
from gradscope.diagnose.run import Run
from gradscope.diagnose.singular import advice
from gradscope.diagnose.words import name, node_name, number, op_in_line, some
from gradscope.model.finding import Finding, Where
from gradscope.model.graph import Graph
from gradscope.model.stats import TensorStats
from gradscope.model.trace import Step

RULE = Rule("GS201", "nonfinite-gradient", "A gradient became NaN or Inf: the op where it began.")

Evidence = dict[str, float | int | str]


def check(run: Run) -> Iterator[Finding]:
    """One finding for the first backward that was not finite; later ones follow from it."""
    bad = _bad_steps(run)
    if not bad or _skipped_by_scaler(run, bad):
        return
    step = run.step(bad[0])
    if step is None:
        return
    yield _at_op(run, step, bad) or _at_parameters(run, step, bad)


def _bad_steps(run: Run) -> list[int]:
    """Steps whose gradients or whose loss were not finite."""
    bad = set(run.nonfinite_steps)
    bad |= {
        step.index
        for step, graph in run.trace.graphs
        if graph.backward_ran and forward_origin(graph) is not None
    }
    return sorted(bad)


def _skipped_by_scaler(run: Run, bad: list[int]) -> bool:
    """Whether no update used those gradients and the training went on without them."""
    updated_after = {update.after_step for update in run.trace.updates}
    last = run.trace.steps[-1].index
    return bool(updated_after) and bad[-1] < last and updated_after.isdisjoint(bad)


def _at_op(run: Run, step: Step, bad: list[int]) -> Finding | None:
    graph = step.graph
    if graph is None:
        return None
    origin = forward_origin(graph) or backward_origin(graph)
    if origin is None:
        return None
    node = graph.structure.nodes[origin.node]
    if node.kind in ("parameter", "input"):
        return _at_leaf(run, step, bad, origin)
    values = input_values(graph, origin.node)
    counsel = advice(op_base(node.op), origin, values, is_masked(graph, origin.node))
    return RULE.finding(
        "error",
        _message(graph, origin, values) + _since(run, bad),
        where=Where(
            op=node.op,
            module=node.module,
            variable=node.label,
            source=node.source or step.source,
            nodes=(node.id,),
            step=step.index,
        ),
        steps=(bad[0], bad[-1]),
        seen=len(bad),
        of=len(run.trace.steps),
        evidence=_evidence(origin, values) | {"singular": int(counsel.singular)},
        cause=counsel.cause,
        fix=counsel.fix,
        silence="A finite gradient. Steps that a mixed-precision scaler skips are not reported.",
    )


def _message(graph: Graph, origin: Origin, values: tuple[TensorStats, ...]) -> str:
    node = graph.structure.nodes[origin.node]
    kind = "finite values" if origin.forward else "a finite gradient"
    return f"{op_in_line(node)} turned {kind} into {_what(origin)}{_inputs(graph, origin)}"


def _what(origin: Origin) -> str:
    """``NaN`` or ``Inf`` and in how many elements."""
    stats = origin.after
    amount = (stats.nan_count if origin.is_nan else stats.inf_count) or 0
    where = f" in {amount} of {stats.count} elements" if amount and stats.count > 1 else ""
    return f"{'NaN' if origin.is_nan else 'Inf'}{where}"


def _inputs(graph: Graph, origin: Origin) -> str:
    """``: its input `s` goes from 0 to 3.2``."""
    told = []
    for index in graph.structure.outgoing[origin.node]:
        edge = graph.structure.edges[index]
        stats = graph.value(edge.target, edge.output_nr)
        if stats is None or stats.min is None or stats.max is None:
            continue
        target = graph.structure.nodes[edge.target]
        who = f" {name(target.label)}" if target.label else ""
        told.append(f"its input{who} {_range(stats)}")
    return f": {', '.join(told[:2])}" if told else ""


def _range(stats: TensorStats) -> str:
    if stats.value is not None or stats.min == stats.max:
        return f"is {number(stats.min or 0.0)}"
    return f"goes from {number(stats.min or 0.0)} to {number(stats.max or 0.0)}"


def _evidence(origin: Origin, values: tuple[TensorStats, ...]) -> Evidence:
    evidence: Evidence = {
        "where": "forward" if origin.forward else "backward",
        "nan": origin.after.nan_count or 0,
        "inf": origin.after.inf_count or 0,
        "elements": origin.after.count,
    }
    for position, stats in enumerate(values[:3]):
        if stats.min is not None and stats.max is not None:
            evidence[f"input{position}_min"] = stats.min
            evidence[f"input{position}_max"] = stats.max
    if touches_zero(values):
        evidence["input_has_zero"] = 1
    return evidence


def _since(run: Run, bad: list[int]) -> str:
    total = len(run.trace.steps)
    if total == 1:
        return ""
    return f"; first in step {bad[0]}, {len(bad)} of {total} backwards"


def _at_leaf(run: Run, step: Step, bad: list[int], origin: Origin) -> Finding:
    """The forward pass started from a tensor that held NaN already."""
    assert step.graph is not None
    node = step.graph.structure.nodes[origin.node]
    update = max(
        (u for u in run.trace.updates if u.after_step < step.index),
        default=None,
        key=lambda u: u.index,
    )
    blame = f"; the update after step {update.after_step} wrote it" if update else ""
    return RULE.finding(
        "error",
        f"{node_name(node)} held {_what(origin)} before the forward pass{blame}" + _since(run, bad),
        where=Where(
            parameter=node.label,
            source=(update.source if update else None) or step.source,
            nodes=(node.id,),
            step=step.index,
        ),
        steps=(bad[0], bad[-1]),
        seen=len(bad),
        of=len(run.trace.steps),
        evidence=_evidence(origin, ()) | {"singular": 0},
        cause="The update before overflowed: the learning rate is too large, or the weights were "
        "not finite to begin with.",
        fix="torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)  # before optimizer.step(), "
        "and a smaller learning rate",
        silence="Finite weights.",
    )


def _at_parameters(run: Run, step: Step, bad: list[int]) -> Finding:
    """The step's graph was not kept: only the parameters that got it are known."""
    names = [
        p.name
        for p in run.trace.parameters
        if any(
            s == step.index and n - n != 0
            for s, n in zip(p.gradients.step, p.gradients.norm, strict=True)
        )
    ]
    return RULE.finding(
        "error",
        f"gradient of {some(names)} is NaN or Inf{_since(run, bad)}",
        where=Where(parameter=names[0] if names else "", source=step.source),
        steps=(bad[0], bad[-1]),
        seen=len(bad),
        of=len(run.trace.steps),
        evidence={"parameters": len(names), "singular": 0},
        cause="The graph of that step was not kept, so the op cannot be named.",
        fix=f"record step {step.index} at level ops to see the op",
        silence="A finite gradient.",
    )
