"""The gradients of several micro-batches are added up, and their losses are means.

What: Update after update a parameter's gradient is the sum of several backwards of one line, none
of them divided by their number: the losses are means over their batch and go into backward as they
are. A sum over the batch is none of this, nor are two losses at two lines.

Why it hurts: The gradient is as many times larger as there are micro-batches: the learning rate
means something else than with one large batch, and a threshold for clipping too. Hence only for
information: a learning rate found for it is right for it.

Example::

    for x, y in batch.chunk(4):
        criterion(model(x), y).backward()
    optimizer.step()

Instead::

        (criterion(model(x), y) / 4).backward()
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

from gradscope.analysis.paths import op_base
from gradscope.diagnose.rule import CannotJudgeError, Rule
from gradscope.diagnose.run import Run, Story
from gradscope.diagnose.words import code, count, name, place
from gradscope.model.finding import Finding, Where
from gradscope.model.graph import Graph
from gradscope.model.trace import Parameter

RULE = Rule(
    "GS408", "unscaled-accumulation", "Micro-batches are summed without dividing by their number."
)

UPDATES = 3  # RULES: a statistical rule speaks after so many
SHARE = 0.5  # RULES: and in at least this share of those seen
_MEANS = frozenset(
    {"Mean", "MseLoss", "NllLoss", "NllLoss2D", "BinaryCrossEntropy", "L1Loss", "KlDiv"}
    | {"BinaryCrossEntropyWithLogits", "SmoothL1Loss", "HuberLoss", "SoftMarginLoss"}
)


def check(run: Run) -> Iterator[Finding]:
    """One finding per line whose backwards are summed."""
    if run.trace.steps and not run.trace.graphs:
        raise CannotJudgeError("no graph was recorded, only parameters: record at level ops")
    for story in run.stories:
        graphs = [graph for _, graph in story.judged]
        if story.steps[0].kind != "backward" or not graphs:
            continue
        summed = _summed(run, story) if all(map(_is_plain_mean, graphs)) else []
        if summed:
            yield _finding(run, story, summed)


def _summed(run: Run, story: Story) -> list[int]:
    """How many backwards of this story each update of a parameter consumed, where several did."""
    mine = {step.index for step in story.steps}
    best: list[int] = []
    for parameter in run.trace.parameters:
        arrived = _arrivals(parameter)
        if not arrived or not mine.issuperset(arrived):
            continue  # other losses reach it too
        counts = [
            fresh
            for fresh, carried in zip(
                parameter.updates.fresh, parameter.updates.carried, strict=True
            )
            if fresh and not carried
        ]
        several = [fresh for fresh in counts if fresh > 1]
        if len(several) >= max(UPDATES, SHARE * len(parameter.updates)):
            best = max(best, several, key=len)
    return best


def _arrivals(parameter: Parameter) -> list[int]:
    history = parameter.gradients
    return [s for s, arrived in zip(history.step, history.arrived, strict=True) if arrived]


def _is_plain_mean(graph: Graph) -> bool:
    """Whether the root is a mean over the batch that nothing scales."""
    structure = graph.structure
    if len(structure.roots) != 1:
        return False
    root = structure.roots[0]
    traits = graph.traits.get(root)
    if traits is not None and traits.reduction not in (None, "mean"):
        return False
    given = graph.gradient(root)
    whole = given is None or given.value is None or given.value == 1.0
    return whole and op_base(structure.nodes[root].op) in _MEANS


def _finding(run: Run, story: Story, summed: Sequence[int]) -> Finding:
    usual = int(median(summed))
    source = story.source
    what = name(code(source)) if source and source.text else "backward"
    return RULE.finding(
        "info",
        f"{what}{place(source)} adds up the gradients of {count(usual, 'backward')} per update, "
        "each of a mean over its batch, without dividing by their number",
        where=Where(
            variable=story.steps[-1].roots[0] if story.steps[-1].roots else "", source=source
        ),
        steps=(story.steps[0].index, story.steps[-1].index),
        seen=len(summed),
        of=len(run.trace.updates),
        evidence={"backwards_per_update": usual, "updates": len(summed)},
        cause="backward() adds to .grad, so that the sum is as many times larger as there are "
        "micro-batches.",
        fix=f"(loss / {usual}).backward()",
        silence="A loss divided by the number of micro-batches, or --ignore GS408.",
    )
