"""Backward was called on something without a graph: nothing behind it can learn.

What: The backward raised "does not require grad and does not have a grad_fn", or it ran from a
leaf: a number that was wrapped in a new tensor with ``requires_grad=True``, so that no parameter of
any optimizer ever got a gradient. The finding names the call that cut the loss off, among those
that the loss was computed from.

Why it hurts: The program stops; or, with a wrapped number, it runs on and learns nothing.

Example::

    pred = model(x).argmax(1)
    loss = criterion(pred.float(), y)       # argmax has no derivative
    loss.backward()

Instead::

    loss = criterion(model(x), y)
    loss.backward()
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gradscope.diagnose.cutting import advice, chosen, said_of
from gradscope.diagnose.raised import evidence, failed_steps, severity
from gradscope.diagnose.rule import Rule
from gradscope.diagnose.run import Run
from gradscope.diagnose.words import code, count, name, place
from gradscope.model.events import Cut
from gradscope.model.finding import Finding, Where
from gradscope.model.trace import Step

RULE = Rule("GS302", "detached-loss", "Backward is called on something that has no graph.")

BACKWARDS = 3  # from leaves, where nothing was raised
NODES = 8  # of such a graph
_SAID = "does not require grad and does not have a grad_fn"


def check(run: Run) -> Iterator[Finding]:
    """One finding per failed backward's line, or per line that runs backward from a leaf."""
    for step in failed_steps(run, _SAID):
        yield _raised(run, step)
    if _nothing_arrives(run):
        for story in run.stories:
            steps = [s for s in story.steps if _is_leaf(s)]
            if len(steps) >= BACKWARDS and len(steps) == len(story.steps):
                yield _wrapped(run, steps)


def _raised(run: Run, step: Step) -> Finding:
    cut = chosen(run.trace.cuts)
    what = f"{_loss(step)} of {name(code(step.source))}" if step.source else _loss(step)
    why = f": {said_of(cut)}" if cut is not None else _without_cut(run)
    return RULE.finding(
        severity(run, step),
        f"{what}{place(step.source)} has no graph to run backward through{why}",
        where=_where(step, cut),
        steps=(step.index, step.index),
        evidence={**evidence(run, step), **_evidence(run, cut)},
        cause=_cause(run, cut),
        fix=_fix(run, cut),
        silence="A loss computed by torch functions alone from parameters that require a gradient.",
    )


def _wrapped(run: Run, steps: Sequence[Step]) -> Finding:
    cut = chosen(run.trace.cuts)
    step = steps[0]
    why = f": {said_of(cut)}, and the result was made to require a gradient" if cut else ""
    return RULE.finding(
        "error",
        f"{_loss(step)} of {count(len(steps), 'backward')}{place(step.source)} is a leaf without a "
        f"graph, and no parameter ever gets a gradient{why}",
        where=_where(step, cut),
        steps=(step.index, steps[-1].index),
        seen=len(steps),
        of=len(steps),
        evidence=_evidence(run, cut),
        cause="requires_grad=True on a finished number silences autograd's error, but does not "
        "bring back the graph that leads to the parameters.",
        fix=_fix(run, cut),
        silence="A loss that is computed from the parameters.",
    )


def _loss(step: Step) -> str:
    named = next(filter(None, step.roots), "")
    return name(named) if named else "the loss"


def _where(step: Step, cut: Cut | None) -> Where:
    source = cut.source if cut is not None and cut.source is not None else step.source
    return Where(op=cut.op if cut else "", variable=cut.variable if cut else "", source=source)


def _is_leaf(step: Step) -> bool:
    """Whether no more than a little arithmetic lies between the loss and its leaves."""
    plain = step.kind == "backward" and step.error is None and step.nested_in is None
    return plain and 0 < (step.node_count or 0) <= NODES


def _nothing_arrives(run: Run) -> bool:
    """Whether the optimizers hold parameters and none of them ever got a gradient."""
    owned = [p for p in run.trace.parameters if p.optimizers and p.requires_grad]
    stepped = any(u.by == "optimizer" for u in run.trace.updates)
    return stepped and bool(owned) and not any(any(p.gradients.arrived) for p in owned)


def _without_cut(run: Run) -> str:
    frozen = [p for p in run.trace.parameters if p.kind == "parameter" and not p.requires_grad]
    if frozen and len(frozen) == len(run.trace.parameters):
        return f": requires_grad is False for {count(len(frozen), 'parameter')} of {len(frozen)}"
    if any(p.requires_grad for p in run.trace.parameters):
        return ": no parameter leads to it, or it was computed while grad mode was off"
    return ": nothing that it was computed from requires a gradient"


def _evidence(run: Run, cut: Cut | None) -> dict[str, float | int | str]:
    if cut is None:
        return {}
    others = [c for c in run.trace.cuts if c.depth is not None and c is not cut]
    found: dict[str, float | int | str] = {"cut_by": cut.op, "cut_count": cut.count}
    if others:
        found["also_cut_by"] = ", ".join(
            dict.fromkeys(f"{c.op}{place(c.source)}" for c in others[:5])
        )
    return found


def _cause(run: Run, cut: Cut | None) -> str:
    if cut is not None:
        return advice(cut)[0]
    return (
        "The parameters are frozen, the loss was computed from other tensors than the parameters, "
        "outside torch, or while grad mode was off."
    )


def _fix(run: Run, cut: Cut | None) -> str:
    if cut is not None:
        return advice(cut)[1].replace("{}", cut.variable or "out")
    return "loss = criterion(model(x), y)  # from parameters with requires_grad=True, grad mode on"
