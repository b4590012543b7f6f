"""Graphs as plain lists: every edge once, where it leads, and the nodes let go root first."""

from __future__ import annotations

import weakref
from typing import Any

import pytest
import torch

from gradscope.capture.plan import Plan, Plans
from gradscope.capture.walk import DEEP, NOWHERE, Walked, release, root_edges, walk

MANY = 1 << 20


def _graph() -> torch.Tensor:
    w, x = torch.ones(4, 3, requires_grad=True), torch.ones(2, 4)
    first, second = (x @ w).unbind()
    return (first * second + torch.cat([second[:1], w[0, :2]])).sum()


def _walk(limit: int = MANY) -> tuple[Walked, Plan]:
    walked = walk(root_edges([_graph()]), limit, lambda: None)
    return walked, Plan(walked, list(map(type, walked.nodes)))


def test_every_edge_is_what_the_nodes_themselves_say() -> None:
    walked, plan = _walk()
    expected = [
        (source, slot, walked.nodes.index(target), output_nr)
        for source, node in enumerate(walked.nodes)
        for slot, (target, output_nr) in enumerate(node.next_functions)
        if target is not None
    ]
    assert plan.edges == expected
    assert any(output_nr for *_, output_nr in expected)
    assert NOWHERE in walked.targets  # ``x`` needs no gradient
    assert list(walked.ids) == walked.nodes
    assert len(set(walked.nodes)) == len(walked.nodes)


@pytest.mark.parametrize("limit", [1, 2, 3, 5])
def test_what_lies_beyond_the_limit_is_counted(limit: int) -> None:
    everything, whole = _walk()
    walked, plan = _walk(limit)
    assert len(walked.nodes) == limit
    assert plan.edges == [e for e in whole.edges if e[0] < limit and e[2] < limit]
    assert walked.truncated == sum(e[0] < limit <= e[2] for e in whole.edges)
    assert everything.truncated == 0


def test_a_plan_is_that_of_graphs_of_the_same_shape_alone() -> None:
    x, plans = torch.ones(3, requires_grad=True), Plans()

    def find(result: torch.Tensor) -> Plan:
        return plans.find(walk(root_edges([result]), MANY, lambda: None))

    first, second = x.unbind()[:2]
    plan = find(first * second)
    assert find(first * second) is plan
    assert find(second * first) is not plan, "the same edges to other outputs"
    three, two = torch.cat([x, x, x]), torch.cat([x, x])
    assert find(torch.cat([three, two])) is not find(torch.cat([two, three]))


def test_a_deep_graph_is_told_of_once() -> None:
    y, told = torch.ones(1, requires_grad=True), []
    for _ in range(DEEP + 5):
        y = y + 1
    walked = walk(root_edges([y]), MANY, lambda: told.append(1))
    assert told == [1]
    release(walked)


def test_nodes_are_let_go_of_root_first() -> None:
    class Node:
        pass

    gone: list[int] = []
    nodes: list[Any] = [Node() for _ in range(50)]
    for i, node in enumerate(nodes):
        weakref.finalize(node, gone.append, i)
    walked = Walked(nodes, {node: i for i, node in enumerate(nodes)}, [], [], {}, ())
    del node, nodes
    release(walked)
    assert gone == list(range(50))
