from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gradscope.model.graph import Graph, Traits
from tests.builders import GraphBuilder, line
from tests.diagnose.graph_traces import trained
from tests.diagnose.script_runs import run
from tests.diagnose.traces import judge


def loss(last: str, *before: str, reduction: str | None = None, rows: int = 8) -> Graph:
    b = GraphBuilder()
    h = b.op("Addmm", b.leaf("w", (3, 1), gradient=0.1), shape=(rows, 1), gradient=0.1)
    for op in before:
        h = b.op(op, h, shape=(rows, 1), gradient=0.1)
    b.op(last, h, shape=(), gradient=1.0, source=line(7, "loss = f(p, y)"))
    graph = b.graph()
    return replace(graph, traits={graph.structure.roots[0]: Traits(reduction=reduction)})


@pytest.mark.parametrize(
    "graph",
    [loss("MseLoss", reduction="sum"), loss("Sum", "Pow"), loss("Sum", "Sub", "Abs")],
)
def test_a_sum_is_told(graph: Graph) -> None:
    (finding,) = judge(trained([graph] * 4), "GS603")
    assert finding.severity == "info"
    assert finding.message.startswith("the loss is a sum over 8 rows")
    assert finding.where.source == line(7, "loss = f(p, y)")


@pytest.mark.parametrize(
    "graph",
    [
        loss("MseLoss", reduction="mean"),
        loss("Mean", "Pow"),
        loss("Div", "Pow", "Sum"),
        loss("Sum", "Pow", rows=1),
        loss("Sum"),  # of outputs: a demonstration of gradients, or a mean of one's own
    ],
)
def test_others_are_not(graph: Graph) -> None:
    assert judge(trained([graph] * 4), "GS603") == []


def test_without_training_it_does_not_matter() -> None:
    assert judge(trained([loss("Sum", "Pow")] * 4, steps=False), "GS603") == []


BY_REDUCTION = """
import torch
from torch import nn

torch.manual_seed(0)
net = nn.Linear(4, 1)
opt = torch.optim.SGD(net.parameters(), lr=1e-3)
for step in range(5):
    x = torch.randn(16, 4)
    loss = nn.functional.{call}(net(x), x[:, :1], reduction="{reduction}")
    opt.zero_grad()
    loss.backward()
    opt.step()
"""


@pytest.mark.parametrize("call", ["mse_loss", "l1_loss", "smooth_l1_loss"])
@pytest.mark.parametrize(("reduction", "expected"), [("sum", [10]), ("mean", [])])
def test_real_losses(call: str, reduction: str, expected: list[int], tmp_path: Path) -> None:
    text = BY_REDUCTION.format(call=call, reduction=reduction)
    found = judge(run(text, str(tmp_path / "train.py")), "GS603")
    assert [f.where.source.line for f in found if f.where.source] == expected


WEIGHTED = """
import torch

torch.manual_seed(0)
features, score = torch.nn.Linear(4, 5), torch.nn.Linear(4, 1)
opt = torch.optim.SGD([*features.parameters(), *score.parameters()], lr=1e-3)
x = torch.randn(16, 4)
for step in range(5):
    z, s = features(x), score(x).squeeze(1)
    row = z.pow(2).mean(1)
    loss = {loss}
    opt.zero_grad()
    loss.backward()
    opt.step()
"""
ROWS = "(z - torch.logsumexp(z, {dim}, keepdim=True)).exp()"


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ("(s * row).sum()", 1),
        ("(torch.softmax(s, 0) * row).sum()", 0),
        ("(torch.log_softmax(s, 0).exp() * row).sum()", 0),
        ("(s.exp() / s.exp().sum() * row).sum()", 0),
        ("(z.exp() / z.exp().sum(1, keepdim=True) * z).sum()", 1),
        ("(z.exp() / z.exp().sum(0) * z).sum()", 0),
        ("(torch.softmax(z, 1) * z).sum()", 1),
        (f"({ROWS.format(dim=0)} * z).sum()", 0),
        (f"({ROWS.format(dim=1)} * z).sum()", 1),
        ("((z - torch.logsumexp(z, (0, 1))).exp() * z).sum()", 0),
        ("((-torch.logsumexp(z, 0)[None] + z).div(0.5).exp() * z * z).sum()", 0),
        ("(torch.softmax(s, 0) * row).sum() * 0 + row.sum()", 0),  # no sum is the loss itself
    ],
)
def test_what_is_weighted_by_a_share_of_the_rows(loss: str, expected: int, tmp_path: Path) -> None:
    found = judge(run(WEIGHTED.format(loss=loss), str(tmp_path / "train.py")), "GS603")
    assert len(found) == expected
