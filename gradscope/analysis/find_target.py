"""From a name as the user types it to a node of a graph, or one sentence why there is none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from gradscope.analysis.flags import leaf_name
from gradscope.analysis.titles import titles
from gradscope.errors import UsageError
from gradscope.model.graph import Graph
from gradscope.model.trace import Parameter, Step, Trace

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Found:
    """Where a name leads.

    Attributes:
        step: The step.
        graph: Its graph.
        node: The node.
        name: Its full name.
        called: How many nodes of the graph have this name; ``name#2`` asks for another.
    """

    step: Step
    graph: Graph
    node: int
    name: str
    called: int = 1


def find_target(trace: Trace, name: str, step: int | None = None) -> Found:
    """The node that a name means, in one step.

    Args:
        trace: The run.
        name: A parameter, an input or a variable: in full, or its end, such as ``fc1.weight`` for
            ``net.fc1.weight``.
        step: Index of the backward; negative ones count from the end. None: the last kept one
            that reaches it.

    Raises:
        UsageError: The name is unknown or means several things, no gradient reached it, or the
            step was not kept; says which.
    """
    kept = list(trace.graphs)
    wanted = _wanted(trace, step)
    if not kept:
        raise UsageError(_nothing_kept(trace))
    chosen = kept if wanted is None else [_step(kept, wanted)]
    for found_step, graph in reversed(chosen):
        nodes = nodes_by_name(graph, trace.parameters)
        full = _resolved(name, nodes)
        if full is not None:
            ids = nodes[full]
            _demand_gradient(graph, found_step, ids[0], full)
            return Found(found_step, graph, ids[0], full, len(ids))
    raise UsageError(_unknown(trace, name, chosen))


def nodes_by_name(graph: Graph, parameters: Sequence[Parameter]) -> dict[str, list[int]]:
    """Every name that can be asked for, to the nodes that have it, oldest first."""
    found: dict[str, list[int]] = {}
    unique = titles(graph.structure, parameters)
    order = sorted(graph.structure.nodes, key=lambda node: (node.order, node.id))
    for node in order:
        is_leaf = node.op == "AccumulateGrad"
        plain = leaf_name(node, parameters) if is_leaf else node.label
        for called in dict.fromkeys((plain, unique[node.id] if plain else "")):
            if called:
                found.setdefault(called, []).append(node.id)
    return found


def _resolved(name: str, nodes: dict[str, list[int]]) -> str | None:
    """The full name; None where nothing fits.

    Raises:
        UsageError: Several names end like that.
    """
    if name in nodes:
        return name
    ends = [full for full in nodes if full.endswith(f".{name}")]
    if len(ends) > 1:
        raise UsageError(f"{name!r} means several things: {_listed(ends)}; give more of the name.")
    return ends[0] if ends else None


def _wanted(trace: Trace, step: int | None) -> int | None:
    """The step's index, counted from 0."""
    if step is None:
        return None
    count = len(trace.steps)
    if not -count <= step < count:
        ran = "1 backward" if count == 1 else f"{count:,} backwards"
        raise UsageError(f"there is no step {step}: the program ran {ran}, counted from 0.")
    return step % count


def _step(kept: list[tuple[Step, Graph]], wanted: int) -> tuple[Step, Graph]:
    for found in kept:
        if found[0].index == wanted:
            return found
    nearest = sorted((s.index for s, _ in kept), key=lambda index: abs(index - wanted))
    near = ", ".join(map(str, sorted(nearest[:_SHOWN])))
    raise UsageError(f"the graph of step {wanted} was not kept; kept are, among others, {near}.")


def _demand_gradient(graph: Graph, step: Step, node: int, name: str) -> None:
    known = [
        graph.gradients[node, nr]
        for nr in range(graph.structure.nodes[node].inputs)
        if (node, nr) in graph.gradients
    ]
    if node in graph.structure.roots:
        raise UsageError(f"{name} is where the backward of step {step.index} began: name a leaf.")
    if known and all(stats is None for stats in known):
        raise UsageError(
            f"{name} is on the graph of step {step.index}, but the engine delivered None to it: "
            "no op on the way computed a gradient for it."
        )
    if not known:
        why = f"the backward failed: {step.error}" if step.error else "it was not measured"
        raise UsageError(f"no gradient of {name} is known for step {step.index}: {why}.")


def _nothing_kept(trace: Trace) -> str:
    if not trace.steps:
        return "the program ran no backward, so no gradient flowed."
    return "no whole graph was kept; flow needs the level ops."


def _unknown(trace: Trace, name: str, chosen: Sequence[tuple[Step, Graph]]) -> str:
    """Why no graph has the name: a parameter that no path reaches, or a slip."""
    where = f"step {chosen[0][0].index}" if len(chosen) == 1 else "any backward that was kept"
    owned = [p.name for p in trace.parameters]
    for full in owned:
        if full == name or full.endswith(f".{name}"):
            return (
                f"{full} is on no path from the loss in {where}, so it got no gradient: it was "
                "not used, or cut off by detach or no_grad."
            )
    labels = [n for _, graph in chosen for n in nodes_by_name(graph, trace.parameters)]
    return f"nothing is called {name!r} in {where}; {_suggestion(name, [*owned, *labels])}."


def _suggestion(name: str, names: Iterable[str]) -> str:
    known = list(dict.fromkeys(full for full in names if full))
    by_end = {full: full for full in known}
    for full in known:
        parts = full.split(".")
        for start in range(1, len(parts)):
            by_end.setdefault(".".join(parts[start:]), full)
    close = get_close_matches(name, by_end, n=3, cutoff=0.6)
    found = list(dict.fromkeys(by_end[each] for each in close))
    if found:
        return f"did you mean {_listed(found, 'or')}?".rstrip("?")
    return f"there are {_listed(known)}" if known else "nothing there has a name"


def _listed(names: Sequence[str], word: str = "and") -> str:
    shown = list(names[:_SHOWN])
    if len(names) > _SHOWN:
        return f"{', '.join(shown)} {word} {len(names) - _SHOWN} more"
    return f"{', '.join(shown[:-1])} {word} {shown[-1]}" if len(shown) > 1 else shown[0]
