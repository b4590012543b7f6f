"""A parameter's gradient is exactly 0 in every element, backward after backward.

What: From some backward on and to the end of the run, over at least three backwards and half of
all, every element of a parameter's gradient is 0 although updates go on, and the op that makes it
so is known: an activation whose units are all switched off, a rounding (its derivative is 0
everywhere), a softmax over a single entry, or weights that are all zero on both sides of it. Zeros
for other reasons are left alone: a branch that starts at zero and wakes up with the first update,
a hinge loss that is satisfied, an expert nobody asked, a task that is solved exactly.

Why it hurts: The parameter, and everything behind that op, is never updated again.

Example::

    h = torch.relu(layer(x) - 20)         # every unit is off for every sample
    p = torch.softmax(head(h), dim=1)     # of one output: always 1

Instead::

    h = torch.nn.functional.leaky_relu(layer(x))
    p = torch.sigmoid(head(h))
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gradscope.diagnose.around import leaves_of, towards_loss, users_of
from gradscope.diagnose.flat import Killer, find_killers
from gradscope.diagnose.rule import CannotJudgeError, Rule
from gradscope.diagnose.run import Run, Story
from gradscope.diagnose.words import op_in_line, some
from gradscope.model.finding import Finding, Severity, Where
from gradscope.model.graph import Graph
from gradscope.model.trace import Parameter, Step

RULE = Rule("GS105", "zero-gradient", "A gradient that is exactly 0, and the op that made it so.")

BACKWARDS = 3  # RULES: a statistical rule speaks after so many
SHARE = 0.5  # RULES: and in at least this share of those seen
UPDATES = 2  # while it is 0: a branch that starts at zero has woken up by then


@dataclass(frozen=True)
class Dead:
    """A parameter whose gradient has been exactly 0 for long.

    Attributes:
        parameter: Which.
        first: Step from which on.
        last: The last step it was measured in.
        zeros: In so many backwards, up to the end.
        of: Out of so many that reached it.
    """

    parameter: Parameter
    first: int
    last: int
    zeros: int
    of: int


def check(run: Run) -> Iterator[Finding]:
    """One finding per kind of backward and op that passes nothing on."""
    if run.trace.steps and not run.trace.graphs:
        raise CannotJudgeError("no graph was recorded, only parameters: record at level ops")
    dead = {d.parameter.index: d for p in run.trace.parameters if (d := _dead(run, p)) is not None}
    told: set[int] = set()
    for story in run.stories if dead else ():
        found = _in_story(story, {i: d for i, d in dead.items() if i not in told})
        if found is not None:
            told |= {d.parameter.index for d in found[2]}
            yield _finding(run, *found)


def _dead(run: Run, parameter: Parameter) -> Dead | None:
    if parameter.kind != "parameter" or not parameter.requires_grad or not parameter.count:
        return None
    rows = [
        (step, norm)
        for step, norm, arrived in zip(
            parameter.gradients.step,
            parameter.gradients.norm,
            parameter.gradients.arrived,
            strict=True,
        )
        if arrived and not math.isnan(norm)
    ]
    zeros = 0
    while zeros < len(rows) and rows[-1 - zeros][1] == 0:
        zeros += 1
    if zeros < BACKWARDS or zeros < SHARE * len(rows):
        return None
    first, last = rows[-zeros][0], rows[-1][0]
    updates = sum(first <= update.after_step < last for update in run.trace.updates)
    return Dead(parameter, first, last, zeros, len(rows)) if updates >= UPDATES else None


def _in_story(
    story: Story, dead: dict[int, Dead]
) -> tuple[Step, list[Killer], list[Dead], int] | None:
    """The last graph of the story, what kills there, whom, and how many parameters it has."""
    kept = story.judged
    if not kept or story.steps[-1].kind != "backward":
        return None
    step, graph = kept[-1]
    leaves = leaves_of(graph)
    explained: list[tuple[Dead, Killer]] = []
    for index in sorted(leaves.keys() & dead.keys()):
        if not dead[index].first <= step.index <= dead[index].last:
            continue
        killers = find_killers(graph, leaves[index].id)
        if killers:
            explained.append((dead[index], max(killers, key=lambda k: _order(graph, k))))
    if not explained:
        return None
    ops = {killer.node: killer for _, killer in explained}
    owned = sum(leaf.kind == "parameter" for leaf in leaves.values())
    return (
        step,
        sorted(ops.values(), key=lambda k: -_order(graph, k)),
        [d for d, _ in explained],
        owned,
    )


def _grade(graph: Graph, main: Killer, dead: int, owned: int) -> Severity:
    """A dead network is an error; where the rest learns, some deaths are no more than a waste.

    An output that is off may wake up through what it shares with others, and attention to a
    single token needs no weights.
    """
    if dead >= owned:
        return "error"
    if main.kind == "single-softmax":
        return "info"
    users = {u for leaf in leaves_of(graph).values() for u in users_of(graph.structure, leaf.id)}
    inner = towards_loss(graph.structure, [main.node]) & users
    return "warning" if inner or main.kind != "switched-off" else "info"


def _order(graph: Graph, killer: Killer) -> int:
    return graph.structure.nodes[killer.node].order


def _finding(
    run: Run, step: Step, killers: Sequence[Killer], dead: Sequence[Dead], owned: int
) -> Finding:
    assert step.graph is not None
    nodes = step.graph.structure.nodes
    main = killers[0]
    node = nodes[main.node]
    worst = max(dead, key=lambda d: d.zeros)
    names = [d.parameter.name for d in dead]
    return RULE.finding(
        _grade(step.graph, main, len(dead), owned),
        f"gradient of {some(names)} is exactly 0 in every element: {op_in_line(node)} "
        f"{main.reason} (from step {worst.first} on, {worst.zeros} of {worst.of} backwards)",
        where=Where(
            parameter=names[0],
            op=node.op,
            module=node.module,
            variable=node.label,
            source=node.source or step.source,
            nodes=tuple(killer.node for killer in killers),
            step=step.index,
        ),
        steps=(min(d.first for d in dead), max(d.last for d in dead)),
        seen=worst.zeros,
        of=worst.of,
        evidence={
            "parameters": len(dead),
            "parameters_in_graph": owned,
            "killing_ops": len(killers),
            "kind": main.kind,
        },
        cause=main.cause,
        fix=main.fix,
        silence="requires_grad_(False) for parameters that are not meant to learn, or "
        "--ignore GS105.",
    )
