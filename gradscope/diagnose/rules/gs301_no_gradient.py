"""A parameter that an optimizer steps on never gets a gradient, while others do.

What: An optimizer holds the parameter, steps again and again, other parameters get gradients, and
this one gets None from every backward (not 0: nothing connects it with the loss) and no update. It
is a warning where the omission cannot be a choice: what was computed from the parameter and only
its likes was cut out of the graph, at a line that is named, or no backward ever used it, or an
optimizer finds no gradient at all in any of its steps. A layer that is simply not used is only
told. Frozen parameters, target networks and teachers, which no optimizer holds, are not looked at.

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

from gradscope.analysis.paths import op_base
from gradscope.diagnose.around import leaves_of, users_of
from gradscope.diagnose.cutting import STRAIGHT_THROUGH, advice, likeliest_first
from gradscope.diagnose.rule import Rule
from gradscope.diagnose.run import Run
from gradscope.diagnose.words import code, count, name, op_in_line, place, some
from gradscope.model.events import Cut
from gradscope.model.finding import Finding, Where
from gradscope.model.graph import Source
from gradscope.model.trace import Parameter, Update

RULE = Rule("GS301", "no-gradient", "An optimizer's parameter never gets a gradient.")

STEPS = 3  # of the optimizer that holds it
_CHOICES = frozenset({"argmin", "argmax", "argsort"})
_LOOKING_UP = frozenset({"Embedding", "Index", "IndexSelect", "Gather"})


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
    cut = _cut_off(run, optimizer.idle)
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


@dataclass(frozen=True)
class Parting:
    """Where a parameter's result leaves the way to the loss.

    Attributes:
        text: The end of the message.
        op: What cuts it off, or the op that uses the parameter.
        source: The line to change.
        module: The module that uses it.
        variable: What is cut off.
        cause: Why that cuts it off.
        fix: What to write instead.
    """

    text: str
    op: str
    source: Source | None
    module: str = ""
    variable: str = ""
    cause: str = (
        "Something between its result and the loss cuts the graph: detach(), .data, .item(), "
        "numpy(), argmax, or torch.no_grad()."
    )
    fix: str = (
        "loss = criterion(decoder(code), y)  # without detach(), .data, .item(), numpy() or "
        "no_grad() in between"
    )


def _cut_off(run: Run, idle: Sequence[Parameter]) -> dict[int, Parting]:
    """Index of the parameter to where its result was cut off, or else was used in vain.

    A result that parameters in training lead to as well may just not be needed.
    """
    wanted = {p.index for p in idle}
    return _used_in_vain(run, wanted) | _by_calls(run, wanted) | _by_codes(run, wanted)


def _by_calls(run: Run, wanted: set[int]) -> dict[int, Parting]:
    """Calls that cut off what only these parameters lead to; the likeliest first."""
    inputs = {p.index for p in run.trace.parameters if p.kind == "input"}
    found: dict[int, Parting] = {}
    for cut in likeliest_first(run.trace.cuts):
        leaves = set(cut.parameters) - inputs
        if cut.source is not None and leaves and wanted.issuperset(leaves):
            parting = _parting(cut, *advice(cut))
            for index in leaves:
                found.setdefault(index, parting)
    return found


def _by_codes(run: Run, wanted: set[int]) -> dict[int, Parting]:
    """Choices of the nearest entry of a table, from which the result is then taken."""
    found: dict[int, Parting] = {}
    tables: set[int] | None = None
    for cut in run.trace.cuts:
        leaves, others = wanted.intersection(cut.parameters), set(cut.parameters) - wanted
        if cut.op in _CHOICES and cut.source is not None and leaves and others:
            tables = _tables(run) if tables is None else tables
            if tables.issuperset(others):
                found |= dict.fromkeys(leaves, _parting(cut, *STRAIGHT_THROUGH))
    return found


def _tables(run: Run) -> set[int]:
    """Parameters that are looked up in."""
    found: set[int] = set()
    for _, graph in run.trace.graphs[-1:]:
        nodes = graph.structure.nodes
        for index, leaf in leaves_of(graph).items():
            users = users_of(graph.structure, leaf.id)
            if any(op_base(nodes[user].op) in _LOOKING_UP for user in users):
                found.add(index)
    return found


def _parting(cut: Cut, cause: str, fix: str) -> Parting:
    what = name(cut.variable) if cut.variable else "the result"
    line = f"{name(code(cut.source))}{place(cut.source)}" if cut.source else "a call"
    text = f"{name(cut.op)} in {line} cuts {what} off"
    fix = fix.replace("{}", cut.variable or "h")
    return Parting(text, cut.op, cut.source, "", cut.variable, cause, fix)


def _used_in_vain(run: Run, wanted: set[int]) -> dict[int, Parting]:
    """Ops that used these parameters, and no others, in a forward pass without a backward."""
    found: dict[int, Parting] = {}
    for graph in run.trace.forward_graphs:
        leaves = {i: leaf for i, leaf in leaves_of(graph).items() if leaf.kind == "parameter"}
        if not wanted.issuperset(leaves):
            continue
        for index, leaf in leaves.items():
            users = users_of(graph.structure, leaf.id)
            if users:
                user = graph.structure.nodes[min(users)]
                text = f"{op_in_line(user)} uses it, but no loss was computed from the result"
                found.setdefault(index, Parting(text, user.op, user.source, user.module))
    return found
