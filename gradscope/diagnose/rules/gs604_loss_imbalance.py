"""One term of the loss has a gradient more than a hundred times that of another.

What: The loss is a sum of terms that lead to the same weights. Where they meet, the gradient of
one of them is more than 100 times as large as that of another, in most backwards and in the last.
Terms made of weights alone (weight decay by hand) and terms whose gradient is 0 (a margin that is
reached, a weight that is still 0) are left out, and a term with a factor of its own, in the loss or
in a backward of its author's (gradient reversal), is what its author made it.

Why it hurts: The small term has next to no say in where the shared weights go. That may be meant,
hence only for information.

Example::

    loss = reconstruction.pow(2).sum() + classification     # 3 * 64 * 64 squares against one mean

Instead::

    loss = reconstruction.pow(2).mean() + 0.1 * classification
"""

from __future__ import annotations

from collections.abc import Iterator

from gradscope.diagnose.rule import CannotJudgeError, Rule
from gradscope.diagnose.run import Run, Story
from gradscope.diagnose.terms import Term, has_terms, terms
from gradscope.diagnose.words import name, number, place, variable_name
from gradscope.model.finding import Finding, Where
from gradscope.model.graph import Graph

RULE = Rule("GS604", "loss-imbalance", "One term of the loss outweighs another 100-fold.")

RATIO = 100.0  # RULES
BACKWARDS = 3  # RULES: a statistical rule speaks after so many
SHARE = 0.5  # RULES: and in at least this share of those seen


def check(run: Run) -> Iterator[Finding]:
    """One finding per kind of backward."""
    if run.trace.steps and not run.trace.graphs:
        raise CannotJudgeError("no graph was recorded, only parameters: record at level ops")
    for story in run.stories:
        finding = _in_story(story)
        if finding is not None:
            yield finding


def _in_story(story: Story) -> Finding | None:
    structures = {id(graph.structure): graph.structure for _, graph in story.judged}
    if not any(map(has_terms, structures.values())):
        return None
    measured = [(step.index, _extremes(graph)) for step, graph in story.judged]
    known = [(index, pair) for index, pair in measured if pair is not None]
    uneven = [(index, pair) for index, pair in known if pair[0].norm > RATIO * pair[1].norm]
    if len(known) < BACKWARDS or len(uneven) < SHARE * len(known) or uneven[-1] != known[-1]:
        return None
    return _finding(uneven, len(known))


def _extremes(graph: Graph) -> tuple[Term, Term] | None:
    """Of the terms without a factor, that with the largest gradient and that with the smallest."""
    found = [t for t in terms(graph) if 0 < t.norm < float("inf") and not t.weighted]
    if len(found) < 2:
        return None
    return max(found, key=lambda term: term.norm), min(found, key=lambda term: term.norm)


def _finding(uneven: list[tuple[int, tuple[Term, Term]]], of: int) -> Finding:
    step, (large, small) = uneven[-1]
    ratio = large.norm / small.norm
    return RULE.finding(
        "info",
        f"the gradient of {variable_name(large.node)}{place(large.node.source)} is "
        f"{number(ratio)} times that of {variable_name(small.node)}{place(small.node.source)} "
        "where both terms of the loss meet",
        where=Where(
            op=small.node.op,
            module=small.node.module,
            variable=small.node.label,
            source=small.node.source,
            nodes=(small.node.id, large.node.id),
            step=step,
        ),
        steps=(uneven[0][0], step),
        seen=len(uneven),
        of=of,
        evidence={"ratio": ratio, "norm_large": large.norm, "norm_small": small.norm},
        cause="The terms are of different scale: a sum against a mean, other units, or a factor.",
        fix=f"loss = large + weight * small  # {name(small.node.label or 'the small one')} times "
        "more, or means instead of sums",
        silence="Terms within a factor of 100, or --ignore GS604.",
    )
