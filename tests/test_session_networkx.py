from __future__ import annotations

import networkx as nx
import pytest
import torch

import gradscope
from gradscope.errors import UsageError


def test_the_last_graph_is_there_with_the_users_names() -> None:
    x = torch.tensor(2.0, requires_grad=True)
    with gradscope.trace() as t:
        y = x**2 + 3 * x - 5
        y.backward()
    graph = t.networkx()
    labels = {attributes["label"]: node for node, attributes in graph.nodes(data=True)}
    assert nx.has_path(graph, labels["y"], labels["x"])
    assert graph.nodes[labels["x"]]["gradient_rms"] == 7.0


def test_a_run_without_graph_says_so() -> None:
    with gradscope.trace() as t:
        torch.ones(3).sum()
    with pytest.raises(UsageError, match="0 graphs were kept"):
        t.networkx()
