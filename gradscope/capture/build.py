"""RawGraph → Graph: attribution, labels, numbers. Runs after the backward, without torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from gradscope.capture.raw import Heard, RawGraph, Slot
from gradscope.capture.reduce import measured
from gradscope.capture.source import place, targets
from gradscope.capture.walk import PLUMBING
from gradscope.capture.windows import Window
from gradscope.model.graph import Edge, Graph, Node, NodeKind, Source, Structure
from gradscope.model.stats import TensorStats


class Builder:
    """Builds graphs and stores equal structures once."""

    def __init__(self) -> None:
        self._structures: dict[tuple[Any, ...], Structure] = {}

    def build(self, raw: RawGraph) -> Graph:
        """The finished graph of one backward."""
        values, gradients = _values(raw), _gradients(raw)
        order = _creation_order(raw)
        iterations = _iterations(raw, order)
        calls = _call_ranks(raw, order)
        labels = _labels(raw, order)
        inputs = _input_counts(raw, values)
        nodes = tuple(
            replace(
                _node(raw, i, order.get(i, -1), labels, iterations, calls),
                inputs=inputs.get(i, 1),
                shape=_shape(raw, i, values, gradients),
            )
            for i in range(len(raw.ops))
        )
        edges = tuple(Edge(*edge) for edge in raw.edges)
        structure = Structure(nodes, edges, raw.roots, raw.plan.truncated)
        structure = self._structures.setdefault((nodes, edges, raw.roots), structure)
        contributions = {e: _stats(heard) for e, heard in raw.contributions.items()}
        traits = raw.traits.finished() if raw.traits is not None else {}
        constants = raw.constants
        return Graph(
            structure, values, gradients, contributions, raw.backward_ran, traits, constants
        )


def _input_counts(raw: RawGraph, values: Iterable[Slot]) -> dict[int, int]:
    """How many forward outputs of each node were seen in use."""
    counts: dict[int, int] = {}
    slots = [*raw.gradients, *values, *((e[2], e[3]) for e in raw.edges)]
    for node, output_nr in slots:
        counts[node] = max(counts.get(node, 1), output_nr + 1)
    return counts


def _shape(
    raw: RawGraph,
    node: int,
    values: dict[Slot, TensorStats],
    gradients: dict[Slot, TensorStats | None],
) -> tuple[int, ...] | None:
    known = values.get((node, 0)) or gradients.get((node, 0))
    return known.shape if known is not None else raw.shapes.get(node)


def _creation_order(raw: RawGraph) -> dict[int, int]:
    made = sorted((s, i) for i, s in enumerate(raw.sequence) if s >= 0)
    return {node: rank for rank, (_, node) in enumerate(made)}


def _iterations(raw: RawGraph, order: dict[int, int]) -> dict[int, int]:
    """Per node: which execution of its place in the code it belongs to, 1-based."""
    seen: dict[object, dict[int, int]] = {}
    ranks: dict[int, int] = {}
    for node in order:
        window = raw.windows[node]
        if window is not None and window.code is not None:
            executions = seen.setdefault((window.code, window.lasti), {})
            ranks[node] = executions.setdefault(window.execution, len(executions) + 1)
    return ranks


def _call_ranks(raw: RawGraph, order: dict[int, int]) -> dict[int, tuple[int, ...]]:
    """Per node: which call, 1-based, of every module on its path, outermost first."""
    ranks: dict[int, tuple[int, ...]] = {}  # serial of a call → ranks down to it
    counts: dict[tuple[int, str], int] = {}
    found: dict[int, tuple[int, ...]] = {}
    for node in order:
        window = raw.windows[node]
        chain = []
        call = window.call if window is not None else None
        while call is not None and call.serial not in ranks:
            chain.append(call)
            call = call.parent
        for call in reversed(chain):
            key = (call.site.root.id, call.site.path)
            counts[key] = counts.get(key, 0) + 1
            above = ranks[call.parent.serial] if call.parent is not None else ()
            ranks[call.serial] = (*above, counts[key])
        if window is not None and window.call is not None:
            found[node] = ranks[window.call.serial]
    return found


def _labels(raw: RawGraph, order: dict[int, int]) -> dict[int, str]:
    """Names alive at the backward first, then what the user's line assigned the result to."""
    last: dict[int, int] = {}
    for node in order:
        window = raw.windows[node]
        if window is not None:
            last[window.execution] = node
    labels: dict[int, str] = {}
    for node in order:
        window = raw.windows[node]
        if window is None or window.code is None or last.get(window.execution) != node:
            continue
        name = _assigned(window, raw.sequence[node])
        if name:
            labels[node] = name
    return labels | _alive(raw)


def _alive(raw: RawGraph) -> dict[int, str]:
    """Names found in variables; those of a node with several outputs one after the other."""
    names: dict[int, dict[int, str]] = {}
    for (node, output_nr), name in raw.names.items():
        names.setdefault(node, {}).setdefault(output_nr, name)
    return {node: ", ".join(by[nr] for nr in sorted(by)) for node, by in names.items()}


def _assigned(window: Window, sequence: int) -> str:
    if window.code is None:
        return ""
    names = targets(window.code, window.lasti)
    if len(names) <= 1:
        return names[0] if names else ""
    here = [position for made_by, _, position, _ in window.results if made_by == sequence]
    return names[here[0]] if len(here) == 1 and here[0] < len(names) else ", ".join(names)


def _node(
    raw: RawGraph,
    i: int,
    order: int,
    labels: dict[int, str],
    iterations: dict[int, int],
    calls: dict[int, tuple[int, ...]],
) -> Node:
    leaf = raw.leaves.get(i)
    if leaf is not None:
        kind: NodeKind = "loss" if i in raw.roots else leaf.kind
        name = leaf.name or f"tensor{list(leaf.shape)}"
        return Node(i, kind, raw.ops[i], label=name, parameter=leaf.index)
    window = raw.windows[i]
    kind = "loss" if i in raw.roots else "op"
    call = window.call if window else None
    return Node(
        id=i,
        kind=kind,
        op=raw.ops[i],
        call=function_name(window.function) if window else "",
        label=labels.get(i, ""),
        module=_module_path(raw, window),
        module_type=call.site.types[-1] if call else "",
        module_call=calls[i][-1] if i in calls else 0,
        module_calls=calls.get(i, ()),
        module_types=call.site.types if call else (),
        source=_source(window),
        operands=window.operands if window else (),
        iteration=iterations.get(i, 0),
        order=order,
    )


def _module_path(raw: RawGraph, window: Window | None) -> str:
    if window is None or window.call is None:
        return ""
    site = window.call.site
    name = raw.module_names.get(site.root.id, "") or site.root.name or site.types[0]
    return f"{name}.{site.path}" if site.path else name


def _source(window: Window | None) -> Source | None:
    if window is None or window.code is None:
        return None
    return place(window.code, window.lasti)


def function_name(function: Any) -> str:
    """What the user called: ``cross_entropy``, ``add``, ``MyFunction``."""
    name = getattr(function, "__name__", "") or str(function)
    if name in ("__get__", "__set__"):  # of a property such as ``Tensor.real``
        name = getattr(getattr(function, "__self__", None), "__name__", name)
    if name.startswith("__") and name.endswith("__"):
        name = name.strip("_")
    return str(name)


def _stats(heard: Heard) -> TensorStats | None:
    return None if heard is None else measured(heard).stats()


def _values(raw: RawGraph) -> dict[Slot, TensorStats]:
    values = {slot: found.stats() for slot, found in raw.values().items()}
    _fill_views(raw, values)
    return values


def _fill_views(raw: RawGraph, values: dict[Slot, TensorStats]) -> None:
    """A view's value is its source's, in another shape."""
    sources = {e[0]: (e[2], e[3]) for e in raw.edges if raw.ops[e[0]] in PLUMBING}
    for node in sorted(sources, key=lambda n: raw.sequence[n]):
        value = values.get(sources[node])
        shape = raw.shapes.get(node)
        if value is not None and (node, 0) not in values and shape is not None:
            values[node, 0] = replace(value, shape=shape)


def _gradients(raw: RawGraph) -> dict[Slot, TensorStats | None]:
    found = {slot: _stats(heard) for slot, heard in raw.gradients.items()}
    outgoing = {e[0]: index for index, e in enumerate(raw.edges)}
    for node in reversed(raw.plan.passes):
        edge = outgoing[node]
        known = raw.contributions if edge in raw.contributions else None
        target = raw.edges[edge][2:]
        if known is None and (target not in found or edge in raw.plan.meeting):
            continue
        sent = _stats(known[edge]) if known is not None else found[target]
        shape = raw.shapes.get(node)
        found[node, 0] = replace(sent, shape=shape) if sent and shape is not None else sent
    return found
