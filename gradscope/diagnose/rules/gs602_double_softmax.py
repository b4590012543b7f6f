"""A softmax or sigmoid feeds a loss that applies its own.

What: The result of a softmax goes, without anything but reshaping in between, into a
log-softmax (which cross-entropy begins with), or the result of a sigmoid into a binary
cross-entropy that expects logits. A softmax elsewhere, as in attention, is none of this.

Why it hurts: The loss expects numbers of any size and gets numbers between 0 and 1. Even a perfect
answer looks uncertain, the loss cannot fall below a large rest, and the gradient is several times
too small.

Example::

    probabilities = torch.softmax(net(x), dim=1)
    loss = nn.functional.cross_entropy(probabilities, y)     # takes logits

Instead::

    loss = nn.functional.cross_entropy(net(x), y)
"""

from __future__ import annotations

from collections.abc import Iterator

from gradscope.analysis.paths import op_base
from gradscope.diagnose.around import inputs_of
from gradscope.diagnose.rule import CannotJudgeError, Rule
from gradscope.diagnose.run import Run, Story
from gradscope.diagnose.words import name, op_in_line, place
from gradscope.model.finding import Finding, Where
from gradscope.model.graph import Graph, Node
from gradscope.model.trace import Step

RULE = Rule("GS602", "double-softmax", "A softmax or sigmoid before a loss that applies its own.")

APPLIED_AGAIN = {
    "LogSoftmax": ("Softmax", "softmax", "nn.functional.cross_entropy(logits, y)"),
    "BinaryCrossEntropyWithLogits": (
        "Sigmoid",
        "sigmoid",
        "nn.functional.binary_cross_entropy_with_logits(logits, y)",
    ),
}
"""The second op: the first op, what is applied twice, and how the loss is called rightly."""


def check(run: Run) -> Iterator[Finding]:
    """One finding per kind of backward."""
    if run.trace.steps and not run.trace.graphs:
        raise CannotJudgeError("no graph was recorded, only parameters: record at level ops")
    for story in run.stories:
        finding = _in_story(story)
        if finding is not None:
            yield finding


def _in_story(story: Story) -> Finding | None:
    judged = story.judged
    found = [(step, pair) for step, graph in judged for pair in _pairs(graph)[:1]]
    # One graph of many may be an experiment; a habit is not.
    if not found or len(found) * 2 < len(judged):
        return None
    (first, _), (step, pair) = found[0], found[-1]
    return _finding(first, step, pair, (len(found), len(judged)))


def _pairs(graph: Graph) -> list[tuple[Node, Node]]:
    """Softmax and the op that applies it again, last in the forward pass first."""
    nodes = graph.structure.nodes
    found = [
        (nodes[producer], node)
        for node in nodes
        if (rule := APPLIED_AGAIN.get(op_base(node.op))) is not None
        for producer in inputs_of(graph.structure, node.id)[:1]
        if op_base(nodes[producer].op) == rule[0]
    ]
    return sorted(found, key=lambda pair: -pair[1].order)


def _finding(first: Step, step: Step, pair: tuple[Node, Node], seen: tuple[int, int]) -> Finding:
    inner, outer = pair
    _, what, call = APPLIED_AGAIN[op_base(outer.op)]
    loss = outer.source
    return RULE.finding(
        "warning",
        f"{what} is applied twice: {op_in_line(inner)}, and again inside "
        f"{name(outer.call or outer.op)}{place(loss)}, which expects logits",
        where=Where(
            op=inner.op,
            module=inner.module,
            variable=inner.label,
            source=inner.source or loss or step.source,
            nodes=(inner.id, outer.id),
            step=step.index,
        ),
        steps=(first.index, step.index),
        seen=seen[0],
        of=seen[1],
        evidence={"loss_op": outer.op, "loss_line": loss.location if loss else ""},
        cause=f"The loss applies its own {what}, as it is exact and stable only in one piece.",
        fix=f"{call}  # without the {what} before it",
        silence=f"Only one {what}, or --ignore GS602.",
    )
