"""Where what was computed from a parameter leaves the way to the loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gradscope.analysis.paths import op_base
from gradscope.diagnose.around import leaves_of, users_of
from gradscope.diagnose.cutting import (
    CHOICES,
    STRAIGHT_THROUGH,
    advice_between,
    is_changed_there,
    likeliest_first,
)
from gradscope.diagnose.fresh import is_fresh
from gradscope.diagnose.run import Run
from gradscope.diagnose.withheld import withheld
from gradscope.diagnose.words import code, name, op_in_line, place
from gradscope.model.events import Cut
from gradscope.model.graph import Source
from gradscope.model.trace import Parameter

STEPS = 3  # RULES: a statistical rule speaks after so many
ENOUGH = 50  # elements: with fewer many numbers look freshly drawn
_LOOKING_UP = frozenset({"Embedding", "Index", "IndexSelect", "Gather"})


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


def partings(run: Run, idle: Sequence[Parameter]) -> dict[int, Parting]:
    """Index of the parameter to where its result was cut off, or else was used in vain.

    A result that parameters in training lead to as well may just not be needed.
    """
    wanted = {p.index for p in idle}
    found = _used_in_vain(run, wanted) | _by_functions(run, wanted) | _by_blocks(run, wanted)
    return found | _by_numbers(run, wanted) | _by_calls(run, wanted) | _by_codes(run, wanted)


def _by_calls(run: Run, wanted: set[int]) -> dict[int, Parting]:
    """Calls that cut off what only these parameters lead to; the likeliest first."""
    inputs = {p.index for p in run.trace.parameters if p.kind == "input"}
    found: dict[int, Parting] = {}
    for cut in likeliest_first(run.trace.cuts):
        leaves = set(cut.parameters) - inputs
        if cut.source is None or not leaves or not wanted.issuperset(leaves):
            continue
        if cut.steps or is_changed_there(cut):
            continue
        parting = _parting(cut, *advice_between(cut))
        for index in leaves:
            found.setdefault(index, parting)
    return found


def _by_numbers(run: Run, wanted: set[int]) -> dict[int, Parting]:
    """Numbers in a loss: of what leads there, only that way, others lead to as well (a trunk)."""
    found: dict[int, Parting] = {}
    for cut in likeliest_first(run.trace.cuts):
        if cut.into_loss:
            for index in wanted.intersection(cut.parameters):
                found.setdefault(index, _parting(cut, *advice_between(cut)))
    return found


def _by_blocks(run: Run, wanted: set[int]) -> dict[int, Parting]:
    """Blocks without a graph in front of layers that are trained, over weights nobody trained.

    An extractor that was trained before is kept so on purpose.
    """
    found: dict[int, Parting] = {}
    backwards = sum(step.kind == "backward" for step in run.trace.steps)
    for cut in run.trace.cuts:
        enough = cut.steps >= STEPS and 2 * cut.steps >= backwards
        if not enough or not cut.parameters or not wanted.issuperset(cut.parameters):
            continue
        if _are_fresh([run.trace.parameters[i] for i in cut.parameters]):
            found |= dict.fromkeys(cut.parameters, _block(cut))
    return found


def _are_fresh(parameters: Sequence[Parameter]) -> bool:
    judged = {p.index: is_fresh(p) for p in parameters}
    told = sum(p.count for p in parameters if judged[p.index])
    return told >= ENOUGH and False not in judged.values()


def _block(cut: Cut) -> Parting:
    line = f"{name(code(cut.source))}{place(cut.source)}" if cut.source else name(cut.op)
    return Parting(
        f"{line} records no graph of the result, which trained layers work on, and the values "
        "still are as random as when they were made",
        cut.op,
        cut.source,
        cause="Grad mode is off in there, so that no gradient passes, and what comes behind "
        "learns on a random projection.",
        fix="h = encoder(x)  # outside of no_grad(); or leave the encoder out of the optimizer",
    )


def _by_functions(run: Run, wanted: set[int]) -> dict[int, Parting]:
    """Custom Functions that get a gradient and return None for the parameter."""
    backward = {function.name: function.source for function in run.trace.functions}
    found: dict[int, Parting] = {}
    for index, left_out in withheld(run, wanted).items():
        node, function = left_out.node, left_out.function
        found[index] = Parting(
            f"{name(f'{function}.backward')} returns None in its place, though a gradient arrives "
            f"at {op_in_line(node)}",
            node.op,
            backward.get(function) or node.source,
            node.module,
            cause=f"The gradient of tensor argument {left_out.place + 1} of "
            f"{name(f'{function}.apply')} is left out in backward.",
            fix=f"return ..., grad_{left_out.place + 1}, ...  # in {function}.backward, one "
            f"gradient per argument: the one of tensor argument {left_out.place + 1} in the place "
            "of None",
        )
    return found


def _by_codes(run: Run, wanted: set[int]) -> dict[int, Parting]:
    """Choices of the nearest entry of a table, from which the result is then taken."""
    found: dict[int, Parting] = {}
    tables: set[int] | None = None
    for cut in run.trace.cuts:
        leaves, others = wanted.intersection(cut.parameters), set(cut.parameters) - wanted
        if cut.op in CHOICES and cut.source is not None and leaves and others:
            tables = _tables(run) if tables is None else tables
            if tables.issuperset(others):
                found |= dict.fromkeys(leaves, _parting(cut, *STRAIGHT_THROUGH))
    return found


def _tables(run: Run) -> set[int]:
    """Parameters that are looked up in."""
    found: set[int] = set()
    for _, graph in run.trace.graphs[-1:]:
        structure = graph.structure
        for index, leaf in leaves_of(graph).items():
            users = [structure.edges[edge].source for edge in structure.incoming[leaf.id]]
            if any(op_base(structure.nodes[user].op) in _LOOKING_UP for user in users):
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
