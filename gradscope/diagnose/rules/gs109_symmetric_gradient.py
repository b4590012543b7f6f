"""All units of a layer are the same, and stay so.

What: All rows of a weight's gradient are identical and not 0, in at least half of the graphs where
they were compared (three at least) and in the last of them, and the weight started out constant.
Units with equal weights get equal gradients, so that they remain equal. A last layer whose outputs
are only averaged, and a weight that starts random, are none of this.

Why it hurts: However wide, the layer can do no more than a single unit could.

Example::

    nn.init.constant_(layer.weight, 0.1)

Instead::

    nn.init.kaiming_uniform_(layer.weight)
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from gradscope.analysis.paths import direct_leaves, op_base
from gradscope.diagnose.around import leaves_of, towards_leaves, towards_loss, users_of
from gradscope.diagnose.rule import CannotJudgeError, Rule
from gradscope.diagnose.run import Run, Story
from gradscope.diagnose.sites import trained_in
from gradscope.diagnose.words import count, name, some
from gradscope.model.finding import Finding, Where
from gradscope.model.graph import Graph, Node
from gradscope.model.trace import Parameter, Step

RULE = Rule("GS109", "symmetric-gradient", "All rows of a weight's gradient are identical.")

GRAPHS = 3  # RULES: a statistical rule speaks after so many
HABIT = 0.5  # RULES: and in at least this share of those seen
_LAYERS = frozenset({"Addmm", "Mm", "Bmm", "Convolution", "Linear"})
_OF_OUTPUTS = frozenset({"T", "Transpose", "Permute", "Convolution", "Linear"})

Seen = tuple[Step, Graph, Node]


def check(run: Run) -> Iterator[Finding]:
    """One finding per kind of backward."""
    if run.trace.steps and not run.trace.graphs:
        raise CannotJudgeError("no graph was recorded, only parameters: record at level ops")
    for story in run.stories:
        trained = trained_in(run, story)
        found = [
            (parameter, seen)
            for parameter in run.trace.parameters
            if parameter.index in trained and (seen := _symmetric(story, parameter))
        ]
        if found:
            yield _finding(found, len(story.judged))


def _symmetric(story: Story, parameter: Parameter) -> list[Seen]:
    """Where its gradient was the same in every row; empty unless that is a habit."""
    if len(parameter.shape) < 2 or parameter.shape[0] < 2:
        return []
    reached = [
        (step, graph, leaf)
        for step, graph in story.judged
        if (leaf := leaves_of(graph).get(parameter.index)) is not None
    ]
    told = [entry for entry in reached if _tells(*entry[1:])]
    seen = [entry for entry in told if _is_symmetric(*entry[1:])]
    if len(seen) < max(GRAPHS, HABIT * len(told)) or seen[-1] is not told[-1]:
        return []
    return seen if _constant(reached[0]) and _has_hidden_units(*seen[-1][1:]) else []


def _tells(graph: Graph, leaf: Node) -> bool:
    """Whether the rows were compared: not in every graph, and zeros say nothing."""
    traits, gradient = graph.traits.get(leaf.id), graph.gradient(leaf.id)
    compared = traits is not None and traits.equal_rows is not None
    return bool(compared and gradient and gradient.l2_norm)


def _is_symmetric(graph: Graph, leaf: Node) -> bool:
    return bool(graph.traits[leaf.id].equal_rows)


def _constant(first: Seen) -> bool:
    """Whether the weight was the same number everywhere when it was first seen."""
    value = first[1].value(first[2].id)
    return value is not None and value.min is not None and value.min == value.max


def _has_hidden_units(graph: Graph, leaf: Node) -> bool:
    """Whether the rows are units between two layers.

    They are the outputs of a weight that is transposed, as in ``nn.Linear``, or convolved, and the
    inputs of one that is multiplied as it is.
    """
    structure = graph.structure
    uses = [u for u in users_of(structure, leaf.id) if op_base(structure.nodes[u].op) in _LAYERS]
    turned = {
        op_base(structure.nodes[structure.edges[edge].source].op)
        for edge in structure.incoming[leaf.id]
    }
    outputs = bool(turned & _OF_OUTPUTS)
    beyond = towards_loss(structure, uses) if outputs else towards_leaves(structure, uses)
    return any(
        op_base(structure.nodes[node].op) in _LAYERS
        and any(
            structure.nodes[i].kind == "parameter" and i != leaf.id
            for i in direct_leaves(structure, node)
        )
        for node in beyond
    )


def _finding(found: Sequence[tuple[Parameter, list[Seen]]], judged: int) -> Finding:
    parameter, seen = found[0]
    step, graph, leaf = seen[-1]
    names = [p.name for p, _ in found]
    rows = parameter.shape[0]
    users = [graph.structure.nodes[u] for u in users_of(graph.structure, leaf.id)]
    user = min(users, key=lambda node: node.order, default=leaf)
    verb = "is" if len(names) == 1 else "are"
    return RULE.finding(
        "warning",
        f"the gradient of {some(names)} {verb} the same in every row: the {count(rows, 'unit')} of "
        f"{name(parameter.name)} do the same and stay the same",
        where=Where(
            parameter=parameter.name,
            op=user.op,
            module=user.module or parameter.module,
            source=user.source or step.source,
            nodes=(leaf.id,),
            step=step.index,
        ),
        steps=(seen[0][0].index, step.index),
        seen=len(seen),
        of=judged,
        evidence={
            "rows": rows,
            "parameters": len(names),
            "elements": math.prod(parameter.shape),
        },
        cause="The weight was set to one number everywhere, and nothing tells its units apart.",
        fix="nn.init.kaiming_uniform_(layer.weight)  # random: units must start out different",
        silence="Different initial weights, or --ignore GS109.",
    )
