"""``.grad`` was read on a tensor that is no leaf: it is None and stays None.

What: Backward fills ``.grad`` of leaves only, and of results that asked for it with
``retain_grad()``. The tensor that was read is the result of an operation. It is an error where the
None ended the script, and a note otherwise. For the same reason an optimizer refuses such a tensor.

Why it hurts: The gradient that the script looks for, or updates with, is never there.

Example::

    w = torch.randn(10, requires_grad=True) * 0.01      # a result: the leaf has no name any more
    loss.backward()
    w.data -= lr * w.grad                               # None

Instead::

    w = (torch.randn(10) * 0.01).requires_grad_()
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from gradscope.analysis.errors import RAISED
from gradscope.diagnose.raised import raised
from gradscope.diagnose.rule import Rule
from gradscope.diagnose.run import Run
from gradscope.diagnose.words import code, count, name, place
from gradscope.model.events import Call
from gradscope.model.finding import Finding, Where
from gradscope.model.graph import Node, Source

RULE = Rule("GS306", "non-leaf-grad", "The .grad of a tensor that is no leaf is read.")


_REFUSED = "can't optimize a non-leaf Tensor"


def check(run: Run) -> Iterator[Finding]:
    """One finding per line that reads it."""
    lines: dict[tuple[str, int], list[Call]] = {}
    for call in run.trace.calls:
        if call.kind == "nonleaf_grad" and call.source is not None:
            lines.setdefault((call.source.file, call.source.line), []).append(call)
    for calls in lines.values():
        yield _finding(run, calls)
    if raised(run, _REFUSED):
        yield _refused(run)


def _finding(run: Run, calls: list[Call]) -> Finding:
    last, reads = calls[-1], sum(call.count for call in calls)
    made = _made_by(run, last)
    ended = _ended_it(run, last.source)
    origin = f", made by {_line_of(made)}" if made is not None else ""
    variable = name(last.label) if last.label else "a tensor"
    error = run.trace.script_error
    return RULE.finding(
        "error" if ended else "info",
        f"the .grad of {variable}{place(last.source)} is None, since it is no leaf: it is the "
        f"result of an operation{origin}",
        where=Where(
            variable=last.label,
            op=made.op if made is not None else "",
            source=made.source if made is not None else last.source,
        ),
        steps=(max(calls[0].after_step, 0), max(last.after_step, 0)),
        seen=reads,
        of=reads,
        evidence={
            "reads": count(reads, "read"),
            "read_at": last.source.location if last.source else "",
            **({RAISED: error.type} if ended and error is not None else {}),
        },
        cause=_cause(made),
        fix=_fix(made, last.label or "h"),
        silence="h.retain_grad() before the backward.",
    )


def _refused(run: Run) -> Finding:
    """An optimizer was given a result."""
    error = run.trace.script_error
    source = error.source if error is not None else None
    made = _named_in(run, source.text if source is not None else "")
    variable = made.label if made is not None else ""
    origin = f", made by {_line_of(made)}" if made is not None else ""
    what = name(variable) if variable else "a tensor"
    last = max(len(run.trace.steps) - 1, 0)
    return RULE.finding(
        "error",
        f"the optimizer{place(source)} is given {what}, which is no leaf: it is the result of an "
        f"operation{origin}",
        where=Where(
            variable=variable,
            op=made.op if made is not None else "",
            source=made.source if made is not None else source,
        ),
        steps=(last, last),
        evidence={RAISED: error.type if error is not None else ""},
        cause="An optimizer changes leaves in place. What is computed from a leaf is made anew in "
        "every forward pass, and no gradient stays with it.",
        fix=f"{variable or 'w'} = {variable or 'w'}.detach().requires_grad_()  # after it is "
        "computed, before the optimizer is made",
        silence="A leaf: a tensor that is made with requires_grad=True and not computed from one.",
    )


def _named_in(run: Run, line: str) -> Node | None:
    """The result that is alive under a name which the line contains."""
    words = set(re.findall(r"\w+", line))
    nodes = [n for graph in run.trace.forward_graphs for n in graph.structure.nodes]
    named = [n for n in nodes if n.label in words and n.op != "AccumulateGrad" and n.source]
    return max(named, key=lambda n: n.order, default=None)


def _line_of(node: Node) -> str:
    source = node.source
    return f"{name(code(source))}{place(source)}" if source is not None else name(node.op)


def _ended_it(run: Run, source: Source | None) -> bool:
    error = run.trace.script_error
    if source is None or error is None or error.source is None or not raised(run, "NoneType"):
        return False
    return (source.file, source.line) == (error.source.file, error.source.line)


def _made_by(run: Run, call: Call) -> Node | None:
    """The op that made the tensor, in a graph that is alive or the last one kept up to then."""
    kept = [graph for step, graph in run.trace.graphs if step.index <= call.after_step]
    for graph in (*run.trace.forward_graphs, *reversed(kept)):
        named = [n for n in graph.structure.nodes if n.label == call.label and call.label]
        made = [n for n in named if n.op != "AccumulateGrad" and n.source is not None]
        if made:
            return max(made, key=lambda n: n.order)
    return None


def _is_update(made: Node | None) -> bool:
    """Whether the line gives a variable a value that is computed from its own gradient."""
    return made is not None and made.source is not None and ".grad" in code(made.source)


def _cause(made: Node | None) -> str:
    if _is_update(made):
        return (
            "The update made a new tensor, a result with a history, and gave it the name of the "
            "leaf. The next backward fills the .grad of the old leaf."
        )
    if made is not None and made.source is not None and "requires_grad=True" in code(made.source):
        return (
            "requires_grad=True makes the inner tensor the leaf; what is computed from it is "
            "another tensor, and only that has a name."
        )
    return "Backward keeps gradients of leaves only, to save memory."


def _fix(made: Node | None, variable: str) -> str:
    if _is_update(made):
        return f"with torch.no_grad():\n    {variable} -= lr * {variable}.grad"
    if made is not None and made.source is not None and "requires_grad=True" in code(made.source):
        return f"{variable} = {variable}.detach().requires_grad_()  # after it is computed"
    return f"{variable}.retain_grad()  # after it is computed, before backward"
