"""A tensor was changed in place although the backward still needed its old values.

What: The backward, or the change itself, raised one of autograd's errors about operations in place.
The finding names the line that changed the tensor, the op that had saved it and the line of that
op. An optimizer's step between the forward and the backward counts as such a change.

Why it hurts: The program stops. Without the error the gradient would be computed from the wrong
values.

Example::

    h = torch.sigmoid(fc(x))    # sigmoid's derivative is computed from its result
    h += 1                      # which is overwritten here

Instead::

    h = torch.sigmoid(fc(x))
    h = h + 1
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from gradscope.analysis.errors import RAISED
from gradscope.diagnose.inplace import LEAF, MULTIPLE_VIEWS, VIEW_OF_LEAF, instead
from gradscope.diagnose.raised import evidence, failed_steps, raised, severity
from gradscope.diagnose.rule import Rule
from gradscope.diagnose.run import Run
from gradscope.diagnose.words import code, name, place
from gradscope.model.events import Failure, Mutation
from gradscope.model.finding import Finding, Where
from gradscope.model.graph import Source
from gradscope.model.trace import Step, Update

RULE = Rule("GS501", "inplace-modified", "A tensor that backward needs was changed in place.")

_SAID = "modified by an inplace operation"
_SHAPE = re.compile(r"\[[\w.]+ (\[[\d, ]*\])\]")
_FROM = re.compile(r"which is output (\d+) of (\w+)")


def check(run: Run) -> Iterator[Finding]:
    """One finding per failed backward's line, or one for the change that was refused."""
    for step in failed_steps(run, _SAID):
        yield _finding(run, step)
    refused = raised(run, LEAF, VIEW_OF_LEAF, MULTIPLE_VIEWS)
    if refused:
        yield _refused(run, refused)


def _finding(run: Run, step: Step) -> Finding:
    failure = step.failure
    update = _update(run, step) if failure is not None and failure.change is None else None
    kept = failure.carried if failure is not None else None
    source = kept or _changed_at(failure, update) or _saved_at(failure) or step.source
    return RULE.finding(
        severity(run, step),
        _message(run, step, update),
        where=Where(
            parameter=_parameter(run, failure),
            op=failure.op if failure else "",
            variable=failure.variable if failure else "",
            source=source,
            nodes=(failure.node,) if failure and step.graph is not None else (),
            step=step.index if failure and step.graph is not None else None,
        ),
        steps=(step.index, step.index),
        evidence={**evidence(run, step), **_evidence(step)},
        cause=_cause(failure, update),
        fix=_fix(failure, update),
        silence="An operation that makes a new tensor.",
    )


def _saved_at(failure: Failure | None) -> Source | None:
    return failure.source if failure is not None else None


def _changed_at(failure: Failure | None, update: Update | None) -> Source | None:
    if failure is not None and failure.change is not None:
        return failure.change.source
    return update.source if update is not None else None


def _update(run: Run, step: Step) -> Update | None:
    """The last update of the leaf whose values had been saved."""
    index = step.failure.parameter if step.failure is not None else None
    if index is None or index >= len(run.trace.parameters):
        return None
    rows = run.trace.parameters[index].updates.update
    before = [run.trace.updates[i] for i in rows if i < len(run.trace.updates)]
    return next((u for u in reversed(before) if u.after_step < step.index), None)


def _parameter(run: Run, failure: Failure | None) -> str:
    index = failure.parameter if failure is not None else None
    known = index is not None and index < len(run.trace.parameters)
    return run.trace.parameters[index].name if known and index is not None else ""


def _message(run: Run, step: Step, update: Update | None) -> str:
    failure = step.failure
    shape = _SHAPE.search(step.error or "")
    change = failure.change if failure is not None else None
    is_part = shape is not None and change is not None and shape[1] != str(list(change.shape))
    size = f" {shape[1]}" if shape and not is_part else ""
    versions = ""
    if failure is not None:
        versions = f" (saved at version {failure.expected}, found at version {failure.found})"
    variable = failure.variable if failure is not None and failure.carried is None else ""
    what = name(_parameter(run, failure) or variable).strip("`")
    tensor = f"`{what}`{size}" if what else f"a tensor{size}"
    return f"{_subject(failure, update)} {tensor} in place, but {_needed(step)}{versions}" + (
        f"; {_carrier(failure)}{place(failure.carried)} leads there from a later iteration"
        if failure is not None and failure.carried is not None
        else ""
    )


def _carrier(failure: Failure) -> str:
    return name(failure.variable) if failure.variable else "a tensor"


def _subject(failure: Failure | None, update: Update | None) -> str:
    change = failure.change if failure is not None else None
    if change is not None and change.source is not None:
        return f"{name(_short(change, change.source))}{place(change.source)} changes"
    if update is not None:
        line = name(code(update.source)) if update.source else f"an update by {update.by}"
        return f"{line}{place(update.source)} changes"
    return "something changes"


def _short(change: Mutation, source: Source) -> str:
    return code(source) or source.expression or change.op


def _needed(step: Step) -> str:
    failure = step.failure
    if failure is None:
        return f"the backward{place(step.source)} needs its old values"
    saved_by = name(failure.op)
    if failure.source is not None:
        saved_by += f" of {name(code(failure.source))}{place(failure.source)}"
    return f"{saved_by} has saved it and needs the old values"


def _evidence(step: Step) -> dict[str, float | int | str]:
    failure = step.failure
    made_by = _FROM.search(step.error or "")
    found: dict[str, float | int | str] = {}
    if failure is not None:
        found |= {"version_expected": failure.expected, "version_found": failure.found}
        found["saved_by"] = failure.op
        if failure.source is not None:
            found["saved_at"] = failure.source.location
    if made_by is not None:
        found["made_by"] = made_by[2]
    return found


def _cause(failure: Failure | None, update: Update | None) -> str:
    if failure is not None and failure.carried is not None:
        return (
            "A tensor is kept from an earlier iteration with its history, and retain_graph=True "
            "keeps that alive: every backward runs through the iterations before as well, whose "
            "weights have been updated since."
        )
    if update is not None and (failure is None or failure.change is None):
        return (
            "The graph of this loss was built before the update and is run backward after it: its "
            "derivatives are computed from weights that no longer exist."
        )
    if failure is not None and failure.change is None:
        return (
            "The tensor was overwritten between the forward and the backward, by an operation in "
            "place that was not recorded."
        )
    return (
        "The derivative of the op that saved the tensor is computed from the values it had then; "
        "an operation in place overwrites them."
    )


def _fix(failure: Failure | None, update: Update | None) -> str:
    if failure is not None and failure.carried is not None:
        tensor = failure.variable or "h"
        return (
            f"{tensor} = {tensor}.detach()  # when it is carried into the next iteration\n"
            "loss.backward()  # without retain_graph=True"
        )
    change = failure.change if failure is not None else None
    if change is not None and change.source is not None:
        return instead(change.op, change.source, change.variable)
    if update is not None:
        return (
            "loss_a.backward(); loss_b.backward()  # all backwards first, then the steps; or "
            "compute the second loss again after the first step"
        )
    return "h = h + 1  # makes a new tensor, in the place of h += 1 and of functions ending in _"


def _refused(run: Run, message: str) -> Finding:
    error = run.trace.script_error
    source = error.source if error is not None else None
    changed = next((m for m in reversed(run.trace.mutations) if _at(m, source)), None)
    variable = changed.variable if changed is not None else ""
    line = name(code(source)) if source is not None and source.text else "an operation"
    tensor = name(variable) if variable else "a tensor"
    what = {  # the first that fits, since one message contains another
        VIEW_OF_LEAF: f"{tensor}, a part of a leaf that requires a gradient,",
        LEAF: f"{tensor}, a leaf that requires a gradient,",
        MULTIPLE_VIEWS: f"{tensor}, one of several views made by one call,",
    }
    kind = next(part for part in what if part in message)
    last = run.trace.steps[-1].index if run.trace.steps else 0
    return RULE.finding(
        "error",
        f"{line}{place(source)} changes {what[kind]} in place, which autograd refuses",
        where=Where(variable=variable, source=source),
        steps=(last, last),
        evidence={RAISED: error.type if error is not None else "", "op": _op(changed)},
        cause=_WHY[kind],
        fix=_refused_fix(kind, changed, source, variable),
        silence="with torch.no_grad(): around changes that are no part of the computation.",
    )


def _at(change: Mutation, source: Source | None) -> bool:
    at = change.source
    if at is None or source is None:
        return False
    return (at.file, at.line) == (source.file, source.line)


def _op(change: Mutation | None) -> str:
    return change.op if change is not None else ""


_WHY = {
    LEAF: "A leaf is where gradients end. Once overwritten as a part of the computation it would "
    "be a result, and there would be no leaf left to collect the gradient.",
    VIEW_OF_LEAF: "The view shares its elements with the leaf: writing to it overwrites the leaf, "
    "which is where gradients end.",
    MULTIPLE_VIEWS: "unbind, split and chunk give several views of one tensor at once; autograd "
    "cannot follow a change of one of them into the others.",
}


def _refused_fix(kind: str, changed: Mutation | None, source: Source | None, variable: str) -> str:
    tensor = variable or "w"
    if kind == MULTIPLE_VIEWS:
        return f"{tensor} = {tensor}.clone()  # before it is changed"
    line = code(source) if source is not None and source.text else f"{tensor} -= lr * {tensor}.grad"
    copy = instead(_op(changed), source, variable) if source is not None else f"{tensor}.clone()"
    return f"with torch.no_grad():  # for an update or an initialisation\n    {line}\n" + (
        f"# as a part of the computation: {copy}"
    )
