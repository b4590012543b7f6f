from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from gradscope.diagnose.fresh import is_fresh
from gradscope.model.stats import TensorStats
from gradscope.model.trace import Parameter


def as_parameter(tensor: Tensor) -> Parameter:
    values = tensor.detach()
    shape = tuple(values.shape)
    stats = TensorStats(
        shape,
        "float32",
        "cpu",
        values.numel(),
        float(values.double().norm()),
        float(values.min()),
        float(values.max()),
    )
    return Parameter(0, "w", "parameter", shape, "float32", "cpu", values.numel(), value=stats)


def first_weight(module: nn.Module) -> Tensor:
    return next(module.parameters())


FRESH: list[Callable[[], Tensor]] = [
    lambda: nn.Linear(20, 32).weight,
    lambda: nn.Conv2d(3, 8, 3).weight,
    lambda: nn.Embedding(40, 8).weight,
    lambda: first_weight(nn.LSTM(6, 10)),
    lambda: first_weight(nn.GRU(6, 10)),
    lambda: nn.init.xavier_uniform_(torch.empty(24, 12)),
    lambda: nn.init.kaiming_uniform_(torch.empty(24, 12), nonlinearity="relu"),
    lambda: nn.init.kaiming_normal_(torch.empty(24, 12), nonlinearity="relu"),
]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("make", FRESH)
def test_what_an_initialisation_makes_is_fresh(make: Callable[[], Tensor], seed: int) -> None:
    torch.manual_seed(seed)
    assert is_fresh(as_parameter(make())) is True


@pytest.mark.parametrize("seed", range(5))
def test_what_was_trained_is_not(seed: int) -> None:
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(20, 32), nn.Tanh(), nn.Linear(32, 4))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(40):
        x = torch.randn(32, 20)
        optimizer.zero_grad()
        (net(x) - x[:, :4]).pow(2).mean().backward()
        optimizer.step()
    assert [is_fresh(as_parameter(first_weight(net[i]))) for i in (0, 2)] == [False, False]


def test_vectors_and_crumbs_tell_nothing_and_the_unmeasured_is_not_fresh() -> None:
    assert is_fresh(as_parameter(torch.rand(40))) is None
    assert is_fresh(as_parameter(torch.rand(3, 3))) is None
    unmeasured = Parameter(0, "w", "parameter", (8, 8), "float32", "cpu", 64)
    assert is_fresh(unmeasured) is False
