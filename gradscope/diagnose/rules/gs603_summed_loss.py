"""The loss is a sum over the batch, so that its gradient grows with the batch size.

What: In at least half of the backwards judged, the loss is the sum reduction of a loss function, or
a sum written by hand over elementwise ops, with no division after it, and an update follows. A sum
weighted with what was normalised over the rows, such as a transport plan, is a mean already.

Why it hurts: Nothing, as long as the batch size stays. With another batch size, or a smaller last
batch, the same learning rate means another step; clipping and weight decay change their weight too.

Example::

    loss = nn.functional.mse_loss(net(x), y, reduction="sum")

Instead::

    loss = nn.functional.mse_loss(net(x), y)     # and a learning rate for the mean
"""

from __future__ import annotations

from collections.abc import Iterator

from gradscope.analysis.paths import op_base
from gradscope.diagnose.around import behind_moves
from gradscope.diagnose.normalised import has_normalised_factor
from gradscope.diagnose.rule import CannotJudgeError, Rule
from gradscope.diagnose.run import Run, Story
from gradscope.diagnose.words import count, op_in_line
from gradscope.model.finding import Finding, Where
from gradscope.model.graph import Graph, Node
from gradscope.model.trace import Step

RULE = Rule("GS603", "summed-loss", "A loss summed over the batch: its gradient grows with it.")

BACKWARDS = 3
HABIT = 0.5  # of the graphs judged
PER_ELEMENT = frozenset({"Pow", "Abs", "Neg", "Log", "LogSigmoid", "Softplus", "Mul"})


def check(run: Run) -> Iterator[Finding]:
    """One finding per kind of backward."""
    if run.trace.steps and not run.trace.graphs:
        raise CannotJudgeError("no graph was recorded, only parameters: record at level ops")
    updated = {update.after_step for update in run.trace.updates}
    for story in run.stories:
        if sum(step.index in updated for step in story.steps) >= BACKWARDS:
            yield from _in_story(story)


def _in_story(story: Story) -> Iterator[Finding]:
    judged = story.judged
    seen = [(step, node, terms) for step, graph in judged for node, terms in _summed(graph)]
    if len(seen) >= BACKWARDS and len(seen) >= HABIT * len(judged):
        yield _finding(seen[0][0], *seen[-1], (len(seen), len(judged)))


def _summed(graph: Graph) -> list[tuple[Node, int]]:
    """The node that sums up the whole loss, and over how many elements."""
    structure = graph.structure
    if len(structure.roots) != 1:
        return []
    node = structure.nodes[behind_moves(structure, structure.roots[0])]
    edges = structure.outgoing[node.id]
    if not edges:
        return []
    below = structure.nodes[structure.edges[edges[0]].target]
    terms = (below.shape or (1,))[0]
    traits = graph.traits.get(node.id)
    by_reduction = traits is not None and traits.reduction == "sum"
    by_hand = op_base(node.op) == "Sum" and op_base(below.op) in PER_ELEMENT
    if terms <= 1 or not (by_reduction or by_hand):
        return []
    return [] if by_hand and has_normalised_factor(graph, below.id) else [(node, terms)]


def _finding(first: Step, step: Step, node: Node, terms: int, seen: tuple[int, int]) -> Finding:
    return RULE.finding(
        "info",
        f"the loss is a sum over {count(terms, 'row')}, so that its gradient grows with the batch: "
        f"{op_in_line(node)}",
        where=Where(
            op=node.op,
            module=node.module,
            variable=node.label,
            source=node.source or step.source,
            nodes=(node.id,),
            step=step.index,
        ),
        steps=(first.index, step.index),
        seen=seen[0],
        of=seen[1],
        evidence={"rows": terms},
        cause="A sum, not a mean, over the batch.",
        fix="loss = loss / len(x)  # or reduction='mean', with a learning rate that fits",
        silence="A mean, or --ignore GS603.",
    )
