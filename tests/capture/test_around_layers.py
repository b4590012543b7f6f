"""What the program puts into torch's place, or has in force, around layers that are called."""

from __future__ import annotations

import contextlib
import copy
import gc
import pickle
import signal
import time
import warnings
import weakref
from collections.abc import Callable
from typing import Any, cast

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import gradscope
from tests.capture.reading import only_step
from tests.capture.test_met_by_layers import Labelled, result

LINEAR, FORWARD = F.linear, nn.Linear.forward
CALL: Callable[..., Any] = nn.Module.__call__
IMPL: Callable[..., Any] = nn.Module._call_impl


@pytest.mark.parametrize(
    ("owner", "name", "value"),
    [
        (F, "linear", lambda *given: LINEAR(*given) * 2),
        (nn.Linear, "forward", lambda module, x: FORWARD(module, x) * 2),
        (nn.Module, "__call__", lambda module, *given: CALL(module, *given) * 2),
        (nn.Module, "_call_impl", lambda module, *given: IMPL(module, *given) * 2),
        (nn.Linear, "__call__", lambda module, *given: CALL(module, *given) * 2),
        (nn.Linear, "_call_impl", lambda module, *given: IMPL(module, *given) * 2),
    ],
    ids=["function", "forward", "call", "call_impl", "own_call", "own_call_impl"],
)
def test_what_somebody_replaced_in_torch_is_called(owner: Any, name: str, value: Any) -> None:
    with gradscope.trace(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, value)
        doubled = result(lambda net, x: net(x))
    assert torch.equal(doubled[0], 2 * result(lambda net, x: net(x))[0])


def test_what_somebody_replaced_before_is_left_alone() -> None:
    def doubled(module: nn.Module, *given: Any) -> Any:
        return nn.Module.__call__(module, *given) * 2

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nn.Linear, "__call__", doubled)
        with gradscope.trace():
            traced = result(lambda net, x: net(x))
        assert vars(nn.Linear)["__call__"] is doubled
    assert torch.equal(traced[0], 2 * result(lambda net, x: net(x))[0])


@pytest.mark.parametrize("kind", ["forward", "forward_pre", "full_backward", "full_backward_pre"])
def test_a_global_hook_of_somebody_elses_is_called(kind: str) -> None:
    called: list[str] = []
    register = getattr(nn.modules.module, f"register_module_{kind}_hook")
    hook = register(lambda module, *_: called.append(type(module).__name__))
    with hook, gradscope.trace():
        result(lambda net, x: net(x))
    assert called == ["Linear"]


def test_what_a_layer_does_not_take_is_an_error() -> None:
    with gradscope.trace(), pytest.raises(TypeError, match="unexpected keyword argument 'extra'"):
        nn.Linear(2, 2)(torch.ones(2), extra=1)


def test_tracers_see_layers_as_ever() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    x = torch.ones(1, 2)
    with gradscope.trace() as session, warnings.catch_warnings(action="ignore"):
        graph = torch.fx.symbolic_trace(net).graph
        scripted = torch.jit.script(net)
        followed = torch.jit.trace(net, x)
        twin = pickle.loads(pickle.dumps(copy.deepcopy(net)))
        outs = [scripted(x), followed(x), twin(x), net(x)]
        outs[-1].sum().backward()
    assert [n.op for n in graph.nodes] == ["placeholder", *["call_module"] * 2, "output"]
    assert all(torch.equal(outs[-1], out) for out in outs)
    assert only_step(session).error is None


class _Doubling(nn.Module):
    def __call__(self, *given: Any) -> Any:
        return super().__call__(*given) * 2


class _Mixed(nn.Linear, _Doubling):
    pass


def _handled(net: nn.Linear, x: Tensor) -> list[Any]:
    """What a signal handler that calls torch gets while a layer works."""
    found: list[Any] = []

    def handle(*_: object) -> None:
        with torch.device("meta"):
            found.append(torch.ones(1).device.type)
        found.append(type(torch.ones(1).as_subclass(Labelled) + 1))

    before = signal.signal(signal.SIGALRM, handle)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        net(x)  # takes longer than that
        while not found:
            time.sleep(0.01)
    finally:
        signal.signal(signal.SIGALRM, before)
    return found


def test_a_signal_handler_may_call_torch_while_a_layer_works() -> None:
    net, x = nn.Linear(2000, 2000), torch.ones(2000, 2000)
    with gradscope.trace():
        net(x)
        assert _handled(net, x) == ["meta", Labelled]


def test_a_call_further_up_among_the_bases_is_met() -> None:
    net, x = _Mixed(2, 2), torch.ones(1, 2)
    plain = net(x)
    with gradscope.trace():
        assert torch.equal(net(x), plain)
    assert torch.equal(plain, 2 * F.linear(x, net.weight, net.bias))


def test_hooks_that_took_the_place_of_all_others_are_met() -> None:
    hooks = nn.modules.module._global_forward_hooks
    x, net = torch.ones(1, 2), nn.Linear(2, 2)
    with gradscope.trace():
        before = dict(hooks)
        hooks.clear()
        with nn.modules.module.register_module_forward_hook(lambda *given: given[-1] * 2):
            out = net(x)
        hooks.update(before)
    assert torch.equal(out, 2 * net(x))


def test_a_layer_that_raised_holds_nothing() -> None:
    gc.disable()
    try:
        with gradscope.trace():
            net, x = nn.Linear(3, 3), torch.ones(1, 2)
            held = weakref.ref(net), weakref.ref(x)
            with contextlib.suppress(RuntimeError):
                net(x)
            del net, x
            assert [each() for each in held] == [None, None]
    finally:
        gc.enable()


def test_the_profiler_names_the_same_modules() -> None:
    def names() -> set[str]:
        with torch.profiler.profile(with_stack=True, with_modules=True) as profile:
            nn.Sequential(nn.Linear(2, 2), nn.ReLU())(torch.ones(1, 2))
        return {event.name for event in profile.events() if "nn.Module" in event.name}

    plain = names()
    with gradscope.trace():
        traced = names()
    assert plain == traced != set()


def test_a_bound_call_can_be_pickled() -> None:
    net, x = nn.Linear(2, 2), torch.ones(1, 2)
    with gradscope.trace():
        call = pickle.dumps(net.__call__)
        assert pickle.loads(call)(x) is not None
    assert torch.equal(pickle.loads(call)(x), net(x))


def test_a_layer_that_only_runs_without_grad_has_its_name() -> None:
    def make() -> tuple[Callable[[Tensor], Tensor], nn.Module, torch.optim.Optimizer]:
        encoder, head = nn.Linear(4, 4), nn.Linear(4, 2)
        optimizer = torch.optim.SGD([*encoder.parameters(), *head.parameters()], 0.1)

        def encoded(x: Tensor) -> Tensor:
            with torch.no_grad():
                return cast("Tensor", encoder(x))

        return encoded, head, optimizer

    with gradscope.trace() as session:
        encoded, head, optimizer = make()
        head(encoded(torch.ones(3, 4))).sum().backward()
        optimizer.step()
    assert {"encoder.weight", "encoder.bias"} <= {p.name for p in session.trace.parameters}
