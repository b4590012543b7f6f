"""Every way to start a backward is one step, with the gradients that plain autograd gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import grad as grad_imported_early

import gradscope
from gradscope.session import Session
from tests.capture.reading import (
    assert_measures,
    graphs,
    labelled,
    last_graph,
    leaves,
    named,
    only_step,
    op,
    parameter,
    unattributed,
)


def _leaf(value: float) -> Tensor:
    return torch.tensor(value, requires_grad=True)


def _values(session: Session) -> dict[str, float | None]:
    """Gradient of every one-element leaf that was asked for, by name; None where none came."""
    graph = last_graph(session)
    return {
        n.label: None if (g := graph.gradients[n.id, 0]) is None else g.value
        for n in leaves(graph)
        if (n.id, 0) in graph.gradients
    }


def _backward(y: Tensor, w: Tensor, b: Tensor) -> None:
    y.backward()


def _with_gradient(y: Tensor, w: Tensor, b: Tensor) -> None:
    y.backward(torch.tensor(10.0))


def _public_function(y: Tensor, w: Tensor, b: Tensor) -> None:
    torch.autograd.backward(y)


def _grad(y: Tensor, w: Tensor, b: Tensor) -> None:
    torch.autograd.grad(y, [w, b])


def _grad_early(y: Tensor, w: Tensor, b: Tensor) -> None:
    grad_imported_early(y, [w, b])


def _inputs(y: Tensor, w: Tensor, b: Tensor) -> None:
    y.backward(inputs=[w])


def _edge(y: Tensor, w: Tensor, b: Tensor) -> None:
    edge = torch.autograd.graph.get_gradient_edge(y)
    torch.autograd.backward(edge, torch.tensor(1.0))


def _twice(y: Tensor, w: Tensor, b: Tensor) -> None:
    y.backward(retain_graph=True)
    y.backward()


WAYS: list[tuple[Callable[[Tensor, Tensor, Tensor], None], dict[str, float], str]] = [
    (_backward, {"w": 3.0, "b": 1.0}, "backward"),
    (_with_gradient, {"w": 30.0, "b": 10.0}, "backward"),
    (_public_function, {"w": 3.0, "b": 1.0}, "backward"),
    (_grad, {"w": 3.0, "b": 1.0}, "grad"),
    (_grad_early, {"w": 3.0, "b": 1.0}, "grad"),
    (_inputs, {"w": 3.0}, "backward"),
    (_edge, {"w": 3.0, "b": 1.0}, "backward"),
    (_twice, {"w": 3.0, "b": 1.0}, "backward"),
]


@pytest.mark.parametrize(("run", "expected", "kind"), WAYS, ids=[w[0].__name__ for w in WAYS])
def test_a_way_is_seen(
    run: Callable[[Tensor, Tensor, Tensor], None], expected: dict[str, float], kind: str
) -> None:
    w, b = _leaf(2.0), _leaf(5.0)
    with gradscope.trace() as t:
        y = w * 3 + b
        run(y, w, b)
    assert _values(t) == expected
    step = t.trace.steps[-1]
    assert step.kind == kind
    assert step.source is not None
    assert step.source.function == run.__name__
    assert step.loss == (None if run is _edge else 11.0)
    assert [labelled(graph, "y").kind for graph in graphs(t)] == ["loss"] * len(graphs(t))
    assert t.trace.unused_forwards == 0


def test_two_runs_of_one_graph_are_two_steps() -> None:
    w = _leaf(2.0)
    with gradscope.trace() as t:
        y = w * 3
        y.backward(retain_graph=True)
        y.backward()
    assert [step.keep_graph for step in t.trace.steps] == [True, False]
    assert list(parameter(t.trace, "w").gradients.norm) == [3.0, 3.0]
    first, second = graphs(t)
    assert first.structure is second.structure, "equal structures are stored once"


def test_two_losses_share_a_retained_graph() -> None:
    w = _leaf(2.0)
    with gradscope.trace() as t:
        h = w * 3
        first, second = h * 2, h.exp()
        first.backward(retain_graph=True)
        second.backward()
    assert [step.roots for step in t.trace.steps] == [("first",), ("second",)]
    assert [labelled(graph, "h").source for graph in graphs(t)].count(None) == 0
    assert list(parameter(t.trace, "w").gradients.norm) == [6.0, pytest.approx(3 * 2.718281828**6)]


def test_several_roots() -> None:
    w, b = _leaf(2.0), _leaf(5.0)
    with gradscope.trace() as t:
        y, z = w * 3, b * b
        torch.autograd.backward([y, z])
    assert only_step(t).roots == ("y", "z")
    assert _values(t) == {"w": 3.0, "b": 10.0}
    assert len(last_graph(t).structure.roots) == 2


def test_a_leaf_as_root() -> None:
    w = _leaf(2.0)
    with gradscope.trace() as t:
        w.backward()
    assert _values(t) == {"w": 1.0}
    assert only_step(t).loss == 2.0


def test_the_gradient_of_an_intermediate() -> None:
    w = _leaf(2.0)
    with gradscope.trace() as t:
        h = w * 3
        y = h**2
        (received,) = torch.autograd.grad(y, h)
    graph = last_graph(t)
    assert_measures(graph.gradient(labelled(graph, "h").id), received)
    assert (labelled(graph, "w").id, 0) not in graph.gradients, "not asked for is not None"
    assert len(parameter(t.trace, "w").gradients) == 0


def test_the_gradient_of_an_edge() -> None:
    w = _leaf(2.0)
    with gradscope.trace() as t:
        h = w * 3
        y = h**2
        torch.autograd.grad(y, torch.autograd.graph.get_gradient_edge(h))
    graph = last_graph(t)
    assert graph.gradient(labelled(graph, "h").id) is not None


def test_an_unused_input_gets_none() -> None:
    w, unused = _leaf(2.0), _leaf(1.0)
    with gradscope.trace() as t:
        h = torch.stack([w, unused]).unbind()
        y = h[0] * 2
        torch.autograd.grad(y, [w, unused], allow_unused=True)
    assert _values(t) == {"w": 2.0, "unused": 0.0}, "stack sends zeros, which are not None"


def test_double_backward() -> None:
    w = _leaf(2.0)
    with gradscope.trace() as t:
        y = w**3
        (slope,) = torch.autograd.grad(y, w, create_graph=True)
        slope.backward()
    first, second = t.trace.steps
    assert (first.create_graph, second.create_graph) == (True, False)
    assert (first.loss, second.loss) == (8.0, 12.0)
    assert second.roots == ("slope",)
    assert list(parameter(t.trace, "w").gradients.norm) == [12.0, 12.0]
    graph = last_graph(t)
    assert unattributed(graph) == []
    assert {n.call for n in graph.structure.nodes if n.parameter is None} == {"grad"}
    root = labelled(graph, "slope")
    assert root.source is not None
    assert root.source.expression == "torch.autograd.grad(y, w, create_graph=True)"


@pytest.fixture
def _warns_always() -> Iterator[None]:
    """Torch gives some warnings once in a process, where another test may have had them."""
    before = torch.is_warn_always_enabled()
    torch.set_warn_always(True)
    yield
    torch.set_warn_always(before)


@pytest.mark.usefixtures("_warns_always")
def test_double_backward_through_grad_attributes() -> None:
    w = _leaf(2.0)
    with gradscope.trace() as t:
        y = w**3
        with pytest.warns(UserWarning, match="reference cycle"):
            y.backward(create_graph=True)
        assert w.grad is not None
        penalty = w.grad**2
        w.grad = None
        penalty.backward()
    graph = last_graph(t)
    assert unattributed(graph) == []
    assert {n.call for n in named(graph, "Mul")} == {"backward"}


def test_gradient_penalty() -> None:
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    x = torch.randn(5, 3, requires_grad=True)
    with gradscope.trace() as t:
        out = critic(x)
        (slopes,) = torch.autograd.grad(out.sum(), x, create_graph=True)
        penalty = ((slopes.norm(2, dim=1) - 1) ** 2).mean()
        loss = out.mean() + penalty
        loss.backward()
    graph = last_graph(t)
    assert unattributed(graph) == []
    for name, weight in critic.named_parameters():
        if weight.grad is not None:
            assert_measures(graph.gradient(labelled(graph, f"critic.{name}").id), weight.grad)


def test_grad_scaler() -> None:
    net = nn.Linear(3, 1)
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with gradscope.trace() as t:
        loss = net(torch.ones(2, 3)).sum()
        scaler.scale(loss).backward()
        assert net.weight.grad is not None
        scaled = net.weight.grad.clone()
        scaler.step(optimizer)
        scaler.update()
    assert_measures(last_graph(t).gradient(labelled(last_graph(t), "net.weight").id), scaled)
    assert len(t.trace.updates) == 1


def test_a_backward_inside_a_tensor_hook_is_nested() -> None:
    w, other = _leaf(2.0), _leaf(3.0)

    def hook(gradient: Tensor) -> Tensor:
        with torch.enable_grad():
            inner = other * other
        inner.backward()
        return gradient * 10

    with gradscope.trace() as t:
        y = w * 2
        y.register_hook(hook)
        loss = y * 3
        loss.backward()
    outer, inner = t.trace.steps
    assert (outer.nested_in, inner.nested_in) == (None, outer.index)
    assert list(parameter(t.trace, "w").gradients.norm) == [60.0]
    assert list(parameter(t.trace, "other").gradients.norm) == [6.0]
    graph = graphs(t)[1]
    assert op(graph, "Mul").call == "mul"
    assert unattributed(graph) == []


def test_the_gradient_after_the_users_hooks_is_shown() -> None:
    w = _leaf(2.0)
    with gradscope.trace() as t:
        y = w * 2
        y.register_hook(lambda g: g * 0.5)
        w.register_hook(lambda g: g * 10)
        y.backward()
    assert w.grad is not None
    assert _values(t) == {"w": float(w.grad)} == {"w": 10.0}
    assert last_graph(t).gradient(op(last_graph(t), "Mul").id) is not None


def test_an_optimizer_inside_the_backward() -> None:
    net = nn.Linear(3, 1, bias=False)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)

    def step(_: Tensor) -> None:
        optimizer.step()
        optimizer.zero_grad()

    net.weight.register_post_accumulate_grad_hook(step)
    with gradscope.trace() as t:
        for _ in range(3):
            loss = net(torch.ones(1, 3)).sum()
            loss.backward()
    assert len(t.trace.updates) == 3
    updates = parameter(t.trace, "net.weight").updates
    assert (list(updates.fresh), list(updates.carried)) == ([1, 1, 1], [0, 0, 0])


def test_no_graph_to_run_is_the_users_error_and_no_step() -> None:
    x = torch.ones(1)
    with gradscope.trace() as t, pytest.raises(RuntimeError, match="does not require grad"):
        x.sum().backward()
    assert [step.node_count for step in t.trace.steps] in ([], [0])
    assert not t.trace.dropped
