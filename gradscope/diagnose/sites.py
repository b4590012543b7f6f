"""Activations by the layer that feeds them: one site, however often and on however many lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gradscope.analysis.paths import direct_leaves, op_base
from gradscope.diagnose.around import users_of
from gradscope.diagnose.run import Run, Story
from gradscope.model.graph import Graph, Node, Structure, Traits
from gradscope.model.trace import Step

_REACH = 12  # nodes looked at between a layer and its activation
_ACTIVATIONS = frozenset({"Relu", "Threshold", "Tanh", "Sigmoid", "Gelu", "Silu", "Elu", "Softmax"})

Key = tuple[object, ...]


@dataclass(frozen=True)
class Reading:
    """What an activation was asked in one graph.

    Attributes:
        step: The backward.
        graph: Its graph.
        node: The activation.
        layer: Indices of the parameters of the layer that feeds it.
        traits: The answers.
    """

    step: Step
    graph: Graph
    node: Node
    layer: frozenset[int]
    traits: Traits


def readings_by_site(story: Story, field: str) -> dict[Key, list[Reading]]:
    """The readings of every site with that trait, over the graphs that were kept.

    A layer that is used several times, as in a recurrence, makes one site. Without a layer the
    line and the place among the activations of that line decide.
    """
    sites: dict[Key, list[Reading]] = {}
    for step, graph in story.judged:
        ranks: dict[object, int] = {}
        for node, traits in _with_trait(graph, field):
            layer = layer_of(graph.structure, node.id)
            rank = ranks[node.source] = ranks.get(node.source, 0) + 1
            key: Key = ("layer", layer) if layer else ("line", node.source, rank)
            reading = Reading(step, graph, node, layer, traits)
            sites.setdefault((*key, op_base(node.op)), []).append(reading)
    return sites


def _with_trait(graph: Graph, field: str) -> Iterator[tuple[Node, Traits]]:
    nodes = graph.structure.nodes
    asked = [(nodes[i], t) for i, t in graph.traits.items() if getattr(t, field) is not None]
    yield from sorted(asked, key=lambda pair: pair[0].order)


def layer_of(structure: Structure, node: int) -> frozenset[int]:
    """Parameters of the nearest layer with a weight below an activation; empty if there is none."""
    seen = {node}
    queue = [node]
    while queue and len(seen) < _REACH:
        here = queue.pop(0)
        leaves = [structure.nodes[leaf] for leaf in direct_leaves(structure, here)]
        if any(leaf.kind == "parameter" and len(leaf.shape or ()) >= 2 for leaf in leaves):
            return frozenset(leaf.parameter for leaf in leaves if leaf.parameter is not None)
        for edge in structure.outgoing[here]:
            target = structure.edges[edge].target
            stops = op_base(structure.nodes[target].op) in _ACTIVATIONS
            if target not in seen and not stops:
                seen.add(target)
                queue.append(target)
    return frozenset()


def is_gate(structure: Structure, node: int) -> bool:
    """Whether the result is only multiplied with another one: a gate, which may well be shut."""
    users = users_of(structure, node)
    return bool(users) and all(
        op_base(structure.nodes[user].op) == "Mul" and len(structure.outgoing[user]) > 1
        for user in users
    )


def trained_in(run: Run, story: Story) -> frozenset[int]:
    """Parameters that are updated right after backwards of the story."""
    steps = {step.index for step in story.steps}
    here = {update.index for update in run.trace.updates if update.after_step in steps}
    return frozenset(p.index for p in run.trace.parameters if here.intersection(p.updates.update))


def steps_of(readings: Sequence[Reading]) -> list[int]:
    """Indices of the backwards, ascending."""
    return sorted({reading.step.index for reading in readings})
