"""What a user reads when torch code raises under the launcher: line by line as without it."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

from tests.launch.running import by_launcher, by_python

RAISE = """
    import threading
    import torch
    from torch import nn

    class Fails(nn.Module):
        def forward(self, x):
            return torch.cat([x, x[:, :1]], 0)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Linear(2, 2), Fails())

        def forward(self, x):
            return self.body(x)

    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x**3

        @staticmethod
        def backward(ctx, g):
            raise ValueError("backward")

    x = torch.ones(2, requires_grad=True)
    start = torch.ones(1, 2)

    def forward():
        Net()(start)

    def two_shapes():
        nn.Sequential(nn.Linear(2, 3), nn.Linear(4, 1))(start)

    def a_module_with_a_hook():
        net = Net()
        net.body.register_forward_hook(lambda module, args, out: None)
        net(start)

    def a_hook_that_fails():
        net = nn.Linear(2, 2)
        net.register_forward_pre_hook(lambda module, args: 1 / 0)
        nn.Sequential(net)(start)

    def chained():
        try:
            Net()(start)
        except RuntimeError as error:
            raise KeyError("later") from error

    def backward():
        Cube.apply(x).sum().backward()

    def no_scalar():
        (x * 2).backward()

    def hook():
        y = x * 2
        y.register_hook(lambda g: g["no"])
        torch.autograd.grad(y.sum(), x)

    def step():
        torch.optim.SGD([x], lr=0.1).step(lambda: [][0])

    def functional():
        nn.functional.cross_entropy(torch.randn(2, 3), torch.tensor([0, 7]))

    for work in (
        forward, two_shapes, a_module_with_a_hook, a_hook_that_fails, chained, backward, no_scalar,
        hook, step, functional,
    ):
        thread = threading.Thread(target=work, name=work.__name__)
        thread.start()
        thread.join()
    Net()(start)
"""
GLOBAL_HOOK = """
    import torch
    from torch import nn
    nn.modules.module.register_module_forward_hook(lambda module, args, out: None)
    nn.Sequential(nn.Linear(2, 2), nn.Linear(3, 3))(torch.ones(1, 2))
"""
WORKER = """
    import torch
    from torch.utils.data import DataLoader, Dataset

    class Items(Dataset):
        def __len__(self):
            return 4
        def __getitem__(self, at):
            return torch.ones(2) / [1, 2][at]

    net = torch.nn.Linear(2, 1)
    for batch in DataLoader(Items(), batch_size=2, num_workers=1):
        net(batch).sum().backward()
"""

WARN = """
    import warnings
    import torch
    from torch import nn
    from torch.nn import functional as F

    x, target = torch.ones(4, 1, requires_grad=True), torch.ones(4)
    F.mse_loss(x, target).backward()
    nn.MSELoss()(x, target).backward()
    (x * 2).grad
    torch.ones(2, 3, 4).T
    nn.Softmax()(target)
    torch.optim.lr_scheduler.StepLR(torch.optim.SGD([x], lr=0.1), 1).step()
    warnings.showwarning = lambda *told: print("told", told[2:4])
    F.l1_loss(x, target)
    raise SystemExit(1)
"""


def _both(folder: Path, source: str) -> tuple[str, str]:
    folder.mkdir()
    (folder / "program.py").write_text(textwrap.dedent(source).lstrip())
    plain, launched = by_python(folder, "program.py"), by_launcher(folder, "program.py")
    assert (plain.code, launched.code) == (1, 1)
    error = launched.facts[0]["error"]
    assert error is None or error[2] in launched.err.decode()
    assert launched.out == plain.out
    return plain.err.decode(), launched.err.decode()


@pytest.mark.parametrize("source", [RAISE, GLOBAL_HOOK], ids=["raise", "global_hook"])
def test_tracebacks_are_those_of_plain_python(source: str, tmp_path: Path) -> None:
    plain, launched = _both(tmp_path / "program", source)
    assert "in _call_impl" in plain
    assert launched == plain


def test_warnings_name_the_same_lines_and_are_as_many(tmp_path: Path) -> None:
    plain, launched = _both(tmp_path / "program", WARN)
    assert plain.count("Warning: ") == 6
    assert launched == plain


def test_a_loaders_worker_raises_as_always(tmp_path: Path) -> None:
    """Except for the line at which the main process happened to wait for the worker."""
    plain, launched = (
        re.sub(r"line \d+, in _next_data", "in _next_data", text)
        for text in _both(tmp_path / "program", WORKER)
    )
    assert "in __getitem__" in plain
    assert launched == plain
