"""Several threads that train at once: every backward is booked, and none is left behind."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator

import pytest
import torch
from torch import nn

import gradscope
from gradscope.capture.booking import Pending

THREADS, STEPS = 6, 60


@pytest.fixture(autouse=True)
def _switching() -> Iterator[None]:
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.fixture
def _slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """To compare two runs takes as long as it likes, in which others begin and end."""

    def same(self: Pending, other: object) -> bool:
        time.sleep(1e-4)
        return self is other

    monkeypatch.setattr(Pending, "__eq__", same)


@pytest.mark.usefixtures("_slow")
def test_each_with_a_net_of_its_own() -> None:
    def work(seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
        optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
        for _ in range(STEPS):
            optimizer.zero_grad()
            net(torch.randn(5, 3, generator=generator)).pow(2).mean().backward()
            optimizer.step()

    with gradscope.trace(every=1) as t:
        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not t.trace.dropped, dict(t.trace.dropped)
    assert len(t.trace.steps) == len(t.trace.updates) == THREADS * STEPS
    assert len(t.trace.parameters) == 4 * THREADS
    for parameter in t.trace.parameters:
        assert len(parameter.gradients.step) == STEPS
        assert list(parameter.updates.fresh) == [1] * STEPS
        assert list(parameter.updates.carried) == [0] * STEPS
