"""A parameter gets gradients, others are updated, and nobody ever updates this one.

What: Backward after backward a parameter that requires a gradient receives one, other parameters
are updated, but this one never, by no optimizer and not by hand. It is a warning where the
omission cannot be a choice: layers that the model calls among those it trains without having
registered them (a Python list, a plain tensor), a gap in the middle of what is trained, a small
classifier behind it, an encoder before it whose weights are still those of the initialisation, or
an optimizer that holds parameters nobody uses any more instead. Otherwise (only a small head is
trained, a backbone was trained before, a fixed network judges the result, an input is optimised)
it is only told. A network whose values are copied from a trained one, at once or little by little
(a target network, a teacher), is a warning too where it gets gradients and nothing trained lies
behind it: ``torch.no_grad()`` is missing around its forward pass.

Why it hurts: The layer keeps its random initial weights for ever. The rest learns around it, so
the loss falls and nobody notices. A target in the graph costs a second backward pass, and its
gradients add up for as long as the run lasts.

Example::

    self.layers = [nn.Linear(32, 32) for _ in range(4)]     # parameters() does not look into lists

Instead::

    self.layers = nn.ModuleList(nn.Linear(32, 32) for _ in range(4))
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gradscope.diagnose.copies import Copies, Use, copies, use_for_nothing
from gradscope.diagnose.forgotten import Reason, Reasons
from gradscope.diagnose.rule import Rule
from gradscope.diagnose.run import Run
from gradscope.diagnose.words import code, count, name, place, some
from gradscope.model.finding import Finding, Severity, Where
from gradscope.model.trace import Parameter, Update

RULE = Rule(
    "GS403", "parameter-not-in-optimizer", "A parameter gets gradients but is never updated."
)

BACKWARDS = 3  # that gave it a gradient
UPDATES = 3  # of others, by optimizers, after it got its first gradient


def check(run: Run) -> Iterator[Finding]:
    """One finding per reason for all forgotten parameters."""
    updates = [u for u in run.trace.updates if u.by == "optimizer" and u.parameters]
    reasons = Reasons(run)
    found: dict[str, tuple[Reason, list[Parameter]]] = {}
    for parameter in run.trace.parameters:
        if _is_forgotten(parameter, updates):
            reason = reasons.of(parameter)
            found.setdefault(reason.kind, (reason, []))[1].append(parameter)
    for reason, members in _merged(list(found.values())):
        yield _finding(run, reason, members, updates[0])
    for copied in copies(run):
        use = use_for_nothing(run, copied)
        if use is not None:
            yield _target_finding(copied, use)


def _merged(
    found: Sequence[tuple[Reason, list[Parameter]]],
) -> list[tuple[Reason, list[Parameter]]]:
    """What is beyond doubt for some parameters explains the others as well."""
    certain = [(reason, members) for reason, members in found if reason.certain]
    if not certain:
        return list(found)
    rest = [p for reason, members in found if not reason.certain for p in members]
    first, members = certain[0]
    return [(first, members + rest), *certain[1:]]


def _is_forgotten(parameter: Parameter, updates: Sequence[Update]) -> bool:
    owned = parameter.optimizers or len(parameter.updates)
    if owned or not parameter.requires_grad:
        return False
    if parameter.kind != "parameter" and not _is_kept_by_a_module(parameter):
        return False
    history = parameter.gradients
    got = [
        step
        for step, norm, arrived in zip(history.step, history.norm, history.arrived, strict=True)
        if arrived and norm > 0
    ]
    if len(got) < BACKWARDS:
        return False
    return sum(update.after_step >= got[0] for update in updates) >= UPDATES


def _is_kept_by_a_module(parameter: Parameter) -> bool:
    """Whether a plain attribute of a module is one and the same tensor in every backward.

    An input that is kept to look at its gradient is another in every forward pass: the uses of
    the last one are fewer than the backwards.
    """
    kept = parameter.uses >= sum(parameter.gradients.arrived)
    return parameter.registered is False and kept


def _finding(run: Run, reason: Reason, members: Sequence[Parameter], update: Update) -> Finding:
    names = [p.name for p in members]
    steps = [step for p in members for step in p.gradients.step]
    most = max(sum(p.gradients.arrived) for p in members)
    return RULE.finding(
        _grade(reason),
        f"{_getting(names, most)} but {'is' if len(names) == 1 else 'are'} never updated"
        f"{reason.text}",
        where=Where(
            parameter=names[0],
            module=reason.module,
            source=reason.source or update.source,
            nodes=reason.nodes,
            step=reason.step if reason.nodes else None,
        ),
        steps=(min(steps), max(steps)),
        seen=most,
        of=most,
        evidence={
            "parameters": len(members),
            "elements": sum(p.count for p in members),
            "updates_of_others": len(run.trace.updates),
            "reason": reason.kind,
            "step_line": place(update.source).strip(" ()"),
        },
        cause=reason.cause,
        fix=reason.fix,
        silence="requires_grad_(False) for what is not meant to learn: it saves its backward too.",
    )


def _getting(names: list[str], most: int) -> str:
    gets = "gets a gradient" if len(names) == 1 else "get gradients"
    return f"{some(names)} {gets} in {count(most, 'backward')}"


def _target_finding(copied: Copies, use: Use) -> Finding:
    members, line = copied.parameters, copied.line
    names = [p.name for p in members]
    steps = [step for p in members for step in p.gradients.step]
    most = max(sum(p.gradients.arrived) for p in members)
    return RULE.finding(
        "warning",
        f"{_getting(names, most)} that nobody uses: no optimizer holds "
        f"{'it' if len(names) == 1 else 'them'}, {name(code(line))}{place(line)} copies the values",
        where=Where(
            parameter=names[0],
            module=use.node.module,
            source=use.node.source or line,
            nodes=(use.node.id,),
            step=use.step,
        ),
        steps=(min(steps), max(steps)),
        seen=most,
        of=most,
        evidence={
            "parameters": len(members),
            "elements": sum(p.count for p in members),
            "reason": "copied",
            "copy_line": line.location,
        },
        cause="A network that only follows a trained one is part of the graph of the loss, as if "
        "it were to learn as well.",
        fix="with torch.no_grad():  # around the forward pass of the copied network\n"
        "    target = ...",
        silence="requires_grad_(False) for the copied network.",
    )


def _grade(reason: Reason) -> Severity:
    return "warning" if reason.certain else "info"
