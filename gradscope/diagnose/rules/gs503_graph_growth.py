"""The graph becomes larger with every backward: something carries old graphs along.

What: Backwards started by the same line keep their graph (``retain_graph=True``) although the
weights are updated between them, and each of them has more nodes than the one before, by the same
number again and again, until there are at least twice as many as at first. Longer and longer
inputs, and derivatives of derivatives (``create_graph=True``), are none of this. For information:
a running total that is alive at the end, was never run backward, and adds up at least 20 losses
whose own backward has run.

Why it hurts: Every step runs backward through all steps before it. Time and memory grow until the
machine gives up, and old losses are differentiated again and again.

Example::

    total = total + criterion(model(x), y)      # the sum of all losses so far, with their graphs
    total.backward(retain_graph=True)

Instead::

    loss = criterion(model(x), y)
    loss.backward()
    total += loss.item()
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

from gradscope.diagnose.carried import carrier
from gradscope.diagnose.kept_sums import longest_sum
from gradscope.diagnose.rule import Rule
from gradscope.diagnose.run import Run, Story
from gradscope.diagnose.words import code, count, name, place, variable_name
from gradscope.model.finding import Finding, Where
from gradscope.model.graph import Node
from gradscope.model.trace import Step

RULE = Rule("GS503", "graph-growth", "The graph grows with every backward.")

BACKWARDS = 4  # three increments
UPDATES = 2  # between them: one sequence whose steps each run backward is no training loop
FACTOR = 2.0  # times the first graph
UNIFORM = 1.5  # largest increment over the smallest: the same code adds to the graph every time


def check(run: Run) -> Iterator[Finding]:
    """One finding per kind of backward whose graph grows."""
    for story in run.stories:
        steps = [s for s in story.steps if s.node_count is not None and s.error is None]
        if _grows(steps) and _updates_between(run, steps) >= UPDATES:
            yield _finding(story, steps)
    yield from _totals(run)


def _totals(run: Run) -> Iterator[Finding]:
    """One finding per line that adds up losses for nothing but their values."""
    found: dict[tuple[str, int], tuple[Node, int]] = {}
    for graph in run.trace.forward_graphs:
        total = longest_sum(graph.structure)
        if total is not None and total[0].source is not None:
            key = (total[0].source.file, total[0].source.line)
            found[key] = max(total, found.get(key, total), key=lambda t: t[1])
    for node, terms in found.values():
        yield _total(run, node, terms)


def _total(run: Run, node: Node, terms: int) -> Finding:
    what = variable_name(node)
    return RULE.finding(
        "info",
        f"{what} adds up {count(terms, 'loss', 'losses')} whose backward has run, and keeps all "
        f"their graphs in memory{place(node.source)}",
        where=Where(op=node.op, variable=node.label, source=node.source),
        steps=(0, run.trace.steps[-1].index if run.trace.steps else 0),
        seen=terms,
        of=len(run.trace.steps),
        evidence={"terms": terms},
        cause="A sum of losses has a graph, which holds the graph of every step, though it is only "
        "looked at.",
        fix="loss.item() in the place of loss  # or loss.detach(), which waits for no GPU",
        silence="loss.item() or loss.detach() in the total, or --ignore GS503.",
    )


def _grows(steps: Sequence[Step]) -> bool:
    kept = all(s.keep_graph and not s.create_graph and s.kind == "backward" for s in steps[:-1])
    if len(steps) < BACKWARDS or not kept:
        return False
    counts = [step.node_count or 0 for step in steps]
    added = [after - before for before, after in pairwise(counts)]
    if min(added) <= 0 or counts[-1] < FACTOR * counts[0]:
        return False
    # A curriculum of longer and longer sequences does not keep its graphs.
    return max(added) <= UNIFORM * min(added)


def _updates_between(run: Run, steps: Sequence[Step]) -> int:
    first, last = steps[0].index, steps[-1].index
    return sum(first <= update.after_step < last for update in run.trace.updates)


def _finding(story: Story, steps: Sequence[Step]) -> Finding:
    first, last = steps[0], steps[-1]
    source, through = story.source, _carrier(steps)
    what = name(code(source)) if source and source.text else "backward"
    per_step = ((last.node_count or 0) - (first.node_count or 0)) / (len(steps) - 1)
    return RULE.finding(
        "warning",
        f"the graph of {what}{place(source)} grows by about "
        f"{count(round(per_step), 'node')} with every backward, from {first.node_count} to "
        f"{last.node_count} in {count(len(steps), 'backward')}: it still holds the graphs of all "
        f"steps before{_along(through)}",
        where=Where(
            variable=through.label if through else next(iter(last.roots), ""), source=source
        ),
        steps=(first.index, last.index),
        seen=len(steps),
        of=len(steps),
        evidence={
            "nodes_first": first.node_count or 0,
            "nodes_last": last.node_count or 0,
            "nodes_per_step": per_step,
            "carrier": through.label if through else "",
        },
        cause=_cause(through),
        fix=_fix(through),
        silence="A graph that is as large in every step, or --ignore GS503.",
    )


def _carrier(steps: Sequence[Step]) -> Node | None:
    graph = next((step.graph for step in reversed(steps) if step.graph is not None), None)
    return carrier(graph.structure) if graph is not None else None


def _along(through: Node | None) -> str:
    return f", carried along by {name(through.label)}{place(through.source)}" if through else ""


def _cause(through: Node | None) -> str:
    what = (
        f"{name(through.label)} is made from the one of the step before, whose history comes along"
        if through
        else "A tensor with a history (a running total, a hidden state) is carried from step to "
        "step"
    )
    return f"{what}, and retain_graph=True keeps what would otherwise be an error."


def _fix(through: Node | None) -> str:
    if through is None:
        return (
            "total += loss.item()  # for a total; hidden = hidden.detach() for a state; then "
            "without retain_graph"
        )
    if through.shape is not None and math.prod(through.shape) == 1:
        return f"{through.label} += loss.item()  # and loss.backward() without retain_graph"
    return f"{through.label} = {through.label}.detach()  # then without retain_graph"
