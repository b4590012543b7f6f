"""The first backward that is not finite: in which op it begins, told under one of four codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gradscope.analysis.paths import op_base
from gradscope.diagnose.around import inputs_of
from gradscope.diagnose.nonfinite import (
    Origin,
    backward_origin,
    forward_origin,
    hidden_by,
    input_values,
    is_empty_mean,
    nan_source,
    touches_zero,
)
from gradscope.diagnose.rule import Rule
from gradscope.diagnose.run import Run
from gradscope.diagnose.singular import Advice, advice, empty_advice
from gradscope.diagnose.words import name, node_name, number, op_in_line, place, some, variable_name
from gradscope.model.finding import Finding, Where
from gradscope.model.graph import Graph, Node
from gradscope.model.stats import TensorStats
from gradscope.model.trace import Step

Evidence = dict[str, float | int | str]


@dataclass(frozen=True)
class Broken:
    """The first backward whose loss or gradients were not finite.

    Attributes:
        run: The run.
        step: That backward.
        bad: Every backward that was not finite.
        code: Which rule tells it.
        origin: Where it begins, if the graph was kept.
        mask: The node that hid it from the loss, if one did.
    """

    run: Run
    step: Step
    bad: tuple[int, ...]
    code: str = "GS201"
    origin: Origin | None = None
    mask: int | None = None

    @property
    def graph(self) -> Graph:
        """The graph of the step."""
        assert self.step.graph is not None
        return self.step.graph

    @property
    def node(self) -> Node | None:
        """The node where it begins."""
        return None if self.origin is None else self.graph.structure.nodes[self.origin.node]


def find_broken(run: Run) -> Broken | None:
    """The first backward that was not finite; later ones follow from it.

    Steps that a mixed-precision scaler skips are none.
    """
    bad = run.broken_steps
    if not bad or _skipped_by_scaler(run, bad):
        return None
    step = run.step(bad[0])
    if step is None:
        return None
    found = Broken(run, step, tuple(bad))
    return found if step.graph is None else _classified(found, step.graph)


def _classified(found: Broken, graph: Graph) -> Broken:
    origin = forward_origin(graph) or backward_origin(graph)
    if origin is None:
        return found
    mask = None
    if graph.structure.nodes[origin.node].kind in ("parameter", "input"):
        code = "GS201"
    elif origin.forward:
        code = "GS205" if is_empty_mean(graph, origin) else "GS202"
    else:
        mask = hidden_by(graph, origin)
        code = "GS201" if mask is None else "GS203"
    return Broken(found.run, found.step, found.bad, code, origin, mask)


def told(rule: Rule, broken: Broken) -> Finding:
    """The finding about it."""
    if broken.origin is None or broken.node is None:
        return _at_parameters(rule, broken)
    if broken.node.kind in ("parameter", "input"):
        return _at_leaf(rule, broken, broken.origin)
    return _at_op(rule, broken, broken.origin, broken.node)


def _skipped_by_scaler(run: Run, bad: Sequence[int]) -> bool:
    """Whether no update used those gradients and the training went on without them."""
    updated_after = {update.after_step for update in run.trace.updates}
    last = run.trace.steps[-1].index
    return bool(updated_after) and bad[-1] < last and updated_after.isdisjoint(bad)


def _at_op(rule: Rule, broken: Broken, origin: Origin, node: Node) -> Finding:
    graph = broken.graph
    values = input_values(graph, origin.node)
    counsel = _counsel(broken, origin, node, values)
    return rule.finding(
        "error",
        _message(broken, origin) + _since(broken),
        where=Where(
            op=node.op,
            module=node.module,
            variable=node.label,
            source=node.source or broken.step.source,
            nodes=(node.id,) if broken.mask is None else (node.id, broken.mask),
            step=broken.step.index,
        ),
        steps=(broken.bad[0], broken.bad[-1]),
        seen=len(broken.bad),
        of=len(broken.run.trace.steps),
        evidence=_evidence(origin, values) | {"singular": int(counsel.singular)},
        cause=counsel.cause,
        fix=counsel.fix,
        silence=f"Finite numbers, or --ignore {rule.code}. Steps that a mixed-precision scaler "
        "skips are not reported.",
    )


def _counsel(broken: Broken, origin: Origin, node: Node, values: tuple[TensorStats, ...]) -> Advice:
    if broken.code == "GS205":
        return empty_advice(op_base(node.op))
    graph, masked = broken.graph, broken.mask is not None
    source = nan_source(graph, node.id) if masked else None
    if source is not None:
        base = op_base(graph.structure.nodes[source].op)
        return advice(base, origin, input_values(graph, source), masked=True)
    probabilities = "" if masked else _squashed(graph, node.id)
    return advice(op_base(node.op), origin, values, masked=masked, squashed=probabilities)


def _squashed(graph: Graph, node: int) -> str:
    """The op that made what goes into a logarithm as it is or as ``1 - p``; its base."""
    structure = graph.structure
    for below in inputs_of(structure, node)[:1]:
        further = inputs_of(structure, below)
        less = op_base(structure.nodes[below].op) in ("Rsub", "Sub") and len(further) == 1
        return op_base(structure.nodes[further[0] if less else below].op)
    return ""


def _message(broken: Broken, origin: Origin) -> str:
    graph = broken.graph
    node = graph.structure.nodes[origin.node]
    what = f"{_what(origin)}{_inputs(graph, origin)}"
    if broken.code == "GS205":
        return f"{op_in_line(node)} is the mean of nothing: NaN"
    if broken.mask is not None:
        mask = graph.structure.nodes[broken.mask]
        return (
            f"{op_in_line(node)} turned a gradient of 0 into {what}; {op_in_line(mask)} hides "
            "its result from the loss"
        )
    kind = "finite values" if origin.forward else "a finite gradient"
    return f"{op_in_line(node)} turned {kind} into {what}"


def _what(origin: Origin) -> str:
    """``NaN`` or ``Inf`` and in how many elements."""
    stats = origin.after
    amount = (stats.nan_count if origin.is_nan else stats.inf_count) or 0
    where = f" in {amount} of {stats.count} elements" if amount and stats.count > 1 else ""
    return f"{'NaN' if origin.is_nan else 'Inf'}{where}"


def _inputs(graph: Graph, origin: Origin) -> str:
    """``: its input `s` goes from 0 to 3.2``, or where the NaN in it comes from."""
    source = nan_source(graph, origin.node)
    if source is None:
        ranges = _ranges(graph, origin.node)
        return f": {ranges}" if ranges else ""
    made = graph.structure.nodes[source]
    ranges = _ranges(graph, source)
    return f": NaN comes into it from {variable_name(made)}{place(made.source)}" + (
        f" ({ranges})" if ranges else ""
    )


def _ranges(graph: Graph, node: int) -> str:
    """``its input `s` goes from 0 to 3.2``."""
    told_of = []
    for index in graph.structure.outgoing[node]:
        edge = graph.structure.edges[index]
        stats = graph.value(edge.target, edge.output_nr)
        if stats is None or stats.min is None or stats.max is None:
            continue
        target = graph.structure.nodes[edge.target]
        who = f" {name(target.label)}" if target.label else ""
        told_of.append(f"its input{who} {_range(stats)}")
    return ", ".join(told_of[:2])


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


def _since(broken: Broken) -> str:
    total = len(broken.run.trace.steps)
    if total == 1:
        return ""
    return f"; first in step {broken.bad[0]}, {len(broken.bad)} of {total} backwards"


def _at_leaf(rule: Rule, broken: Broken, origin: Origin) -> Finding:
    """The forward pass started from a tensor that held NaN already."""
    step = broken.step
    node = broken.graph.structure.nodes[origin.node]
    update = max(
        (u for u in broken.run.trace.updates if u.after_step < step.index),
        default=None,
        key=lambda u: u.index,
    )
    blame = f"; the update after step {update.after_step} wrote it" if update else ""
    return rule.finding(
        "error",
        f"{node_name(node)} held {_what(origin)} before the forward pass{blame}{_since(broken)}",
        where=Where(
            parameter=node.label,
            source=(update.source if update else None) or step.source,
            nodes=(node.id,),
            step=step.index,
        ),
        steps=(broken.bad[0], broken.bad[-1]),
        seen=len(broken.bad),
        of=len(broken.run.trace.steps),
        evidence=_evidence(origin, ()) | {"singular": 0},
        cause="The update before overflowed: the learning rate is too large, or the weights were "
        "not finite to begin with.",
        fix="torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)  # before optimizer.step(), "
        "and a smaller learning rate",
        silence="Finite weights.",
    )


def _at_parameters(rule: Rule, broken: Broken) -> Finding:
    """The step's graph was not kept: only the parameters that got it are known."""
    step = broken.step
    names = [
        p.name
        for p in broken.run.trace.parameters
        if any(
            s == step.index and n - n != 0
            for s, n in zip(p.gradients.step, p.gradients.norm, strict=True)
        )
    ]
    return rule.finding(
        "error",
        f"gradient of {some(names)} is NaN or Inf{_since(broken)}",
        where=Where(parameter=names[0] if names else "", source=step.source),
        steps=(broken.bad[0], broken.bad[-1]),
        seen=len(broken.bad),
        of=len(broken.run.trace.steps),
        evidence={"parameters": len(names), "singular": 0},
        cause="The graph of that step was not kept, so the op cannot be named.",
        fix=f"record step {step.index} at level ops to see the op",
        silence="A finite gradient.",
    )
