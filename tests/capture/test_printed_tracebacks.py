"""What a script prints of its exceptions and stacks is what Python alone would have printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.command import gradscope as command
from tests.command import run

SCRIPT = """\
import contextlib
import logging
import sys
import threading
import traceback
import warnings
from traceback import StackSummary, TracebackException

import torch
from torch import nn

if "trace" in sys.argv:
    import gradscope
logging.basicConfig(stream=sys.stdout, format="%(message)s")


class Net(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner, self.layer = inner, nn.Linear(3, 3)

    def forward(self, x):
        self.inner(x)
        return self.layer(x)


class Double(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, gradient):
        raise ValueError("in backward")


def net(inner):
    return nn.Sequential(Net(inner))


def x():
    return torch.ones(2, 3, requires_grad=True)


def sgd():
    return torch.optim.SGD([x()], lr=0.1)


def fail():
    raise KeyError("mine")


def twice():
    loss = net(torch.exp)(x()).exp().sum()
    loss.backward()
    loss.backward()


def hook():
    y = x() * 2
    y.register_hook(lambda _: fail())
    y.sum().backward()


def warned():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.warn("oh")


def bad_group():
    sgd().add_param_group(3)


def bad_zero():
    optimizer = sgd()
    optimizer.param_groups = 3
    optimizer.zero_grad()


FAULTS = {
    "forward": lambda: net(lambda y: torch.mm(y, y))(x()),
    "library function": lambda: nn.functional.linear(x(), torch.ones(2, 2)),
    "one of two functions": lambda: nn.functional.max_pool2d(torch.tensor(1.0), 2),
    "backward": twice,
    "hook": hook,
    "custom Function": lambda: Double.apply(x()).sum().backward(),
    "step": lambda: sgd().step(fail),
    "zero_grad": bad_zero,
    "parameter group": bad_group,
    "warning": warned,
}


def caught():
    try:
        twice()
    except RuntimeError as error:
        return error


def chained():
    try:
        try:
            twice()
        except RuntimeError:
            hook()
    except KeyError as error:
        raise ValueError("at last") from error


def grouped():
    found = []
    for fault in (twice, chained):
        try:
            fault()
        except Exception as error:
            found.append(error)
    raise ExceptionGroup("both", found)


def log():
    try:
        twice()
    except RuntimeError:
        logging.exception("logged")


def print_chained():
    try:
        chained()
    except ValueError:
        traceback.print_exc(file=sys.stdout)


def print_group():
    try:
        grouped()
    except ExceptionGroup:
        print(traceback.format_exc())


def in_thread(work):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def inside(work):
    net(lambda _: work())(x())


def stack():
    traceback.print_stack(file=sys.stdout)


def in_hook():
    y = x() * 2
    y.register_hook(lambda _: stack())
    y.sum().backward()


def shown_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda *_, **__: stack()
        warnings.warn("oh")


FORMS = {
    "logging.exception": log,
    "print_exception": lambda: traceback.print_exception(caught(), file=sys.stdout),
    "format_exception": lambda: print(*traceback.format_exception(caught())),
    "TracebackException": lambda: print(*TracebackException.from_exception(caught()).format()),
    "print_tb": lambda: traceback.print_tb(caught().__traceback__, file=sys.stdout),
    "extract_tb": lambda: print(traceback.extract_tb(caught().__traceback__)),
    "first frames": lambda: print(*traceback.format_tb(caught().__traceback__, limit=3)),
    "last frames": lambda: print(*traceback.format_tb(caught().__traceback__, limit=-2)),
    "chain": print_chained,
    "group": print_group,
    "thread": lambda: in_thread(print_group),
    "print_stack": lambda: inside(stack),
    "format_stack": lambda: inside(lambda: print(*traceback.format_stack())),
    "extract_stack": lambda: inside(lambda: print(traceback.extract_stack(limit=4))),
    "stack_info": lambda: inside(lambda: logging.error("here", stack_info=True)),
    "walk_stack": lambda: inside(
        lambda: print(*StackSummary.extract(traceback.walk_stack(None)).format())
    ),
    "stack in a thread": lambda: in_thread(lambda: inside(stack)),
    "stack in a hook": in_hook,
    "stack in showwarning": shown_warning,
}


def print_exc(fault):
    try:
        fault()
    except Exception:
        traceback.print_exc(file=sys.stdout)


with gradscope.trace() if "trace" in sys.argv else contextlib.nullcontext():
    for name, fault in FAULTS.items():
        print(f"== {name}")
        print_exc(fault)
    for name, form in FORMS.items():
        print(f"== {name}")
        form()
"""
_NAMES = [
    line.split('"')[1] for line in SCRIPT.splitlines() if line.startswith('    "') and '": ' in line
]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """The script's folder, and what it prints without gradscope."""
    folder = tmp_path_factory.mktemp("printed")
    (folder / "train.py").write_text(SCRIPT)
    return folder, _sections(run(folder, "train.py").out)


@pytest.fixture(scope="module", params=["render", "trace()"])
def traced(request: pytest.FixtureRequest, plain: tuple[Path, dict[str, str]]) -> dict[str, str]:
    """What it prints under gradscope."""
    if request.param == "trace()":
        return _sections(run(plain[0], "train.py", "trace").out)
    return _sections(command(plain[0], "render", "-q", "-o", "out.json", "train.py").out)


def _sections(out: bytes) -> dict[str, str]:
    parts = [part.partition("\n") for part in out.decode().split("== ")[1:]]
    return {name: text for name, _, text in parts}


@pytest.mark.parametrize("name", _NAMES)
def test_the_text_is_that_of_plain_python(
    name: str, plain: tuple[Path, dict[str, str]], traced: dict[str, str]
) -> None:
    assert ", line " in plain[1][name]
    assert traced[name] == plain[1][name]


def test_all_of_the_script_ran(plain: tuple[Path, dict[str, str]], traced: dict[str, str]) -> None:
    assert list(plain[1]) == list(traced) == _NAMES
    assert "in inner" not in plain[1]["forward"], "no module has hooks of its own"
