"""What a forgotten parameter is told with: who is held instead of it, in the script's own names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gradscope.diagnose.optimizers import Optimizer, arrivals, optimizers
from gradscope.diagnose.run import Run
from gradscope.diagnose.words import name, place, some
from gradscope.model.graph import Node, Source
from gradscope.model.trace import Parameter

_MOST = 3  # names of parts in a line of code


class Told(NamedTuple):
    """What is known beyond the reason.

    Attributes:
        text: The end of the message.
        cause: One or two sentences.
        fix: What to change.
        source: The line to change; None: that of the reason.
    """

    text: str
    cause: str
    fix: str
    source: Source | None = None


def wrong_holder(run: Run, idle: Sequence[Parameter]) -> Told | None:
    """The optimizer that steps after their backwards and holds what another one holds as well."""
    reached = {step for parameter in idle for step in arrivals(parameter)}
    known = [found for found in optimizers(run) if found.held and found.updates]
    for wrong in known:
        others = [o for o in known if o is not wrong and _holds_all(o, wrong)]
        if _steps_after(wrong, reached) and others and not _steps_after(others[0], reached):
            return _of_holder(wrong, others[0], idle)
    return None


def _holds_all(other: Optimizer, wrong: Optimizer) -> bool:
    return {p.index for p in wrong.held} <= {p.index for p in other.held}


def _steps_after(optimizer: Optimizer, reached: set[int]) -> bool:
    return 2 * sum(u.after_step in reached for u in optimizer.updates) > len(optimizer.updates)


def _of_holder(wrong: Optimizer, other: Optimizer, idle: Sequence[Parameter]) -> Told:
    line = wrong.facts.source
    return Told(
        f": {_spoken(wrong)}, which steps after their backward, holds "
        f"{some([p.name for p in wrong.held])} in their place, the same as {_spoken(other)}",
        "Two optimizers hold the same parameters, and those that the first is for are in neither.",
        _instead(wrong, [p.name for p in idle]),
        line,
    )


def _spoken(optimizer: Optimizer) -> str:
    line = optimizer.facts.source
    return f"{name((line.expression if line else '') or optimizer.label)}{place(line)}"


def _instead(wrong: Optimizer, idle: Sequence[str]) -> str:
    """The line that makes it, with the parameters that it is for."""
    mine, theirs = parts(idle, [p.name for p in wrong.held])
    if not mine:
        return "optimizer = torch.optim.Adam([...], lr=lr)  # the parameters that are forgotten"
    old, new = f"{theirs[0]}.parameters()", _listed(mine, idle)
    written = wrong.facts.source.expression if wrong.facts.source is not None else ""
    if old in written:
        return f"{written.replace(old, new, 1)}  # not those of {theirs[0]}"
    return f"optimizer = {wrong.label.partition('#')[0]}({new}, lr=lr)"


def made_anew(parameter: Parameter, user: Node) -> Told | None:
    """A layer that every forward pass makes: its tensors are others every time.

    The uses of the last one are far fewer than the backwards that found one of that name.
    """
    backwards = sum(parameter.gradients.arrived)
    if parameter.registered is not None or not 0 < 4 * parameter.uses <= backwards:
        return None
    called = user.source.expression if user.source is not None else ""
    variable = called.partition("(")[0]
    variable = variable if variable.isidentifier() else "layer"
    kind = user.module_type
    return Told(
        f": the {name(kind)}{f' of {name(called)}' if called else ''} is made anew in every "
        "forward pass, each time with other tensors of the same shapes",
        "A layer that forward makes starts from random weights every time, and the optimizer, "
        "which was given the parameters before, knows none of them.",
        f"self.{variable} = {kind}(...)  # in __init__; forward calls self.{variable}",
    )


def both(idle: Sequence[Parameter], trained: Sequence[Parameter]) -> str:
    """The optimizer that holds all of them, in the names of the script; empty without names."""
    names = [[p.name for p in group] for group in (idle, trained)]
    mine, theirs = parts(*names)
    if not mine:
        return ""
    kind = next((o.partition("#")[0] for p in trained for o in p.optimizers), "Adam")
    root = _common([text.split(".") for group in names for text in group])
    given = f"{_written(root)}.parameters()" if root else _listed([*mine, *theirs], *names)
    frozen = f"  # or {mine[0]}.requires_grad_(False)" if len(mine) == 1 else ""
    return f"optimizer = {kind}({given}, lr=lr){frozen}"


def parts(mine: Sequence[str], theirs: Sequence[str]) -> tuple[list[str], list[str]]:
    """What tells two groups of parameters apart: ``net.encoder`` and ``net.decoder``.

    Empty for a group without names, or where no part belongs to one group alone.
    """
    groups = [[text.split(".") for text in names] for names in (mine, theirs)]
    every = [path for group in groups for path in group]
    if not all(groups) or not all(path[0].isidentifier() for path in every):
        return [], []
    depth = len(_common(every)) + 1
    first, second = (list(dict.fromkeys(_written(p[:depth]) for p in group)) for group in groups)
    return ([], []) if set(first) & set(second) else (first, second)


def _common(paths: Sequence[Sequence[str]]) -> Sequence[str]:
    """The modules that all of them are in."""
    depth = 0
    while depth < min(map(len, paths)) - 1 and len({path[depth] for path in paths}) == 1:
        depth += 1
    return paths[0][:depth]


def _written(path: Sequence[str]) -> str:
    """A path as code: ``net[0].fc`` of ``net.0.fc``."""
    return "".join(f"[{p}]" if p.isdigit() else f".{p}" for p in path).lstrip(".")


def _listed(shown: Sequence[str], *names: Sequence[str]) -> str:
    """A list of all parameters of those modules, and of tensors that are in none."""
    tensors = {_written(text.split(".")) for group in names for text in group}
    items = [text if text in tensors else f"*{text}.parameters()" for text in shown[:_MOST]]
    if len(shown) == 1 and shown[0] not in tensors:
        return f"{shown[0]}.parameters()"
    return f"[{', '.join(items)}{', ...' if len(shown) > _MOST else ''}]"
