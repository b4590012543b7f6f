"""A bias is added in front of a batch normalisation, which subtracts it again.

What: The result of a layer with a bias goes straight into a batch normalisation that uses the
statistics of the batch, and the bias' gradient is, as the mathematics says, nothing but rounding
noise: less than a thousandth of what arrives at the layer.

Why it hurts: It does not, it only costs memory and time, and its tiny gradient looks like an
illness. Hence only for information.

Example::

    nn.Sequential(nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16))

Instead::

    nn.Sequential(nn.Conv2d(3, 16, 3, bias=False), nn.BatchNorm2d(16))
"""

from __future__ import annotations

from collections.abc import Iterator

from gradscope.analysis.flags import leaf_name
from gradscope.analysis.paths import direct_leaves, op_base, received_norm
from gradscope.diagnose.around import inputs_of, users_of
from gradscope.diagnose.rule import CannotJudgeError, Rule
from gradscope.diagnose.run import Run
from gradscope.diagnose.words import count, place, some
from gradscope.model.finding import Finding, Where
from gradscope.model.graph import Graph, Node
from gradscope.model.trace import Step

RULE = Rule("GS606", "cancelled-bias", "A bias in front of a batch normalisation.")

NORMALISATIONS = frozenset({"NativeBatchNorm", "CudnnBatchNorm", "MiopenBatchNorm"})
LAYERS = frozenset({"Addmm", "Convolution", "Linear", "Add"})
NOISE = 1e-3  # of the norm that arrives at the layer; rounding leaves about 1e-7


def check(run: Run) -> Iterator[Finding]:
    """One finding for all such biases."""
    if run.trace.steps and not run.trace.graphs:
        raise CannotJudgeError("no graph was recorded, only parameters: record at level ops")
    found: dict[str, tuple[Step, Node, Node]] = {}
    loud: set[str] = set()
    for step, graph in run.trace.graphs:
        for layer, bias, cancelled in _biases(graph) if graph.backward_ran else ():
            told = leaf_name(bias, run.trace.parameters)
            if cancelled:
                found.setdefault(told, (step, layer, bias))
            else:
                loud.add(told)
    quiet = {told: where for told, where in found.items() if told not in loud}
    if quiet:
        yield _finding(quiet)


def _biases(graph: Graph) -> Iterator[tuple[Node, Node, bool]]:
    """Layer, bias, and whether its gradient is only noise, for layers before a normalisation.

    A layer may run several times: what counts is the largest gradient that arrives at it.
    """
    before = _before_normalisations(graph)
    found: dict[int, list[int]] = {}
    for layer in sorted(before):
        bias = _bias(graph, layer, before)
        if bias is not None:
            found.setdefault(bias, []).append(layer)
    nodes = graph.structure.nodes
    for bias, layers in found.items():
        norms = [norm for i in layers if (norm := received_norm(graph, i)) is not None]
        arriving, got = max(norms, default=0.0), received_norm(graph, bias)
        if arriving and got is not None:
            yield nodes[layers[0]], nodes[bias], got < NOISE * arriving


def _before_normalisations(graph: Graph) -> frozenset[int]:
    structure = graph.structure
    producers = (
        producer
        for node in structure.nodes
        if op_base(node.op) in NORMALISATIONS
        for producer in inputs_of(structure, node.id)[:1]
    )
    return frozenset(i for i in producers if op_base(structure.nodes[i].op) in LAYERS)


def _bias(graph: Graph, layer: int, before: frozenset[int]) -> int | None:
    """The only bias of the layer that is used in front of normalisations alone."""
    nodes = graph.structure.nodes
    leaves = [nodes[i] for i in direct_leaves(graph.structure, layer)]
    flat = [leaf for leaf in leaves if leaf.kind == "parameter" and len(leaf.shape or (0, 0)) == 1]
    # Used elsewhere as well, it is not without effect.
    alone = [leaf.id for leaf in flat if before.issuperset(users_of(graph.structure, leaf.id))]
    return alone[0] if len(alone) == 1 else None


def _finding(found: dict[str, tuple[Step, Node, Node]]) -> Finding:
    names = list(found)
    step, layer, _ = found[names[0]]
    return RULE.finding(
        "info",
        f"{some(names)}: {count(len(names), 'bias', 'biases')} without effect, since the batch "
        f"normalisation behind subtracts it again{place(layer.source)}",
        where=Where(
            parameter=names[0],
            op=layer.op,
            module=layer.module,
            source=layer.source,
            nodes=(layer.id,),
            step=step.index,
        ),
        steps=(step.index, max(s.index for s, _, _ in found.values())),
        seen=len(names),
        of=len(names),
        evidence={"biases": len(names)},
        cause="A batch normalisation subtracts the mean of every channel, and a bias is a part of "
        "it.",
        fix="nn.Conv2d(c_in, c_out, 3, bias=False)  # or nn.Linear(n_in, n_out, bias=False)",
        silence="bias=False, or --ignore GS606.",
    )
