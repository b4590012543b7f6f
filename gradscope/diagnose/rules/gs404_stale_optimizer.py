"""The optimizer holds parameters of a model, or of a layer, that was replaced after it was made.

What: An optimizer steps on parameters that get no gradient (any more), while others of the same
kind, which no optimizer holds and nothing updates, get one in every backward. Either the old ones
have been in no module that ever ran, or they stopped getting gradients when the new ones, of
exactly the same shapes, began to. A layer that is merely unused is still in its module, moving a
model with ``.to()`` keeps its parameters, and an optimizer made anew together with the model holds
the new ones.

Why it hurts: What is new keeps its random weights for ever; where the whole model is new, nothing
is trained at all.

Example::

    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    model.fc = nn.Linear(512, 10)

Instead::

    model.fc = nn.Linear(512, 10)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from gradscope.diagnose.optimizers import Optimizer, arrivals, optimizers
from gradscope.diagnose.rule import Rule
from gradscope.diagnose.run import Run
from gradscope.diagnose.words import count, place, some
from gradscope.model.finding import Finding, Where
from gradscope.model.trace import Parameter, Update

RULE = Rule("GS404", "stale-optimizer", "An optimizer holds parameters that were replaced.")

BACKWARDS = 3  # that gave the new parameters a gradient
STEPS = 3  # of the optimizer meanwhile


def check(run: Run) -> Iterator[Finding]:
    """One finding per optimizer."""
    new = [p for p in run.trace.parameters if _is_unheld(p) and len(arrivals(p)) >= BACKWARDS]
    if not new:
        return
    for optimizer in optimizers(run):
        for replaced in (_outside(optimizer, new), _left_behind(optimizer, new)):
            steps = _meanwhile(optimizer, replaced[1])
            if all(replaced) and len(steps) >= STEPS:
                yield _finding(optimizer, *replaced, steps)
                break


def _is_unheld(parameter: Parameter) -> bool:
    owned = parameter.optimizers or len(parameter.updates)
    return parameter.kind == "parameter" and parameter.requires_grad and not owned


def _outside(
    optimizer: Optimizer, new: Sequence[Parameter]
) -> tuple[list[Parameter], list[Parameter]]:
    """What it holds that no module ever held and no backward ever reached; what may replace it."""
    unused = [p for p in optimizer.held if not any(p.gradients.arrived) and not len(p.updates)]
    if any(p.registered is not None or p.uses for p in unused):
        return [], []
    return (unused, list(new)) if _is_replaced(unused, new) else ([], [])


def _is_replaced(old: Sequence[Parameter], new: Sequence[Parameter]) -> bool:
    """Whether the new ones have as many of each number of dimensions, and a matrix that fits."""
    wanted, given = (Counter(len(p.shape) for p in those) for those in (old, new))
    matrices = [p.shape for p in old if len(p.shape) > 1]
    fits = any(
        len(p.shape) == len(shape) and sum(map(int.__eq__, p.shape, shape)) >= len(shape) - 1
        for p in new
        for shape in matrices
    )
    return bool(wanted) and wanted <= given and fits


def _left_behind(
    optimizer: Optimizer, new: Sequence[Parameter]
) -> tuple[list[Parameter], list[Parameter]]:
    """What it holds that stopped getting gradients when its likes began to; those likes."""
    begins = min(arrivals(p)[0] for p in new)
    old = [p for p in optimizer.held if (got := arrivals(p)) and got[-1] < begins]
    wanted, given = (Counter(p.shape for p in those) for those in (old, new))
    most = Counter(p.shape for p in optimizer.held if len(p.shape) > 1)
    stays = any(len(shape) > 1 and number == wanted[shape] for shape, number in most.items())
    return (old, list(new)) if wanted and wanted <= given and stays else ([], [])


def _meanwhile(optimizer: Optimizer, new: Sequence[Parameter]) -> list[Update]:
    """Its steps since the new parameters get gradients."""
    begins = min((arrivals(p)[0] for p in new), default=0)
    return [update for update in optimizer.updates if update.after_step >= begins]


def _finding(
    optimizer: Optimizer,
    old: Sequence[Parameter],
    new: Sequence[Parameter],
    steps: Sequence[Update],
) -> Finding:
    idle = not any(step.parameters for step in steps)
    names = [p.name for p in new]
    seen = max(len(arrivals(p)) for p in new)
    made = optimizer.facts.source
    return RULE.finding(
        "error" if idle else "warning",
        f"{optimizer.label}{place(made)} holds {count(len(old), 'parameter')} of "
        f"{'a model' if idle else 'a layer'} that was replaced: {some(names)} "
        f"{'gets' if len(names) == 1 else 'get'} the gradients instead, in "
        f"{count(seen, 'backward')}, and no optimizer holds {'it' if len(names) == 1 else 'them'}",
        where=Where(parameter=names[0], source=made or steps[0].source),
        steps=(max(steps[0].after_step, 0), max(steps[-1].after_step, 0)),
        seen=len(steps),
        of=len(optimizer.updates),
        evidence={
            "optimizer": optimizer.label,
            "replaced": len(old),
            "held_by_none": len(new),
            "step_line": place(steps[0].source).strip(" ()"),
        },
        cause="The model, or one of its layers, was made anew after the optimizer had taken the "
        "parameters of the old one.",
        fix="optimizer = torch.optim.SGD(model.parameters(), lr=lr)  # after the last change of "
        "model, and again for each new one",
        silence="An optimizer of the parameters that are trained.",
    )
