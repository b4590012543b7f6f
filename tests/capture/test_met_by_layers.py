"""What the program adds to a layer, or puts into torch's place, meets the calls of layers as ever."""

from __future__ import annotations

import contextlib
import copy
import gc
import pickle
import signal
import warnings
import weakref
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.overrides import TorchFunctionMode, handle_torch_function, has_torch_function
from torch.utils._python_dispatch import TorchDispatchMode

import gradscope
from tests.capture.reading import only_step


class _Changed(TorchFunctionMode):
    """Somebody's mode."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        return out * 2 if func is F.linear else out


class _Halved(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return weight / 2


class _Labelled(Tensor):
    pass


def _hooked(kind: str) -> Callable[[nn.Linear, Tensor], Tensor]:
    def call(net: nn.Linear, x: Tensor) -> Tensor:
        register = getattr(net, f"register_{kind}_hook")
        if "pre" in kind:  # of what comes in: arguments, or gradients of the results
            register(lambda _module, given: (given[0] * 2,))
        elif "backward" in kind:
            register(lambda _module, sent, _received: (sent[0] * 2,))
        else:
            register(lambda _module, _given, out: out * 2)
        return cast("Tensor", net(x))

    return call


def _own_forward(net: nn.Linear, x: Tensor) -> Tensor:
    vars(net)["forward"] = lambda given: F.linear(given, net.weight) * 3
    return cast("Tensor", net(x))


def _own_weight(net: nn.Linear, x: Tensor) -> Tensor:
    weight = net.weight
    del net.weight
    vars(net)["weight"] = weight * 2
    return cast("Tensor", net(x))


def _under_a_mode(net: nn.Linear, x: Tensor) -> Tensor:
    with _Changed():
        return cast("Tensor", net(x))


def _parametrized(net: nn.Linear, x: Tensor) -> Tensor:
    parametrize.register_parametrization(net, "weight", _Halved())
    return cast("Tensor", net(x))


def _mapped(net: nn.Linear, x: Tensor) -> Tensor:
    return cast("Tensor", torch.func.vmap(net)(x))


def _saved_on_another(net: nn.Linear, x: Tensor) -> Tensor:
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t * 2, lambda t: t):
        return cast("Tensor", net(x))


def _labelled(net: nn.Linear, x: Tensor) -> Tensor:
    out = net(x.as_subclass(_Labelled))
    assert type(out) is _Labelled
    return out.as_subclass(Tensor)


def _by_name(net: nn.Linear, x: Tensor) -> Tensor:
    return cast("Tensor", net(input=x))


def _compiled_in_place(net: nn.Linear, x: Tensor) -> Tensor:
    net._compiled_call_impl = lambda given: F.linear(given, net.weight) * 5
    return cast("Tensor", net(x))


def _function_with_a_mode(x: Tensor, net: nn.Linear) -> Tensor:
    """A function that modes are told of, and which enters one itself."""
    if has_torch_function((x,)):
        asked: Tensor = handle_torch_function(_function_with_a_mode, (x,), x, net)
        return asked
    with _Changed():
        return cast("Tensor", net(x))


class _Counted(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.seen.append(str(func))
        return func(*args, **(kwargs or {}))


def _dispatched(net: nn.Linear, x: Tensor) -> Tensor:
    with _Counted() as mode:
        out = net(x)
    assert mode.seen == ["aten.t.default", "aten.addmm.default"]
    return cast("Tensor", out)


def _followed_by_anomaly_mode(net: nn.Linear, x: Tensor) -> Tensor:
    with warnings.catch_warnings(action="ignore"), torch.autograd.set_detect_anomaly(True):
        return cast("Tensor", net(x))


def _unseen(net: nn.Linear, x: Tensor) -> Tensor:
    with torch._C.DisableTorchFunction():
        return cast("Tensor", net(x))


USUAL: dict[str, Callable[[nn.Linear, Tensor], Tensor]] = {
    **{
        kind: _hooked(kind)
        for kind in ("forward", "forward_pre", "full_backward", "full_backward_pre")
    },
    "own_forward": _own_forward,
    "own_weight": _own_weight,
    "mode": _under_a_mode,
    "parametrized": _parametrized,
    "vmap": _mapped,
    "saved_hooks": _saved_on_another,
    "subclass": _labelled,
    "by_name": _by_name,
    "inner_mode": lambda net, x: _function_with_a_mode(x, net),
    "dispatch_mode": _dispatched,
    "anomaly": _followed_by_anomaly_mode,
    "compiled": _compiled_in_place,
    "functions_off": _unseen,
}


def _result(call: Callable[[nn.Linear, Tensor], Tensor]) -> list[Tensor]:
    torch.manual_seed(0)
    net, x = nn.Linear(3, 1), torch.randn(4, 3, requires_grad=True)
    out = call(net, x)
    out.square().sum().backward()
    assert x.grad is not None
    return [out.detach(), x.grad]


@pytest.mark.parametrize("name", USUAL)
def test_what_somebody_added_works_as_ever(name: str) -> None:
    plain = _result(USUAL[name])
    with gradscope.trace() as session:
        traced = _result(USUAL[name])
    assert all(torch.equal(a, b) for a, b in zip(plain, traced, strict=True))
    assert only_step(session).error is None


@contextlib.contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


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
    with gradscope.trace(), _replaced(owner, name, value):
        doubled = _result(lambda net, x: net(x))
    assert torch.equal(doubled[0], 2 * _result(lambda net, x: net(x))[0])


def test_what_somebody_replaced_before_is_left_alone() -> None:
    def doubled(module: nn.Module, *given: Any) -> Any:
        return nn.Module.__call__(module, *given) * 2

    nn.Linear.__call__ = doubled  # type: ignore[method-assign]
    try:
        with gradscope.trace():
            traced = _result(lambda net, x: cast("Tensor", net(x)))
        assert vars(nn.Linear)["__call__"] is doubled
    finally:
        del nn.Linear.__call__
    assert torch.equal(traced[0], 2 * _result(lambda net, x: cast("Tensor", net(x)))[0])


@pytest.mark.parametrize("kind", ["forward", "forward_pre", "full_backward", "full_backward_pre"])
def test_a_global_hook_of_somebody_elses_is_called(kind: str) -> None:
    called: list[str] = []
    register = getattr(nn.modules.module, f"register_module_{kind}_hook")
    hook = register(lambda module, *_: called.append(type(module).__name__))
    with hook, gradscope.trace():
        _result(lambda net, x: cast("Tensor", net(x)))
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
        found.append(type(torch.ones(1).as_subclass(_Labelled) + 1))

    before = signal.signal(signal.SIGALRM, handle)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.002)
        while not found:
            net(x)
    finally:
        signal.signal(signal.SIGALRM, before)
    return found


def test_a_signal_handler_may_call_torch_while_a_layer_works() -> None:
    net, x = nn.Linear(500, 500), torch.ones(500, 500)
    with gradscope.trace():
        assert _handled(net, x) == ["meta", _Labelled]


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
