"""Which nodes of a graph a finding points at."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from gradscope.model.finding import Finding, Where
from gradscope.model.graph import Graph, Node
from gradscope.model.trace import Parameter

_RANK = {"error": 0, "warning": 1, "info": 2}


def flagged_nodes(
    graph: Graph,
    findings: Iterable[Finding],
    parameters: Sequence[Parameter] = (),
    step: int | None = None,
) -> Mapping[int, tuple[Finding, ...]]:
    """Node id to the findings about it, worst first.

    Args:
        graph: The graph.
        findings: Node ids of findings that name another step are ignored, the parameter is not.
        parameters: Parameters of the trace, by which findings name leaves.
        step: Step of the graph; None when all findings are about it.
    """
    by_name: defaultdict[str, list[int]] = defaultdict(list)
    for node in graph.structure.nodes:
        if node.kind in ("parameter", "input"):
            for name in {node.label, leaf_name(node, parameters)} - {""}:
                by_name[name].append(node.id)
    found: defaultdict[int, dict[int, Finding]] = defaultdict(dict)
    for finding in findings:
        nodes = [*_nodes(finding.where, step), *by_name.get(finding.where.parameter, ())]
        for node_id in nodes:
            if 0 <= node_id < len(graph.structure.nodes):
                found[node_id][id(finding)] = finding
    return {
        node_id: tuple(sorted(about.values(), key=lambda f: _RANK[f.severity]))
        for node_id, about in found.items()
    }


def leaf_name(node: Node, parameters: Sequence[Parameter]) -> str:
    """The user's name of a leaf, as the trace's parameters have it; may be empty."""
    if node.parameter is not None and node.parameter < len(parameters):
        return parameters[node.parameter].name
    return node.label


def _nodes(where: Where, step: int | None) -> tuple[int, ...]:
    return where.nodes if step is None or where.step in (None, step) else ()
