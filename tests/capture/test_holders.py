"""Which module holds a leaf, how often it is used, and where its result is cut off."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import gradscope
from gradscope.capture.holders import MANY_USED, Uses
from gradscope.capture.leaves import Leaves
from gradscope.model.events import Cut
from gradscope.model.trace import Trace
from tests.capture.reading import parameter


class Holding(nn.Module):
    """Holds leaves in all the ways there are."""

    def __init__(self) -> None:
        super().__init__()
        self.listed = nn.Linear(3, 3)
        self.hidden = [nn.Linear(3, 3)]
        self.named = {"a": nn.Linear(3, 3)}
        self.both = nn.Linear(3, 3)
        self.again = [self.both]
        self.plain = torch.ones(3, requires_grad=True)
        self.loose = (nn.Parameter(torch.ones(3)),)
        self.idle = nn.Linear(2, 2)
        self.lstm = nn.LSTM(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        h: Tensor = self.both(self.named["a"](self.hidden[0](self.listed(x))))
        h = self.lstm((h * self.plain + self.loose[0])[None])[0]
        return h.sum()


def train(steps: int = 3) -> None:
    """The model is gone when the trace is made."""
    net = Holding()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        net(torch.randn(4, 3)).backward()
        optimizer.step()


@pytest.mark.parametrize(
    ("name", "module", "registered"),
    [
        ("net.listed.weight", "net.listed", True),
        ("net.hidden[0].weight", "net.hidden[0]", False),
        ("net.named['a'].weight", "net.named['a']", False),
        ("net.both.weight", "net.both", True),
        ("net.plain", "net", False),
        ("net.loose[0]", "net", False),
    ],
)
def test_the_holder_of_a_leaf(name: str, module: str, registered: bool) -> None:
    with gradscope.trace() as session:
        train()
    found = parameter(session.trace, name)
    assert (found.module, found.registered, found.uses) == (module, registered, 3)


def test_what_no_call_takes_is_not_used() -> None:
    with gradscope.trace() as session:
        train()
    (idle,) = [p for p in session.trace.parameters if p.shape == (2, 2)]
    assert (idle.module, idle.registered, idle.uses) == ("net.idle", True, 0)


def test_leaves_of_no_module_are_unknown_and_counted() -> None:
    w = torch.ones(3, requires_grad=True)
    with gradscope.trace() as session:
        for _ in range(2):
            (w * w + torch.stack([w, w]).sum(0)).sum().backward()
        with torch.no_grad():
            w * 2
    found = parameter(session.trace, "w")
    assert (found.module, found.registered) == ("", None)
    assert found.uses == 2 * 4


def test_uses_of_a_leaf_outlive_it() -> None:
    """They were lost when another tensor came to lie at its address."""
    with gradscope.trace() as session:
        for size in range(1, 30):
            w = torch.ones(size, requires_grad=True)
            (w * w).sum().backward()
            del w
    assert [p.uses for p in session.trace.parameters] == [2] * 29


def test_leaves_that_nobody_knows_are_forgotten() -> None:
    uses = Uses()
    kept = torch.ones(1, requires_grad=True)
    gone = torch.ones(1, requires_grad=True)
    known = Leaves()
    for leaf in (kept, gone):
        uses.note([leaf])
        known.get(leaf)
    del gone, leaf
    for _ in range(3 * MANY_USED):
        uses.note([torch.ones(1, requires_grad=True), kept])
    uses.tell(known)
    assert [leaf.uses for leaf in known] == [1 + 3 * MANY_USED, 1]
    assert len(uses) <= MANY_USED


def test_a_list_of_weights_in_a_call_counts() -> None:
    with gradscope.trace() as session:
        train()
    assert parameter(session.trace, "net.lstm.weight_hh_l0").uses == 3


def names_behind(trace: Trace, cut: Cut) -> list[str]:
    return sorted(trace.parameters[i].name for i in cut.parameters)


def test_the_leaves_behind_a_cut() -> None:
    a, b = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)
    with gradscope.trace() as session:
        h = torch.relu(a(torch.ones(1, 2)))
        loss = b(h.detach()).sum()
        loss.backward()
        loss.item()
    cuts = {cut.op: cut for cut in session.trace.cuts}
    assert names_behind(session.trace, cuts["detach"]) == ["a.weight"]
    assert names_behind(session.trace, cuts["item"]) == ["b.weight"]


def test_a_cut_behind_very_many_nodes_is_not_followed() -> None:
    w = torch.ones(2, requires_grad=True)
    with gradscope.trace() as session:
        y = w
        for _ in range(1000):
            y = y * 1.0
        y.detach()
    (cut,) = session.trace.cuts
    assert (cut.op, cut.parameters) == ("detach", ())


def test_every_read_of_data_is_one_line() -> None:
    w = torch.ones(2, requires_grad=True)
    with gradscope.trace() as session:
        for _ in range(5):
            h = w * 2
            h.data.sum()
    (cut,) = [cut for cut in session.trace.cuts if cut.op == "data"]
    assert cut.count == 5
