"""What the user calls each node of a graph, short enough to stand in a formula."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

from gradscope.analysis.blocks import call_sites, place_of
from gradscope.analysis.flags import leaf_name
from gradscope.analysis.paths import op_base
from gradscope.model.graph import Node, Structure
from gradscope.model.trace import Parameter

LONGEST = 28
"""Characters of an expression that may stand for its result; longer ones lose their middle."""
_LIBRARY = re.compile(r"(?<![\w.])torch\.(?:nn\.functional\.)?(?=\w)")


def titles(structure: Structure, parameters: Sequence[Parameter] = ()) -> tuple[str, ...]:
    """Per node a name that tells it from all others.

    The user's name of the result, else the expression that computed it, else the module, else the
    op. Results of one name are told apart by their modules where these differ, else by ``#2`` in
    the order they were computed.
    """
    sites = call_sites(structure)
    inner = inner_ops(structure)
    found = [_title(node, node.id in inner, place_of(node) in sites) for node in structure.nodes]
    for node in structure.nodes:
        if node.kind in ("parameter", "input") or node.op == "AccumulateGrad":
            found[node.id] = leaf_name(node, parameters) or node.kind
    return _told_apart(structure, found)


def inner_ops(structure: Structure) -> frozenset[int]:
    """Ops whose result only another op of the same call uses."""
    inner = set()
    for edge in structure.edges:
        source, target = structure.nodes[edge.source], structure.nodes[edge.target]
        if target.kind == "op" and source.source is not None and _call(source) == _call(target):
            inner.add(target.id)
    return frozenset(inner)


def _call(node: Node) -> tuple[object, ...]:
    return (node.source, node.iteration, node.call, node.module, node.module_call)


def _title(node: Node, is_inner: bool, is_site: bool) -> str:
    if node.label:
        return node.label
    if node.source is not None and node.source.expression and not is_inner and not is_site:
        return _shortened(_LIBRARY.sub("", node.source.expression))
    if node.module and not is_inner:
        return node.module
    return f"{node.module}.{op_base(node.op)}" if node.module else op_base(node.op)


def _shortened(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    head = LONGEST * 2 // 3
    return f"{text[:head]}…{text[head + 1 - LONGEST :]}"


def _told_apart(structure: Structure, names: list[str]) -> tuple[str, ...]:
    same: defaultdict[str, list[int]] = defaultdict(list)
    for node_id, name in enumerate(names):
        same[name].append(node_id)
    for name, nodes in same.items():
        modules = [structure.nodes[node].module for node in nodes]
        if len(nodes) > 1 and all(modules) and len(set(modules)) == len(nodes):
            for node_id, module in zip(nodes, modules, strict=True):
                names[node_id] = f"{name} [{_last_parts(module)}]"
        elif len(nodes) > 1:
            for rank, node_id in enumerate(_oldest_first(structure, nodes), start=1):
                names[node_id] = f"{name}#{rank}"
    return tuple(names)


def _last_parts(module: str) -> str:
    """``blocks.3`` of ``net.blocks.3``."""
    return ".".join(module.split(".")[-2:])


def _oldest_first(structure: Structure, nodes: Iterable[int]) -> list[int]:
    return sorted(nodes, key=lambda node: (structure.nodes[node].order, -node))
