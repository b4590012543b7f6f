from __future__ import annotations

from pathlib import Path

import pytest

from gradscope.diagnose import diagnose
from gradscope.model.graph import Graph
from tests.builders import GraphBuilder, line, resnet_like_graph, trace_with
from tests.diagnose.script_runs import run
from tests.diagnose.traces import history_trace, judge, run_of, scaled


def normalised(
    got: float, norm: str = "NativeBatchNorm", layer: str = "Addmm", *, twice: bool = False
) -> Graph:
    """A layer with a bias whose gradient is ``got`` times what arrives, then a normalisation."""
    b = GraphBuilder()
    bias = b.leaf("fc.bias", (8,), gradient=got * 2.0)  # norms: of 8 elements here, of 32 there
    w = b.leaf("fc.weight", (8, 8), gradient=1.0)
    h = b.op(layer, bias, w, shape=(4, 8), gradient=1.0, source=line(6, "h = self.fc(x)"))
    h = b.op(norm, h, b.leaf("bn.weight", (8,), gradient=1.0), shape=(4, 8), gradient=1.0)
    h = b.op("Add", h, bias, shape=(4, 8), gradient=1.0) if twice else h
    b.op("MseLoss", h, shape=(), gradient=1.0)
    return b.graph()


@pytest.mark.parametrize("factor", [1e-8, 1.0, 1e8])
@pytest.mark.parametrize("layer", ["Addmm", "Convolution"])
def test_a_bias_that_is_subtracted_again_is_told(layer: str, factor: float) -> None:
    (finding,) = judge(run_of(scaled(normalised(1e-7, layer=layer), factor)), "GS606")
    assert finding.severity == "info"
    assert finding.message == (
        "`fc.bias`: 1 bias without effect, since the batch normalisation behind subtracts it "
        "again (train.py:6)"
    )
    assert finding.where.parameter == "fc.bias"
    assert "bias=False" in finding.fix


@pytest.mark.parametrize(("got", "expected"), [(0.0, 1), (1e-7, 1), (1e-5, 1), (0.02, 0), (1.0, 0)])
def test_rounding_noise_and_a_real_gradient_are_far_apart(got: float, expected: int) -> None:
    assert len(judge(run_of(normalised(got)), "GS606")) == expected


@pytest.mark.parametrize("norm", ["NativeLayerNorm", "NativeGroupNorm", "Relu", "Softmax"])
def test_other_ops_do_not_cancel_a_bias(norm: str) -> None:
    assert judge(run_of(normalised(1e-7, norm)), "GS606") == []


def test_a_bias_used_elsewhere_or_heard_once_is_not_told() -> None:
    assert judge(run_of(normalised(1e-7, twice=True)), "GS606") == []
    # Batch statistics now and then, running statistics otherwise.
    assert judge(trace_with(normalised(1e-7), normalised(1.0)), "GS606") == []
    assert judge(run_of(resnet_like_graph()), "GS606") == []


TWICE = """
import torch
from torch import nn

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 3))
opt = torch.optim.SGD(net.parameters(), lr=1e-9)
for _ in range(4):
    a, b = net(torch.randn(12, 6)), net(torch.randn(12, 6))
    loss = (a - b).square().mean(){more}
    opt.zero_grad()
    loss.backward()
    opt.step()
"""


@pytest.mark.parametrize(
    ("more", "expected"),
    [("", ["net.0.bias"]), (" + net[0](torch.ones(2, 6)).square().mean()", [])],
)
def test_a_layer_that_runs_twice(more: str, expected: list[str], tmp_path: Path) -> None:
    trace = run(TWICE.format(more=more), str(tmp_path / "twins.py"))
    assert [f.where.parameter for f in judge(trace, "GS606")] == expected


SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
net = nn.Sequential(
    nn.Conv2d(2, 4, 3{bias}), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 3, 3), nn.LayerNorm(4)
)
net.train({training})
opt = torch.optim.SGD(net.parameters(), lr=0.01)
for _ in range(4):
    opt.zero_grad()
    net(torch.randn(6, 2, 8, 8)).square().mean().mul({scale}).backward()
    opt.step()
"""


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e5])
@pytest.mark.parametrize(
    ("bias", "training", "expected"),
    [("", True, ["net.0.bias"]), (", bias=False", True, []), ("", False, [])],
)
def test_on_a_real_network(
    bias: str, training: bool, expected: list[str], scale: float, tmp_path: Path
) -> None:
    text = SCRIPT.format(bias=bias, training=training, scale=scale).replace("lr=0.01", "lr=1e-9")
    trace = run(text, str(tmp_path / "norm.py"))
    assert [f.where.parameter for f in judge(trace, "GS606")] == expected


def test_without_any_graph_the_rule_says_so() -> None:
    report = diagnose(history_trace([1.0] * 9, lambda i: 1.0), select=["GS606"])
    assert (report.findings, len(report.skipped)) == ((), 1)
