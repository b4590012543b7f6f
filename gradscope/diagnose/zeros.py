"""Parameters whose gradient has been exactly 0 for long, and the ops that keep it from them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from gradscope.diagnose.around import leaves_of, towards_loss, users_of
from gradscope.diagnose.flat import Killer, find_killers
from gradscope.diagnose.rule import CannotJudgeError, Rule
from gradscope.diagnose.run import Run, Story
from gradscope.diagnose.words import op_in_line, some
from gradscope.model.finding import Finding, Severity, Where
from gradscope.model.graph import Graph
from gradscope.model.trace import Parameter, Step

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
        could_wake: Whether updates went on meanwhile.
    """

    parameter: Parameter
    first: int
    last: int
    zeros: int
    of: int
    could_wake: bool

    def is_due_to(self, killer: Killer) -> bool:
        """Whether the op keeps it at 0 for good, and not only until the first updates.

        A staircase always does; an update by hand that adds 0 cannot be seen.
        """
        return killer.kind == "step" or (self.could_wake and self.parameter.kind == "parameter")


@dataclass(frozen=True)
class Zero:
    """Dead parameters of one kind of backward, and what killed them.

    Attributes:
        step: The last backward whose graph was kept.
        graph: That graph.
        killers: The ops, nearest to the loss first.
        dead: The parameters.
        owned: How many parameters the graph has.
    """

    step: Step
    graph: Graph
    killers: tuple[Killer, ...]
    dead: tuple[Dead, ...]
    owned: int

    @property
    def main(self) -> Killer:
        """The op nearest to the loss."""
        return self.killers[0]


def find_zeros(run: Run) -> Iterator[Zero]:
    """One per kind of backward in which an op is known to pass nothing on.

    Raises:
        CannotJudgeError: No graph was recorded.
    """
    if run.trace.steps and not run.trace.graphs:
        raise CannotJudgeError("no graph was recorded, only parameters: record at level ops")
    dead = {d.parameter.index: d for p in run.trace.parameters if (d := _dead(run, p)) is not None}
    told: set[int] = set()
    for story in run.stories if dead else ():
        found = _in_story(story, {i: d for i, d in dead.items() if i not in told})
        if found is not None:
            told |= {d.parameter.index for d in found.dead}
            yield found


def _dead(run: Run, parameter: Parameter) -> Dead | None:
    if not parameter.requires_grad or not parameter.count:
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
    return Dead(parameter, first, last, zeros, len(rows), updates >= UPDATES)


def _in_story(story: Story, dead: dict[int, Dead]) -> Zero | None:
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
        last = max(killers, key=lambda k: _order(graph, k), default=None)
        if last is not None and dead[index].is_due_to(last):
            explained.append((dead[index], last))
    if not explained:
        return None
    ops = {killer.node: killer for _, killer in explained}
    return Zero(
        step,
        graph,
        tuple(sorted(ops.values(), key=lambda k: -_order(graph, k))),
        tuple(d for d, _ in explained),
        max(len(explained), sum(leaf.kind == "parameter" for leaf in leaves.values())),
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


def told(rule: Rule, zero: Zero) -> Finding:
    """The finding about it."""
    main, dead = zero.main, zero.dead
    node = zero.graph.structure.nodes[main.node]
    worst = max(dead, key=lambda d: d.zeros)
    names = [d.parameter.name for d in dead]
    return rule.finding(
        _grade(zero.graph, main, len(dead), zero.owned),
        f"gradient of {some(names)} is exactly 0 in every element: {op_in_line(node)} "
        f"{main.reason} (from step {worst.first} on, {worst.zeros} of {worst.of} backwards)",
        where=Where(
            parameter=names[0],
            op=node.op,
            module=node.module,
            variable=node.label,
            source=node.source or zero.step.source,
            nodes=tuple(killer.node for killer in zero.killers),
            step=zero.step.index,
        ),
        steps=(min(d.first for d in dead), max(d.last for d in dead)),
        seen=worst.zeros,
        of=worst.of,
        evidence={
            "parameters": len(dead),
            "parameters_in_graph": zero.owned,
            "killing_ops": len(zero.killers),
            "kind": main.kind,
        },
        cause=main.cause,
        fix=main.fix,
        silence="requires_grad_(False) for parameters that are not meant to learn, or "
        f"--ignore {rule.code}.",
    )
