"""torch.compile and other tracers work as without us: same results, graphs, breaks and frames."""

from __future__ import annotations

import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch._dynamo
from torch import Tensor, nn
from torch._dynamo.utils import counters

import gradscope
from tests.capture.reading import graphs, last_graph, named, ops, unattributed

BACKENDS = ["eager", "aot_eager"]
Build = Callable[[str], list[float]]
# Torch's own, from inside dynamo.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning"),
    pytest.mark.filterwarnings("ignore:.torch.jit.* is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad:UserWarning"),
    pytest.mark.filterwarnings("ignore:.* should not be instantiated:DeprecationWarning"),
]


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 8), nn.Linear(8, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.dropout(torch.relu(self.first(x)), 0.5, self.training)
        out: Tensor = self.second(torch.sin(h) * 2)
        return out


def _train(net: nn.Module, call: Callable[[Tensor], Tensor], steps: int = 3) -> list[float]:
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    found = []
    for i in range(steps):
        optimizer.zero_grad()
        loss = call(torch.ones(3, 4) + i).sum()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return found + [float(p.detach().sum()) for p in net.parameters()]


class _Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return 2 * x * gradient  # type: ignore[no-any-return]


def module(backend: str) -> list[float]:
    net = Net()
    return _train(net, torch.compile(net, backend=backend))


def function(backend: str) -> list[float]:
    net = Net()
    return _train(net, torch.compile(lambda x: net(x).tanh(), backend=backend))


def in_place(backend: str) -> list[float]:
    net = Net()
    net.compile(backend=backend)
    return _train(net, net)


def whole_graph(backend: str) -> list[float]:
    net = Net()
    return _train(net, torch.compile(net, backend=backend, fullgraph=True))


def with_breaks(backend: str) -> list[float]:
    class Breaks(Net):
        def forward(self, x: Tensor) -> Tensor:
            h = self.first(x)
            torch._dynamo.graph_break()
            if h.sum() > 1000:
                h = h * 2
            out: Tensor = self.second(torch.tanh(h))
            return out

    net = Breaks()
    return _train(net, torch.compile(net, backend=backend))


def custom_function(backend: str) -> list[float]:
    net = Net()

    def call(x: Tensor) -> Tensor:
        result: Tensor = _Square.apply(net(x))  # type: ignore[no-untyped-call]
        return result

    return _train(net, torch.compile(call, backend=backend))


def inside_an_eager_model(backend: str) -> list[float]:
    net = nn.Sequential(torch.compile(nn.Linear(4, 4), backend=backend), nn.ReLU())  # type: ignore[call-overload]
    return _train(net, net)


def inside_a_compiled_model(backend: str) -> list[float]:
    net = nn.Sequential(torch.compile(nn.Linear(4, 4), backend=backend), nn.ReLU())  # type: ignore[call-overload]
    return _train(net, torch.compile(net, backend=backend))


def other_shapes(backend: str) -> list[float]:
    net = nn.Linear(4, 1)
    call = torch.compile(net, backend=backend)
    found = []
    for n in (2, 3, 4, 5):
        loss = call(torch.ones(n, 4)).sum()
        loss.backward()
        found.append(loss.item())
    return found


def forced_eager(backend: str) -> list[float]:
    net = Net()
    with torch.compiler.set_stance("force_eager"):
        return _train(net, torch.compile(net, backend=backend))


def with_checkpoint(backend: str) -> list[float]:
    net = Net()

    def call(x: Tensor) -> Tensor:
        result: Tensor = torch.utils.checkpoint.checkpoint(net, x, use_reentrant=False)
        return result

    return _train(net, torch.compile(call, backend=backend))


BUILDS: list[Build] = [
    *(module, function, in_place, whole_graph, with_breaks, custom_function),
    *(inside_an_eager_model, inside_a_compiled_model, other_shapes, forced_eager),
    with_checkpoint,
]


def _counted() -> dict[str, dict[str, int]]:
    kept = ("frames", "stats", "graph_break", "recompiles", "inline_call")
    return {name: dict(counters[name]) for name in kept}


def _run(build: Build, backend: str) -> tuple[list[float], dict[str, dict[str, int]]]:
    torch.manual_seed(0)
    torch._dynamo.reset()
    counters.clear()
    return build(backend), _counted()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("build", BUILDS)
def test_compiled_as_without_us(build: Build, backend: str) -> None:
    plain = _run(build, backend)
    with warnings.catch_warnings(), gradscope.trace() as t:
        warnings.filterwarnings("error", message=".*global hooks.*")
        traced = _run(build, backend)
    assert traced == plain
    assert not t.trace.dropped
    assert len(t.trace.steps) >= 3
    assert unattributed(last_graph(t)) == []


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_model_compiled_and_warm_before_the_trace_is_not_compiled_again(backend: str) -> None:
    net = Net().eval()
    compiled = torch.compile(net, backend=backend)
    x = torch.ones(3, 4)
    compiled(x).sum().backward()
    counters.clear()
    with gradscope.trace() as t:
        compiled(x).sum().backward()
    compiled(x).sum().backward()
    assert _counted()["frames"] == {}
    assert [n.module for n in ops(last_graph(t))][:1] == ["net"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_model_compiled_inside_the_trace_is_not_compiled_again(backend: str) -> None:
    net = Net().eval()
    x = torch.ones(3, 4)
    with gradscope.trace():
        compiled = torch.compile(net, backend=backend)
        compiled(x).sum().backward()
    counters.clear()
    compiled(x).sum().backward()
    assert _counted()["frames"] == {}


def test_what_is_compiled_shows_its_calls() -> None:
    net = Net()
    with gradscope.trace() as t:
        compiled = torch.compile(net, backend="eager")
        loss = compiled(torch.ones(3, 4)).sum()
        loss.backward()
    graph = last_graph(t)
    assert {n.call for n in ops(graph)} >= {"linear", "relu", "sin", "sum"}
    assert {n.module for n in named(graph, "Addmm")} == {"net"}


def test_what_is_compiled_ahead_of_time_is_one_node() -> None:
    net = Net()
    with gradscope.trace() as t:
        compiled = torch.compile(net, backend="aot_eager")
        loss = compiled(torch.ones(3, 4)).sum()
        loss.backward()
    (node,) = [n for n in ops(last_graph(t)) if n.label != "loss"]
    assert (node.op, node.call, node.module) == (
        "CompiledFunctionBackward",
        "CompiledFunction",
        "net",
    )


def test_a_backward_inside_compiled_code() -> None:
    def build(backend: str) -> list[float]:
        net = nn.Linear(4, 1)

        @torch.compile(backend=backend)
        def whole(x: Tensor) -> Tensor:
            loss = net(x).sum()
            loss.backward()
            return loss.detach()  # type: ignore[no-any-return]

        found = [whole(torch.ones(2, 4)).item() for _ in range(3)]
        assert net.weight.grad is not None
        return [*found, float(net.weight.grad.sum())]

    plain, plain_counts = _run(build, "eager")
    with gradscope.trace() as t:
        traced, counts = _run(build, "eager")
    assert traced == plain
    assert counts["graph_break"] == plain_counts["graph_break"]
    assert [s.kind for s in t.trace.steps] == ["backward"] * 3


def test_a_compiled_optimizer_step() -> None:
    def build(backend: str) -> list[float]:
        net = Net()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)

        @torch.compile(backend=backend)
        def step() -> None:
            optimizer.step()

        for _ in range(3):
            optimizer.zero_grad()
            net(torch.ones(2, 4)).sum().backward()
            step()
        return [float(p.detach().sum()) for p in net.parameters()]

    plain, plain_counts = _run(build, "eager")
    with gradscope.trace():
        traced, counts = _run(build, "eager")
    assert traced == plain
    assert counts["graph_break"] == plain_counts["graph_break"]


def test_an_error_inside_compiled_code() -> None:
    def fails(x: Tensor) -> Tensor:
        raise ValueError("oops")

    call = torch.compile(fails, backend="eager")
    with gradscope.trace() as t:
        with pytest.raises(ValueError, match="oops"):
            call(torch.ones(2))
        x = torch.ones(2, requires_grad=True)
        (x * 2).sum().backward()
    assert [n.call for n in ops(last_graph(t))] == ["mul", "sum"], "put on again"


def _graph_of(traced: Any) -> str:
    """Without the source lines: a linear layer's is the frame that calls it, which is ours."""
    return re.sub(r"___torch_mangle_\d+\.|# /\S+", "", str(traced.inlined_graph))


def test_jit_trace_and_script() -> None:
    net = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    plain = _graph_of(torch.jit.trace(net, torch.ones(2, 4)))
    with gradscope.trace() as t:
        traced = torch.jit.trace(net, torch.ones(2, 4))
        scripted = torch.jit.script(net)
        traced(torch.ones(2, 4)).sum().backward()
        scripted(torch.ones(2, 4)).sum().backward()
    assert _graph_of(traced) == plain
    assert len(t.trace.steps) == 2
    assert not t.trace.dropped


def test_fx_and_make_fx() -> None:
    from torch.fx.experimental.proxy_tensor import make_fx

    def gradient(x: Tensor) -> Tensor:
        return torch.autograd.grad(x.sin().sum(), x)[0]

    net = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    x = torch.ones(3, requires_grad=True)
    plain = torch.fx.symbolic_trace(net).code, make_fx(gradient)(x).code
    with gradscope.trace() as t:
        traced = torch.fx.symbolic_trace(net).code, make_fx(gradient)(x).code
    assert traced == plain
    assert t.trace.notes == ()


def test_export() -> None:
    net = nn.Linear(4, 1)
    plain = torch.export.export(net, (torch.ones(2, 4),)).graph_module.code
    with gradscope.trace() as t:
        exported = torch.export.export(net, (torch.ones(2, 4),))
        exported.module()(torch.ones(2, 4)).sum().backward()
    assert exported.graph_module.code == plain
    assert len(t.trace.steps) == 1
    fake = "tensors without readable numbers (fake, freed or function-transform wrapped)"
    assert set(t.trace.dropped) <= {fake}


def test_fake_tensors_are_skipped_and_counted() -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode

    with gradscope.trace() as t, FakeTensorMode():
        x = torch.ones(3, requires_grad=True)
        (x * 2).sum().backward()
    fake = "tensors without readable numbers (fake, freed or function-transform wrapped)"
    assert t.trace.dropped[fake] > 0
    assert set(t.trace.dropped) == {fake}
    assert [n.call for n in ops(graphs(t)[0])] == ["mul", "sum"]


def test_dynamo_is_patched_when_it_is_loaded_during_the_trace() -> None:
    """``import torch`` does not import dynamo, nor may we: it takes seconds."""
    code = """
import sys, torch, gradscope
net = torch.nn.Linear(2, 1)
with gradscope.trace() as t:
    assert "torch._dynamo.eval_frame" not in sys.modules
    compiled = torch.compile(net, backend="eager")
    for _ in range(3):
        compiled(torch.ones(1, 2)).sum().backward()
from torch._dynamo.utils import counters
print(dict(counters["frames"]), dict(counters["graph_break"]), dict(t.trace.dropped))
print([n.call for n in t.trace.graphs[-1][1].structure.nodes if n.call])
"""
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "{'total': 1, 'ok': 1} {} {}\n['sum', 'linear', 'linear']\n"


def test_other_threads_are_seen_while_one_runs_compiled_code() -> None:
    import threading

    inside, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        inside.set()
        go_on.wait(30)

    net = nn.Linear(4, 1)

    @torch.compile(backend="eager")
    def compiled(x: Tensor) -> Tensor:
        torch._dynamo.disable(wait)()
        result: Tensor = net(x)
        return result

    with gradscope.trace() as t:
        worker = threading.Thread(target=lambda: compiled(torch.ones(2, 4)).sum().backward())
        worker.start()
        inside.wait(30)
        (torch.ones(2, requires_grad=True) * 2).sum().backward()
        go_on.set()
        worker.join()
        net(torch.ones(2, 4)).sum().backward()
    found = {step.thread: step for step in t.trace.steps}
    assert set(found) == {"MainThread", worker.name}
    assert {n.module for n in named(last_graph(t), "Addmm")} == {"net"}, "hooks are back"
