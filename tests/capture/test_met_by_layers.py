"""What the program adds to a layer meets its calls as ever."""

from __future__ import annotations

import warnings
from collections.abc import Callable
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


class Labelled(Tensor):
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
    out = net(x.as_subclass(Labelled))
    assert type(out) is Labelled
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


ADDED: dict[str, Callable[[nn.Linear, Tensor], Tensor]] = {
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


def result(call: Callable[[nn.Linear, Tensor], Tensor]) -> list[Tensor]:
    torch.manual_seed(0)
    net, x = nn.Linear(3, 1), torch.randn(4, 3, requires_grad=True)
    out = call(net, x)
    out.square().sum().backward()
    assert x.grad is not None
    return [out.detach(), x.grad]


@pytest.mark.parametrize("name", ADDED)
def test_what_somebody_added_works_as_ever(name: str) -> None:
    plain = result(ADDED[name])
    with gradscope.trace() as session:
        traced = result(ADDED[name])
    assert all(torch.equal(a, b) for a, b in zip(plain, traced, strict=True))
    assert only_step(session).error is None
