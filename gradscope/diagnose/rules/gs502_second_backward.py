"""A backward ran into a graph, or a part of one, that an earlier backward had let go.

What: The backward raised "Trying to backward through the graph a second time". The finding names
the backward that freed the values, the op that needed them, and the tensor that leads from the new
graph into the old one: a hidden state or a running total kept from an earlier iteration, a tensor
that two losses share, or the same loss once more.

Why it hurts: The program stops. ``retain_graph=True`` only hides it where a tensor is carried over:
every step then runs backward through all steps before it.

Example::

    h = cell(x, h)              # h still hangs on the graph of the step before
    head(h).sum().backward()

Instead::

    h = cell(x, h.detach())
    head(h).sum().backward()
"""

from __future__ import annotations

from collections.abc import Iterator

from gradscope.diagnose.raised import evidence, failed_steps, severity
from gradscope.diagnose.rule import Rule
from gradscope.diagnose.run import Run
from gradscope.diagnose.words import code, name, place
from gradscope.model.events import Failure
from gradscope.model.finding import Finding, Where
from gradscope.model.graph import Source
from gradscope.model.trace import Step

RULE = Rule("GS502", "second-backward", "A backward runs into a graph that is gone.")

_SAID = "backward through the graph a second time"
_UNKNOWN = Failure("", -1)


def check(run: Run) -> Iterator[Finding]:
    """One finding per failed backward's line."""
    for step in failed_steps(run, _SAID):
        yield _finding(run, step, step.failure or _UNKNOWN)


def _finding(run: Run, step: Step, failure: Failure) -> Finding:
    earlier = run.step(failure.freed_by) if failure.freed_by is not None else None
    kind = _kind(step, failure, earlier)
    in_graph = failure.node >= 0 and step.graph is not None
    return RULE.finding(
        severity(run, step),
        _message(step, failure, earlier, kind),
        where=Where(
            op=failure.op,
            variable=failure.variable or next(filter(None, step.roots), ""),
            source=_blamed(step, failure, kind),
            nodes=(failure.node,) if in_graph else (),
            step=step.index if in_graph else None,
        ),
        steps=(earlier.index if earlier else step.index, step.index),
        evidence={
            **evidence(run, step),
            "kind": kind,
            "freed_op": failure.op,
            **({"freed_by_step": earlier.index} if earlier else {}),
            **({"freed_op_at": failure.source.location} if failure.source else {}),
        },
        cause=_CAUSES[kind],
        fix=_fix(step, failure, earlier, kind),
        silence="retain_graph=True in the first of two backwards that are both meant to run "
        "through the same graph.",
    )


def _kind(step: Step, failure: Failure, earlier: Step | None) -> str:
    """What leads into the old graph."""
    if failure.side_by_side and earlier is not None and _is_same(step, earlier):
        return "again"
    if failure.side_by_side:
        return "shared"
    if earlier is not None and not _same_line(step.source, earlier.source):
        return "other"
    if _is_total(step, failure):
        return "total"
    if failure.carried is not None and not failure.rebuilt:
        return "once"
    return "listed" if "[" in failure.variable else "carried"


def _is_same(step: Step, earlier: Step) -> bool:
    known = step.root_made is not None and earlier.root_made is not None
    return step.root_made == earlier.root_made if known else step.roots == earlier.roots


def _same_line(one: Source | None, other: Source | None) -> bool:
    return (
        one is not None and other is not None and (one.file, one.line) == (other.file, other.line)
    )


def _is_total(step: Step, failure: Failure) -> bool:
    """Whether losses are added up: what is carried over is the old loss itself."""
    if failure.variable and failure.variable in step.roots:
        return True
    stem = failure.variable.partition("[")[0]
    line = code(step.source) if step.source is not None else ""
    return "[" in failure.variable and stem in line


def _blamed(step: Step, failure: Failure, kind: str) -> Source | None:
    if kind in ("again", "shared"):
        return step.source
    return failure.carried or step.source


def _message(step: Step, failure: Failure, earlier: Step | None, kind: str) -> str:
    freed = "an earlier backward"
    if earlier is not None and earlier.source is not None:
        freed = name(code(earlier.source)) + place(earlier.source)
    which = f" in step {earlier.index}" if earlier is not None else ""
    op = name(failure.op) if failure.op else "an op"
    if failure.source is not None:
        op += f" of {name(code(failure.source))}{place(failure.source)}"
    if kind == "again":
        return (
            f"{_root(step)} runs backward a second time{place(step.source)}: {freed}{which} had "
            f"freed its graph, {op} first"
        )
    if kind == "shared":
        through = (
            f" with {name(failure.variable)}{place(failure.carried)}" if failure.carried else ""
        )
        return (
            f"{_root(step)}{place(step.source)} shares a part of its graph{through} with the loss "
            f"whose backward, {freed}{which}, freed it: {op} has no values left"
        )
    carrier = name(failure.variable) if failure.variable else "a tensor"
    return (
        f"{carrier}{place(failure.carried)} leads the backward of step {step.index} into the graph "
        f"of step {earlier.index if earlier else 'one before'}, which {freed} has freed: {op} has "
        "no values left"
    )


def _root(step: Step) -> str:
    named = next(filter(None, step.roots), "")
    return name(named) if named else "the loss"


_CAUSES = {
    "again": "Backward was called twice on the same loss, and the graph is freed by the first.",
    "shared": "Two losses were computed from one forward pass; the first backward frees the graph "
    "of both.",
    "other": "The tensor was made before another loss ran backward through it, and is used again "
    "afterwards.",
    "carried": "A tensor with a history (a hidden state, a memory, a cached result) is kept from "
    "an earlier iteration, whose graph is gone.",
    "once": "The tensor is computed once, before the loop, and used in every backward; the first "
    "one frees the graph behind it.",
    "listed": "Results with a history are collected over several steps, and those of the steps "
    "before run backward once more.",
    "total": "Losses are added up with their graphs, and the sum of the earlier ones runs backward "
    "once more.",
}


def _fix(step: Step, failure: Failure, earlier: Step | None, kind: str) -> str:
    tensor = failure.variable or "h"
    first = next(filter(None, earlier.roots), "") if earlier is not None else ""
    second = next(filter(None, step.roots), "")
    if kind == "again":
        return "loss = criterion(model(x), y)  # compute it again, or call backward once"
    if kind == "shared":
        return f"({first or 'loss_a'} + {second or 'loss_b'}).backward()  # one backward for both"
    if kind == "other":
        return (
            f"{tensor}.detach()  # where the first loss uses it, if that is not meant to train "
            f"what made it; else compute {tensor} anew for the second"
        )
    if kind == "total":
        total = tensor.partition("[")[0]
        adding = f"{total}.append(loss.item())" if "[" in tensor else f"{total} += loss.item()"
        return f"loss.backward()  # of this step alone\n{adding}  # a number for the log"
    if kind == "once":
        line = f": {code(failure.carried)}" if failure.carried is not None else ""
        return f"# inside the loop, for every backward{line}"
    if kind == "listed":
        return f"{tensor.partition('[')[0]}.clear()  # after each update"
    if "Rnn" in failure.op or "Lstm" in failure.op:
        each = f"tuple(part.detach() for part in {tensor})"
        return f"{tensor} = {tensor}.detach()  # before the next iteration; of a pair: {each}"
    return f"{tensor} = {tensor}.detach()  # when it is carried into the next iteration"
