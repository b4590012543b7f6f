"""Networks whose values are copied from a trained one: targets, teachers, earlier policies."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from gradscope.diagnose.around import leaves_of, towards_leaves, towards_loss, users_of
from gradscope.diagnose.optimizers import arrivals
from gradscope.diagnose.run import Run
from gradscope.model.graph import Graph, Node, Source
from gradscope.model.trace import Parameter

OFTEN = 3  # backwards that gave it a gradient
_GRADIENT = re.compile(r"\.grad\b")


@dataclass(frozen=True)
class Copies:
    """Parameters that one line overwrites with values from elsewhere.

    Attributes:
        line: That line.
        parameters: All of them that get gradients.
    """

    line: Source
    parameters: tuple[Parameter, ...]


@dataclass(frozen=True)
class Use:
    """Where a copied network takes part in what is differentiated.

    Attributes:
        step: Index of the backward.
        node: The op to blame.
    """

    step: int
    node: Node


def copies(run: Run) -> Iterator[Copies]:
    """What no optimizer owns, changes by a line that reads no gradient, and has a trained twin.

    An update by hand has ``.grad`` in its line, or no optimizer trains a network of that form.
    """
    lines: dict[Source, list[Parameter]] = {}
    for parameter in run.trace.parameters:
        line = _copying_line(run, parameter)
        if line is not None:
            lines.setdefault(line, []).append(parameter)
    trained = Counter(p.shape for p in _trained(run))
    for line, members in lines.items():
        if Counter(p.shape for p in members) <= trained:
            yield Copies(line, tuple(members))


def _copying_line(run: Run, parameter: Parameter) -> Source | None:
    if parameter.optimizers or not arrivals(parameter):
        return None
    rows = [row for row in parameter.updates.update if row < len(run.trace.updates)]
    changes = [run.trace.updates[row] for row in rows]
    if not changes or any(update.by != "hand" for update in changes):
        return None
    sources = [update.source for update in changes]
    return sources[-1] if all(map(_reads_no_gradient, sources)) else None


def _reads_no_gradient(source: Source | None) -> bool:
    return source is not None and bool(source.text) and not _GRADIENT.search(source.text)


def _trained(run: Run) -> list[Parameter]:
    return [p for p in run.trace.parameters if p.optimizers and len(p.updates)]


def use_for_nothing(run: Run, copied: Copies) -> Use | None:
    """Where the copies are used, again and again, though nothing trained lies behind them.

    An actor that learns through a target critic needs the gradient that runs through it. What is
    alone in its graph is trained by hand itself: a copy that a meta-learner adapts.
    """
    if max(len(arrivals(parameter)) for parameter in copied.parameters) < OFTEN:
        return None
    members = {p.index for p in copied.parameters}
    trained = {p.index for p in _trained(run)}
    for step, graph in reversed(run.trace.graphs):
        users = _users(graph, members)
        if users and graph.backward_ran:
            behind = towards_leaves(graph.structure, users) | users
            reached = {graph.structure.nodes[node].parameter for node in behind}
            if reached & trained or not trained & set(leaves_of(graph)):
                return None
            return Use(step.index, _blamed(graph, users, _users(graph, trained)))
    return None


def _users(graph: Graph, parameters: set[int]) -> set[int]:
    leaves = leaves_of(graph)
    found = [leaves[index].id for index in sorted(parameters & set(leaves))]
    return {user for leaf in found for user in users_of(graph.structure, leaf)}


def _blamed(graph: Graph, users: set[int], others: set[int]) -> Node:
    """The last op of the network; one behind it where the trained one shares its code."""
    nodes = graph.structure.nodes
    shared = {nodes[node].source for node in others}
    last = max(users, key=lambda node: nodes[node].order)
    behind = sorted(towards_loss(graph.structure, [last]), key=lambda node: nodes[node].order)
    own = [node for node in (last, *behind) if nodes[node].source and not _in(nodes[node], shared)]
    return nodes[own[0]] if own else nodes[last]


def _in(node: Node, sources: set[Source | None]) -> bool:
    here = node.source
    return here is not None and any(
        source is not None and (source.file, source.line) == (here.file, here.line)
        for source in sources
    )
