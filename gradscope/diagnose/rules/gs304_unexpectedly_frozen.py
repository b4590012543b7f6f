"""A layer is frozen though layers before and behind it train, or a norm layer never sees training.

What: A layer's parameters do not require a gradient, those of layers on both sides of it are
updated, and it is one of few: most of the model trains. Or the last layer before the loss is frozen
while what lies before it trains, an optimizer that steps was given it, and it still is as random as
when it was made. Or a batch normalisation whose weights are updated ran in eval mode in every
backward. A frozen front (a backbone, an embedding), another frozen end (a judge of the result), a
frozen rest around adapters and frozen normalisations are none of this.

Why it hurts: A frozen hole keeps its random weights, and what is trained has to learn around it. A
normalisation in eval mode divides by statistics that training never updates. Both may be meant,
hence only for information.

Example::

    for p in model.blocks[3].parameters():
        p.requires_grad = False             # left over from an experiment

Instead::

    model.requires_grad_(True)
    model.train()
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gradscope.analysis.paths import op_base
from gradscope.diagnose.around import leaves_of, ops_using, towards_leaves, towards_loss, users_of
from gradscope.diagnose.fresh import is_fresh
from gradscope.diagnose.rule import Rule
from gradscope.diagnose.run import Run
from gradscope.diagnose.words import count, name, place, some
from gradscope.model.finding import Finding, Where
from gradscope.model.graph import Graph, Node, Structure
from gradscope.model.trace import Parameter, Step

RULE = Rule("GS304", "unexpectedly-frozen", "A frozen layer, or one in eval mode, amid training.")

BACKWARDS = 3  # RULES: a statistical rule speaks after so many
FEW = 0.34  # of the weights and of the layers: beyond that, freezing is the plan


def check(run: Run) -> Iterator[Finding]:
    """One finding for holes, one for normalisations in eval mode."""
    graphs = [(s, g) for s, g in run.trace.graphs if g.backward_ran and s.kind == "backward"]
    if len(graphs) < BACKWARDS or not run.trace.updates:
        return
    holes = _holes(run, *graphs[-1])
    if holes:
        yield _hole(graphs, holes)
    for parameter, node in _heads(run, graphs[-1][1])[:1]:
        yield _head(graphs, parameter, node)
    still = _in_eval_mode(run, graphs)
    if still:
        yield _eval(graphs, still)


def _holes(run: Run, step: Step, graph: Graph) -> list[tuple[Parameter, Node]]:
    """Frozen matrices, each with the op of its module, between ops that are trained."""
    frozen = [p for p in run.trace.parameters if _is_frozen(p)]
    trained = [p for p in run.trace.parameters if len(p.updates) and len(p.shape) > 1]
    if not frozen or not _are_few(frozen, trained):
        return []
    structure = graph.structure
    ops, users = _ops(structure), ops_using(graph, trained)
    return [
        (p, ops[p.module])
        for p in frozen
        if p.module in ops
        and towards_loss(structure, [ops[p.module].id]) & users
        and towards_leaves(structure, [ops[p.module].id]) & users
    ]


def _ops(structure: Structure) -> dict[str, Node]:
    """The op that each module's result comes from."""
    return {node.module: node for node in reversed(structure.nodes) if node.kind == "op"}


def _heads(run: Run, graph: Graph) -> list[tuple[Parameter, Node]]:
    """The last layer before the loss where it is frozen, random, and handed to an optimizer."""
    stepping = {update.optimizer for update in run.trace.updates}
    frozen = [p for p in run.trace.parameters if _is_frozen(p)]
    given = [p for p in frozen if stepping.intersection(p.optimizers) and is_fresh(p)]
    structure = graph.structure
    ops = _ops(structure)
    users = ops_using(graph, [p for p in run.trace.parameters if len(p.updates)])
    layers = users | {ops[p.module].id for p in frozen if p.module in ops}
    found = [(p, ops[p.module]) for p in given if p.module in ops]
    return [
        (p, node)
        for p, node in found
        if not towards_loss(structure, [node.id]) & layers
        and towards_leaves(structure, [node.id]) & users
    ]


def _is_frozen(parameter: Parameter) -> bool:
    return (
        parameter.kind == "parameter"
        and not parameter.requires_grad
        and len(parameter.shape) > 1
        and bool(parameter.module)
        and not len(parameter.updates)
        and not any(parameter.gradients.arrived)
    )


def _are_few(frozen: Sequence[Parameter], trained: Sequence[Parameter]) -> bool:
    elements = sum(p.count for p in frozen), sum(p.count for p in trained)
    layers = len({p.module for p in frozen}), len({p.module or p.name for p in trained})
    return elements[0] < FEW * elements[1] and layers[0] < FEW * (layers[0] + layers[1])


def _in_eval_mode(run: Run, graphs: Sequence[tuple[Step, Graph]]) -> dict[str, Node]:
    """Normalisations that are trained and never ran in training mode, by their module."""
    updated = {p.index for p in run.trace.parameters if len(p.updates)}
    found: dict[str, Node] = {}
    trained: set[str] = set()
    for _, graph in graphs:
        if all(traits.training is None for traits in graph.traits.values()):
            continue
        mine = {
            user
            for index, leaf in leaves_of(graph).items()
            if index in updated
            for user in users_of(graph.structure, leaf.id)
        }
        for node, traits in graph.traits.items():
            if traits.training is None or "BatchNorm" not in graph.structure.nodes[node].op:
                continue
            module = graph.structure.nodes[node].module
            if traits.training:
                trained.add(module)
            elif node in mine:
                found.setdefault(module, graph.structure.nodes[node])
    return {module: node for module, node in found.items() if module not in trained}


def _hole(graphs: Sequence[tuple[Step, Graph]], holes: Sequence[tuple[Parameter, Node]]) -> Finding:
    names = [parameter.name for parameter, _ in holes]
    node = holes[0][1]
    return RULE.finding(
        "info",
        f"{some(names)} {'is' if len(names) == 1 else 'are'} frozen, though layers before and "
        f"behind {name(node.module or op_base(node.op))}{place(node.source)} are updated",
        where=Where(
            parameter=names[0],
            op=node.op,
            module=node.module,
            source=node.source,
            nodes=tuple(n.id for _, n in holes),
            step=graphs[-1][0].index,
        ),
        steps=(graphs[0][0].index, graphs[-1][0].index),
        seen=len(graphs),
        of=len(graphs),
        evidence={"parameters": len(holes), "elements": sum(p.count for p, _ in holes)},
        cause="requires_grad was switched off for this layer, or it was made of tensors that never "
        "had it.",
        fix=f"{node.module or 'layer'}.requires_grad_(True)  # before the optimizer is made",
        silence="--ignore GS304 where the layer is fixed on purpose.",
    )


def _head(graphs: Sequence[tuple[Step, Graph]], parameter: Parameter, node: Node) -> Finding:
    return RULE.finding(
        "info",
        f"{name(parameter.name)} is frozen and as random as when it was made, though "
        f"{some([*parameter.optimizers])} holds it and {name(node.module)}{place(node.source)} is "
        "the last layer before the loss, behind layers that are updated",
        where=Where(
            parameter=parameter.name,
            op=node.op,
            module=node.module,
            source=node.source,
            nodes=(node.id,),
            step=graphs[-1][0].index,
        ),
        steps=(graphs[0][0].index, graphs[-1][0].index),
        seen=len(graphs),
        of=len(graphs),
        evidence={"parameters": 1, "elements": parameter.count},
        cause="requires_grad was switched off for more than the part that was trained before.",
        fix=f"{node.module}.requires_grad_(True)  # before the optimizer is made",
        silence="Not handing over to the optimizer what stays frozen.",
    )


def _eval(graphs: Sequence[tuple[Step, Graph]], still: dict[str, Node]) -> Finding:
    names, node = list(still), next(iter(still.values()))
    return RULE.finding(
        "info",
        f"{some([n or node.op for n in names])}{place(node.source)} ran in eval mode in all "
        f"{count(len(graphs), 'backward')}, though {'its' if len(names) == 1 else 'their'} weights "
        "are trained",
        where=Where(op=node.op, module=node.module, source=node.source),
        steps=(graphs[0][0].index, graphs[-1][0].index),
        seen=len(graphs),
        of=len(graphs),
        evidence={"normalisations": len(names)},
        cause="model.eval() was called before the loop, or after an evaluation without a way back. "
        "Dropout is off as well then.",
        fix="model.train()  # before every epoch",
        silence="requires_grad_(False) for normalisations that are frozen on purpose.",
    )
