from __future__ import annotations

from gradscope.analysis.flags import flagged_nodes
from gradscope.model.finding import Finding, Severity, Where
from tests.builders import mlp_graph, trace_with


def finding(code: str, where: Where, severity: Severity = "warning") -> Finding:
    return Finding(code, "some-name", severity, "message", where)


def test_by_node_and_step() -> None:
    graph = mlp_graph()
    about = [
        finding("GS101", Where(nodes=(1, 3), step=4)),
        finding("GS201", Where(nodes=(3,), step=4), "error"),
        finding("GS102", Where(nodes=(2,), step=5)),
        finding("GS103", Where(nodes=(999,))),
    ]

    flags = flagged_nodes(graph, about, step=4)

    codes = {node: [f.code for f in found] for node, found in flags.items()}
    assert codes == {1: ["GS101"], 3: ["GS201", "GS101"]}


def test_by_parameter_whatever_the_step() -> None:
    graph = mlp_graph()
    parameters = trace_with(graph).parameters
    where = Where(parameter="net.fc2.weight", nodes=(1,), step=9)

    flags = flagged_nodes(graph, [finding("GS401", where)], parameters, step=0)

    assert [graph.structure.nodes[node].label for node in flags] == ["net.fc2.weight"]


def test_the_traces_name_wins_where_the_graph_has_another() -> None:
    graph = mlp_graph(1)
    trace = trace_with(graph)
    leaf = next(n for n in graph.structure.nodes if n.label == "net.fc1.bias")
    assert leaf.parameter is not None
    assert trace.parameters[leaf.parameter].name == "net.fc1.bias"

    flags = flagged_nodes(graph, [finding("GS401", Where(parameter="net.fc1.bias"))])

    assert set(flags) == {leaf.id}
