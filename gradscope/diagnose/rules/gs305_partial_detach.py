"""A tensor goes on with its graph and, in the same sum or concatenation, without it.

What: A line detaches a tensor and adds it to (or joins it with) something that was computed from
the very same tensor by layers of its own, as a residual or a skip connection is: the gradient
arrives through those layers and misses the direct way. Stop-gradients that are meant (targets,
advantages, straight-through estimators, scaled gradients, quantised codes) look otherwise.

Why it hurts: The layers before get only a part of their gradient, and the part that a skip
connection is there for is missing. It may be meant, hence only for information.

Example::

    h = h.detach() + block(h)

Instead::

    h = h + block(h)
"""

from __future__ import annotations

from collections.abc import Iterator

from gradscope.analysis.paths import op_base
from gradscope.diagnose.around import inputs_of, leaves_of, towards_leaves
from gradscope.diagnose.rule import CannotJudgeError, Rule
from gradscope.diagnose.run import Run
from gradscope.diagnose.words import code, count, name, place
from gradscope.model.events import Cut
from gradscope.model.finding import Finding, Where
from gradscope.model.graph import Graph, Node, Source

RULE = Rule("GS305", "partial-detach", "A skip connection whose direct way is detached.")

BACKWARDS = 3  # RULES: a statistical rule speaks after so many
DETACHING = frozenset({"detach", "data"})
JOINING = frozenset({"Add", "Cat"})  # a difference is a distance in a loss


def check(run: Run) -> Iterator[Finding]:
    """One finding per line."""
    if run.trace.steps and not run.trace.graphs:
        raise CannotJudgeError("no graph was recorded, only parameters: record at level ops")
    lines: set[tuple[str, int]] = set()
    for cut in run.trace.cuts:
        if cut.op not in DETACHING or not cut.source or not _is_plain(cut.variable):
            continue
        line = (cut.source.file, cut.source.line)
        if cut.parameters and line not in lines:
            lines.add(line)
            yield from _at(run, cut, cut.source)


def _is_plain(variable: str) -> bool:
    """Whether it is the name of a tensor and no calculation: ``h``, ``self.h``, ``skips[0]``."""
    return variable != "" and all(c.isalnum() or c in "_.[]'\"" for c in variable)


def _at(run: Run, cut: Cut, source: Source) -> Iterator[Finding]:
    for story in run.stories:
        seen = [
            (step.index, node)
            for step, graph in story.judged
            if (node := _joining(graph, cut, source)) is not None
        ]
        if len(seen) >= BACKWARDS and len(seen) * 2 >= len(story.judged):
            yield _finding(cut, source, seen, len(story.judged))
            return


def _joining(graph: Graph, cut: Cut, source: Source) -> Node | None:
    """The op of that line that joins the detached tensor with what was computed from it."""
    structure = graph.structure
    leaves = leaves_of(graph)
    origins = [node for node in structure.nodes if _is_it(node, cut)]
    behind = {leaves[i].id for i in cut.parameters if i in leaves}
    if not origins or len(behind) < len(cut.parameters):
        return None
    for node in structure.nodes:
        here = node.source
        same_line = here is not None and (here.file, here.line) == (source.file, source.line)
        if not same_line or op_base(node.op) not in JOINING:
            continue
        if node.shape in ((), (1,)) or not _is_through_layers(graph, node, origins, behind):
            continue
        return node
    return None


def _is_it(node: Node, cut: Cut) -> bool:
    """Whether it may have made the detached tensor, which as an argument has another name."""
    if node.label == cut.variable:
        return True
    return cut.made_at is not None and (node.op, node.source) == (cut.made_by, cut.made_at)


def _is_through_layers(graph: Graph, node: Node, origins: list[Node], behind: set[int]) -> bool:
    """Whether the other operand comes from the detached tensor, by way of weights of its own."""
    structure = graph.structure
    operands = inputs_of(structure, node.id)
    if len(operands) != 1:
        return False
    below = towards_leaves(structure, [node.id])
    for origin in origins:
        if origin.id == operands[0] or origin.id not in below:
            continue
        before = towards_leaves(structure, [origin.id])
        own = below - before - {origin.id}
        if behind <= before and any(structure.nodes[i].kind == "parameter" for i in own):
            return True
    return False


def _finding(cut: Cut, source: Source, seen: list[tuple[int, Node]], of: int) -> Finding:
    step, node = seen[-1]
    what = name(cut.variable)
    return RULE.finding(
        "info",
        f"{name(code(source))}{place(source)} joins {what} without its graph with what was "
        f"computed from {what}: the gradient misses the direct way ({len(seen)} of "
        f"{count(of, 'backward')})",
        where=Where(
            op=node.op,
            module=node.module,
            variable=cut.variable,
            source=source,
            nodes=(node.id,),
            step=step,
        ),
        steps=(seen[0][0], step),
        seen=len(seen),
        of=of,
        evidence={"parameters_behind": len(cut.parameters), "calls": cut.count},
        cause=f"{cut.op}() cuts one of the two ways from {what} to the loss.",
        fix=f"{cut.variable} + ...  # without .{cut.op}{'()' if cut.op == 'detach' else ''}",
        silence="--ignore GS305 where the gradient is meant to stop there.",
    )
