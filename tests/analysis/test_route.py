"""The way that is told, its share, and how many others there are."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import gradscope
from gradscope.analysis.route import count_paths
from gradscope.analysis.story import tell_flow
from gradscope.errors import UsageError
from gradscope.session import Session


class Residual(nn.Module):
    def __init__(self, depth: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(depth))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = x + torch.tanh(layer(x))
        return x


def residual(depth: int) -> Session:
    torch.manual_seed(0)
    net = Residual(depth)
    x = torch.randn(3, 4, requires_grad=True)
    with gradscope.trace() as t:
        out = net(x)
        loss = out.square().mean()
        loss.backward()
    return t


def test_residual_ways_double_with_every_block() -> None:
    way = tell_flow(residual(5).trace, "x").route
    assert way.paths == 2**5
    assert way.share is not None
    assert 0 < way.share < 1


def test_the_share_is_the_product_of_the_shares_on_the_way() -> None:
    way = tell_flow(residual(3).trace, "x").route
    shares = [stop.share for stop in way.stops if stop.share is not None]
    assert len(shares) == 3
    assert way.share == pytest.approx(math.prod(shares))


def test_shares_of_a_shared_weight_are_those_of_autograd() -> None:
    torch.manual_seed(0)
    W = torch.randn(4, 4, requires_grad=True)
    x = torch.randn(3, 4)

    def loss_of(uses: list[torch.Tensor]) -> torch.Tensor:
        h = x
        for use in uses:
            h = torch.tanh(h @ use)
        return h.square().sum()

    parts = [W.detach().clone().requires_grad_() for _ in range(3)]
    norms = [g.norm().item() for g in torch.autograd.grad(loss_of(parts), parts)]
    with gradscope.trace() as t:
        loss_of([W, W, W]).backward()
    way = tell_flow(t.trace, "W").route
    found = sorted(arrival.share or 0 for arrival in way.arrivals)
    assert found == pytest.approx(sorted(norm / sum(norms) for norm in norms), rel=1e-4)
    assert [arrival.is_shown for arrival in way.arrivals] == [True, False, False]


def test_gains_are_ratios_of_autograds_norms() -> None:
    x = torch.randn(6, requires_grad=True)
    with gradscope.trace() as t:
        h = torch.tanh(x * 2)
        loss = (h**2).sum()
        loss.backward()
    d_h = 2 * h.detach()
    d_u = d_h * (1 - h.detach() ** 2)
    hops = {hop["name"]: hop for hop in t.flow("x").hops}
    assert hops["h"]["gain"] == pytest.approx((d_u.norm() / d_h.norm()).item(), rel=1e-5)
    assert hops["x * 2"]["gain"] == pytest.approx(2, rel=1e-5)
    assert x.grad is not None
    assert t.flow("x").data["gain"] == pytest.approx(x.grad.norm().item(), rel=1e-5)
    assert hops["h"]["line"] is not None


def test_reshapes_belong_to_the_hop_before_them() -> None:
    w = torch.randn(2, 3, requires_grad=True)
    with gradscope.trace() as t:
        loss = (torch.randn(5, 3) @ w.t()).reshape(10).square().sum()
        loss.backward()
    ops = [hop["op"] for hop in t.flow("w").hops]
    assert ops == ["SumBackward0", "PowBackward0", "MmBackward0", "AccumulateGrad"]


def test_paths_are_counted_without_being_walked() -> None:
    x = torch.ones(2, requires_grad=True)
    with gradscope.trace() as t:
        y = x
        for _ in range(200):
            y = y + y * 0.1
        y.sum().backward()
    graph = t.trace.graphs[0][1]
    leaf = next(n.id for n in graph.structure.nodes if n.op == "AccumulateGrad")
    assert count_paths(graph.structure, leaf) == 2**200
    assert "about 2e60 other ways" in str(t.flow("x"))


@pytest.fixture(scope="module")
def trained() -> Session:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 1))
    net.register_parameter("extra", nn.Parameter(torch.ones(2)))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with gradscope.trace() as t:
        for _ in range(4):
            h = net(torch.ones(2, 3))
            loss = h.square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return t


class TestNames:
    def test_the_full_name_and_a_unique_end(self, trained: Session) -> None:
        assert trained.flow("net.0.weight").data["target"] == "net.0.weight"
        assert trained.flow("0.weight").data["target"] == "net.0.weight"
        assert trained.flow("h").data["target"] == "h"

    def test_an_end_of_several_names_is_ambiguous(self, trained: Session) -> None:
        with pytest.raises(UsageError, match=r"^'weight' means several things: net.* and net"):
            trained.flow("weight")

    @pytest.mark.parametrize("slip", ["net.0.wieght", "0.weigth", "net.0.Weight"])
    def test_a_slip_is_answered_with_the_name(self, trained: Session, slip: str) -> None:
        with pytest.raises(UsageError, match=r"did you mean .*net\.0\.weight"):
            trained.flow(slip)

    def test_a_parameter_that_no_path_reaches(self, trained: Session) -> None:
        with pytest.raises(UsageError, match=r"net\.extra is on no path from the loss"):
            trained.flow("extra")

    def test_the_start_of_backward_is_no_target(self, trained: Session) -> None:
        with pytest.raises(UsageError, match="loss is where the backward of step 3 began"):
            trained.flow("loss")

    def test_steps_count_from_both_ends(self, trained: Session) -> None:
        assert trained.flow("h", step=0).data["step"] == 0
        assert trained.flow("h", step=-1).data["step"] == 3
        assert trained.flow("h").data["step"] == 3
        with pytest.raises(UsageError, match="there is no step 4: the program ran 4 backwards"):
            trained.flow("h", step=4)

    def test_none_was_delivered(self) -> None:
        class Nothing(torch.autograd.Function):
            @staticmethod
            def forward(ctx: object, x: torch.Tensor) -> torch.Tensor:
                return x.clone()

            @staticmethod
            def backward(ctx: object, gradient: torch.Tensor) -> None:
                return None

        x = torch.ones(3, requires_grad=True)
        with gradscope.trace() as t:
            y = (Nothing.apply(x) * 2).sum()  # type: ignore[no-untyped-call]
            y.backward()
        with pytest.raises(UsageError, match="delivered None"):
            t.flow("x")

    def test_no_backward_no_way(self) -> None:
        with gradscope.trace() as t:
            torch.ones(3)
        with pytest.raises(UsageError, match="ran no backward"):
            t.flow("x")

    def test_results_of_one_name_are_numbered(self) -> None:
        w = torch.tensor([0.5, 0.5], requires_grad=True)
        with gradscope.trace() as t:
            h = torch.ones(2)
            for _ in range(3):
                h = torch.tanh(h * w)
            h.sum().backward()
        first, second = t.flow("h"), t.flow("h#2")
        assert len(first.hops) > len(second.hops)
        assert "3 results are called h; this is the first" in str(first)
