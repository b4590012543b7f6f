"""A parameter that an optimizer steps on never gets a gradient, while others do.

What: An optimizer holds the parameter, steps again and again, other parameters get gradients, and
this one gets None from every backward (not 0: nothing connects it with the loss) and no update. It
is a warning where the omission cannot be a choice: what was computed from the parameter and only
its likes was cut out of the graph, at a line that is named (``sample()`` in the place of
``rsample()`` among them), or goes into a loss as a plain number, or a custom Function gets a
gradient and returns None for it, or trained layers work on what a block under ``no_grad()`` made of
weights that still are as random as on the first day, or no backward ever used it, or an optimizer
finds no gradient at all in any of its steps, or a group of parameters is handed over in the middle
of training, to be trained from then on, and is still frozen. A layer that is simply not used is
only told. Other frozen parameters, target networks and teachers, which no optimizer holds, are not
looked at.

Why it hurts: The parameter keeps its initial value for ever.

Example::

    code = encoder(x)
    loss = criterion(decoder(code.detach()), y)     # the encoder is cut off

Instead::

    loss = criterion(decoder(code), y)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gradscope.diagnose.parting import Parting, partings
from gradscope.diagnose.rule import Rule
from gradscope.diagnose.run import Run
from gradscope.diagnose.words import count, place, some
from gradscope.model.events import Addition
from gradscope.model.finding import Finding, Where
from gradscope.model.trace import Parameter, Update

RULE = Rule("GS301", "no-gradient", "An optimizer's parameter never gets a gradient.")

STEPS = 3  # of the optimizer that holds it


@dataclass(frozen=True)
class Optimizer:
    """An optimizer of the run.

    Attributes:
        label: As in the trace.
        steps: Its updates.
        idle: Its parameters that never got a gradient though they require one.
    """

    label: str
    steps: tuple[Update, ...]
    idle: tuple[Parameter, ...]

    @property
    def never_worked(self) -> bool:
        """Whether none of its steps found any gradient."""
        return not any(step.parameters for step in self.steps)


def check(run: Run) -> Iterator[Finding]:
    """One finding per optimizer."""
    if not any(step.kind == "backward" and step.error is None for step in run.trace.steps):
        return
    for optimizer in _optimizers(run):
        if optimizer.idle and len(optimizer.steps) >= STEPS:
            yield _finding(run, optimizer)
        yield from _added_frozen(run, optimizer)


def _optimizers(run: Run) -> Iterator[Optimizer]:
    steps: dict[str, list[Update]] = {}
    for update in run.trace.updates:
        if update.by == "optimizer":
            steps.setdefault(update.optimizer, []).append(update)
    for label, updates in steps.items():
        owned = [p for p in run.trace.parameters if label in p.optimizers]
        idle = tuple(p for p in owned if _is_idle(p))
        yield Optimizer(label, tuple(updates), idle)


def _is_idle(parameter: Parameter) -> bool:
    return (
        parameter.requires_grad
        and parameter.count > 0
        and not any(parameter.gradients.arrived)
        and not len(parameter.updates)
    )


def _finding(run: Run, optimizer: Optimizer) -> Finding:
    cut = partings(run, optimizer.idle)
    names = [p.name for p in optimizer.idle]
    step = optimizer.steps[0]
    used = [p for p in optimizer.idle if p.index in cut]
    where = cut[used[0].index] if used else None
    told = [p.name for p in used] or names
    return RULE.finding(
        "warning" if used or optimizer.never_worked else "info",
        f"{some(told)} never {'gets' if len(told) == 1 else 'get'} a gradient in "
        f"{count(len(run.trace.steps), 'backward')}, though {optimizer.label}"
        f"{place(step.source)} steps on {'it' if len(told) == 1 else 'them'}"
        + _how(where, optimizer),
        where=Where(
            parameter=(used or optimizer.idle)[0].name,
            op=where.op if where else "",
            module=where.module if where else "",
            variable=where.variable if where else "",
            source=(where.source if where else None) or step.source,
        ),
        steps=(max(step.after_step, 0), max(optimizer.steps[-1].after_step, 0)),
        seen=len(optimizer.steps),
        of=len(optimizer.steps),
        evidence={
            "parameters": len(names),
            "used_in_forward": sum(p.index in cut or p.uses > 0 for p in optimizer.idle),
            "cut_off": len(used),
            "optimizer": optimizer.label,
            "optimizer_steps": len(optimizer.steps),
            "optimizer_never_worked": int(optimizer.never_worked),
        },
        cause=_cause(where, optimizer),
        fix=_fix(where, optimizer),
        silence="requires_grad_(False), or leaving the parameter out of the optimizer.",
    )


def _added_frozen(run: Run, optimizer: Optimizer) -> Iterator[Finding]:
    """Groups that joined the training and cannot take part in it."""
    facts = next((f for f in run.trace.optimizers if f.label == optimizer.label), None)
    for added in facts.additions if facts is not None else ():
        group = [run.trace.parameters[i] for i in added.parameters]
        later = [step for step in optimizer.steps if step.after_step > added.after_step]
        if group and len(later) >= STEPS and all(_is_frozen(p) for p in group):
            yield _frozen(optimizer, added, group, later)


def _is_frozen(parameter: Parameter) -> bool:
    return (
        not parameter.requires_grad
        and not any(parameter.gradients.arrived)
        and not len(parameter.updates)
    )


def _frozen(
    optimizer: Optimizer, added: Addition, group: Sequence[Parameter], later: Sequence[Update]
) -> Finding:
    names = [p.name for p in group]
    them = "it" if len(names) == 1 else "them"
    return RULE.finding(
        "warning",
        f"{some(names)} {'joins' if len(names) == 1 else 'join'} {optimizer.label} after "
        f"{count(added.after_step + 1, 'backward')}{place(added.source)} but still "
        f"{'has' if len(names) == 1 else 'have'} requires_grad=False: none of the "
        f"{count(len(later), 'step')} since then changes {them}",
        where=Where(parameter=names[0], source=added.source),
        steps=(max(added.after_step, 0), max(later[-1].after_step, 0)),
        seen=len(later),
        of=len(later),
        evidence={"parameters": len(names), "optimizer": optimizer.label},
        cause="An optimizer skips parameters that get no gradient; handing them over does not "
        "unfreeze them.",
        fix="body.requires_grad_(True)  # before optimizer.add_param_group",
        silence="Not handing over what stays frozen.",
    )


def _how(where: Parting | None, optimizer: Optimizer) -> str:
    if where is not None:
        return f": {where.text}"
    if optimizer.never_worked:
        return ": none of its steps found a gradient"
    unused = sum(not p.uses for p in optimizer.idle)
    if unused == len(optimizer.idle):
        return ": no forward pass that builds a graph uses " + ("it" if unused == 1 else "them")
    return "" if unused else ": a forward pass uses what no loss depends on"


def _cause(where: Parting | None, optimizer: Optimizer) -> str:
    if where is not None:
        return where.cause
    if optimizer.never_worked:
        return (
            "The optimizer holds other tensors than those that the loss depends on: the model was "
            "made anew, moved, or cut off from the loss."
        )
    if not any(p.uses for p in optimizer.idle):
        return (
            "The layer is never called, or only under torch.no_grad(), or it is one of several of "
            "which the data has chosen others so far."
        )
    return "Its result is not needed, or it is cut off from the loss."


def _fix(where: Parting | None, optimizer: Optimizer) -> str:
    if where is not None:
        return where.fix
    if optimizer.never_worked:
        return "optimizer = torch.optim.SGD(model.parameters(), lr=lr)  # of the model that is used"
    return "h = layer(h)  # in forward; or leave the layer out"
