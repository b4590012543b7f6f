"""What is computed while grad mode is off though parameters lead to it, and numbers in a loss."""

from __future__ import annotations

import linecache
import weakref
from collections.abc import Callable
from types import ModuleType

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, distributions, nn

import gradscope
from gradscope.model.events import Cut
from gradscope.session import Session


def cuts_of(session: Session, *ops: str) -> list[Cut]:
    assert not session.trace.dropped, dict(session.trace.dropped)
    return [cut for cut in session.trace.cuts if cut.op in ops]


@pytest.mark.parametrize(
    ("make", "op"),
    [
        (lambda h: distributions.Normal(h, h.exp()), "sample"),
        (lambda h: distributions.Normal(h, h.exp()).expand((2, 3)), "sample"),
        (lambda h: distributions.Independent(distributions.Laplace(h, 1.0), 1), "sample"),
        (lambda h: distributions.LogNormal(h, 1.0), "sample"),
        (lambda h: distributions.Gamma(h.exp(), h.exp()), "sample"),
        (lambda h: distributions.MultivariateNormal(h, torch.eye(3)), "sample"),
        (lambda h: distributions.VonMises(h, h.exp()), "VonMises.sample"),
        (lambda h: distributions.Poisson(h.exp()), "Poisson.sample"),
    ],
)
def test_a_sample_is_blamed_on_the_line_that_draws_it(
    make: Callable[[Tensor], distributions.Distribution], op: str
) -> None:
    w, b = torch.randn(3, requires_grad=True), torch.randn(3, requires_grad=True)
    optimizer = torch.optim.SGD([w, b], lr=0.1)
    with gradscope.trace() as t:
        for _ in range(2):
            q = make(w * 2)
            z = q.sample()
            assert not z.requires_grad
            ((z + b) ** 2).sum().backward()
            optimizer.step()
    (cut,) = cuts_of(t, op)
    assert cut.source is not None
    assert (cut.source.text, cut.variable) == ("z = q.sample()", "q")
    assert [t.trace.parameters[i].name for i in cut.parameters] == ["w"]
    assert (cut.steps, cut.depth) == (0, None)


def test_both_parameters_of_a_distribution_are_behind_it() -> None:
    layers = nn.ModuleList([nn.Linear(3, 2), nn.Linear(3, 2)])
    optimizer = torch.optim.SGD(layers.parameters(), lr=0.1)
    with gradscope.trace() as t:
        x = torch.ones(4, 3)
        distributions.Normal(layers[0](x), layers[1](x).exp()).sample((5,))
        layers[0](x).sum().backward()
        optimizer.step()
    (cut,) = cuts_of(t, "sample")
    assert len(cut.parameters) == 4
    assert cut.variable == "distributions.Normal(layers[0](x), layers[1](x).exp())"


def test_an_evaluation_cuts_nothing() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with gradscope.trace() as t:
        for _ in range(3):
            out = net(torch.ones(2, 3))
            with torch.no_grad():
                net(torch.ones(2, 3)).exp()
                distributions.Normal(out, 1.0).sample()
                out.exp()
            out.sum().backward()
            optimizer.step()
    assert cuts_of(t, "no_grad", "sample") == []


class Blocked(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.front, self.head = nn.Linear(3, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            h = self.front(x)
        out: Tensor = self.head(F.relu(h, inplace=True).to(torch.float32).unsqueeze(0)[0])
        return out


def test_a_block_in_front_of_a_trained_layer() -> None:
    net = Blocked()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with gradscope.trace() as t:
        for _ in range(3):
            net(torch.ones(2, 3))
            net(torch.ones(2, 3)).sum().backward()
            optimizer.step()
    (cut,) = cuts_of(t, "no_grad")
    assert cut.source is not None
    assert cut.source.text == "with torch.no_grad():"
    assert (cut.count, cut.steps) == (6, 3)
    names = sorted(t.trace.parameters[i].name for i in cut.parameters)
    assert names == ["net.front.bias", "net.front.weight"]


def test_what_was_computed_before_the_last_backward_is_forgotten() -> None:
    front, head = nn.Linear(3, 4), nn.Linear(4, 2)
    optimizer = torch.optim.SGD([*front.parameters(), *head.parameters()], lr=0.1)
    with gradscope.trace() as t:
        torch.set_grad_enabled(False)
        h = front(torch.ones(2, 3))
        torch.set_grad_enabled(True)
        for _ in range(3):
            head(h).sum().backward()
            optimizer.step()
    (cut,) = cuts_of(t, "set_grad_enabled")
    assert cut.steps == 1


def test_a_target_does_not_go_into_a_layer() -> None:
    target, net = nn.Linear(3, 4), nn.Linear(3, 4)
    optimizer = torch.optim.SGD([*target.parameters(), *net.parameters()], lr=0.1)
    with gradscope.trace() as t:
        for _ in range(3):
            x = torch.ones(2, 3)
            with torch.no_grad():
                wanted = target(x)
            F.mse_loss(net(x), wanted).backward()
            optimizer.step()
    assert cuts_of(t, "no_grad") == []


def test_results_are_not_kept_alive() -> None:
    net = Blocked()
    with gradscope.trace():
        net(torch.ones(2, 3)).sum().backward()
        with torch.no_grad():
            h = net.front(torch.ones(2, 3))
        gone: list[int] = []
        weakref.finalize(h, gone.append, 1)
        del h
        assert gone == [1]


PROGRAM = """
import torch
trunk, a, b = (torch.nn.Linear(3, 3) for _ in range(3))
everything = [p for m in (trunk, a, b) for p in m.parameters()]
optimizer = torch.optim.SGD(everything, lr=0.1)
log = []
for _ in range(3):
    h = trunk(torch.ones(2, 3))
    first, second = a(h).mean(), b(h).mean()
    {lines}
    loss.backward()
    optimizer.step()
"""


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("extra = second.item(); loss = first + 2 * extra", True),
        ("loss = first + float(second)", True),
        ("loss = first + torch.tensor(second.item())", True),
        ("loss = first\n    extra = second.item()\n    log.append(extra)", False),
        ("loss = first + second * second.item()", False),
    ],
)
@pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad=True")
def test_numbers_that_go_into_a_loss(lines: str, expected: bool) -> None:
    text = PROGRAM.format(lines=lines)
    path = f"/numbers_{abs(hash(lines))}.py"
    linecache.cache[path] = (len(text), None, text.splitlines(keepends=True), path)
    with gradscope.trace() as t:
        exec(compile(text, path, "exec"), vars(ModuleType("program")))
    del linecache.cache[path]
    assert {cut.into_loss for cut in cuts_of(t, "item", "float")} == {expected}
