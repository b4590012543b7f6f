"""Torch's own layers on their short way: what is recorded is the same, and nobody can tell."""

from __future__ import annotations

import contextlib
import copy
import pickle
import signal
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, cast

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.overrides import TorchFunctionMode, handle_torch_function, has_torch_function
from torch.utils._python_dispatch import TorchDispatchMode

import gradscope
from gradscope.capture.forward import ForwardRecorder
from gradscope.capture.layers import LAYERS, Layers
from gradscope.model.trace import Trace
from tests.capture.programs import PROGRAMS, Program
from tests.capture.reading import labels, last_graph, only_step, ops

NETS: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: nn.Linear(4, 4),
    "no_bias": lambda: nn.Linear(4, 4, bias=False),
    "relu": nn.ReLU,
    "in_place": lambda: nn.Sequential(nn.Linear(4, 4), nn.ReLU(inplace=True)),
    "leaky": lambda: nn.LeakyReLU(0.3),
    "elu": nn.ELU,
    "silu": nn.SiLU,
    "gelu": lambda: nn.GELU(approximate="tanh"),
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "dropout": nn.Dropout,
    "dropout_off": lambda: nn.Dropout().eval(),
    "norm": lambda: nn.LayerNorm(4),
    "plain_norm": lambda: nn.LayerNorm(4, elementwise_affine=False),
    "frozen": lambda: nn.Sequential(nn.Linear(4, 4).requires_grad_(False), nn.Linear(4, 4)),
    "in_a_block": lambda: nn.TransformerEncoderLayer(4, 2, 8),
    "deep": lambda: nn.Sequential(nn.Sequential(nn.Linear(4, 4), nn.Tanh()), nn.Linear(4, 4)),
}


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The layers that went the short way, by class."""
    found: list[str] = []
    note = ForwardRecorder.note_layer

    def spy(self: ForwardRecorder, module: nn.Module, *rest: Any) -> None:
        found.append(type(module).__name__)
        note(self, module, *rest)

    monkeypatch.setattr(ForwardRecorder, "note_layer", spy)
    return found


def _facts(trace: Trace) -> dict[str, str]:
    """What must not depend on the way, as text, in which NaN equals NaN: all but times."""
    steps = [replace(s, backward_ns=0, made=None, root_made=None) for s in trace.steps]
    names = "updates parameters forward_graphs unused_forwards dropped calls cuts mutations notes"
    return {"steps": repr(steps)} | {name: repr(getattr(trace, name)) for name in names.split()}


def _traced(program: Callable[[], object]) -> Trace:
    torch.manual_seed(7)
    with gradscope.trace() as session:
        program()
    return session.trace


def _same_both_ways(program: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    program()  # what is made only once is made
    short = _facts(_traced(program))
    monkeypatch.setattr(Layers, "put_on", lambda _: None)
    usual = _facts(_traced(program))
    for fact, value in usual.items():
        assert short[fact] == value, fact


def _train(net: nn.Module, x: Tensor) -> None:
    for _ in range(3):
        net(x).square().sum().backward()
    with torch.no_grad():
        net(x)


@pytest.mark.parametrize("name", NETS)
def test_the_same_is_recorded_on_both_ways(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def program() -> None:
        torch.manual_seed(0)
        net, x = NETS[name](), torch.randn(3, 4, requires_grad=True)
        _train(net, x)
        _train(nn.Sequential(nn.Linear(4, 4), net), x)

    _same_both_ways(program, monkeypatch)


def test_the_same_is_recorded_of_embeddings(monkeypatch: pytest.MonkeyPatch) -> None:
    def program() -> None:
        torch.manual_seed(0)
        _train(nn.Embedding(5, 3, padding_idx=0), torch.tensor([0, 1, 3]))
        _train(nn.Embedding(5, 3, sparse=True), torch.tensor([1, 3]))
        _train(nn.Embedding(5, 3, max_norm=0.0), torch.tensor([1, 3]))

    _same_both_ways(program, monkeypatch)


def test_the_same_is_recorded_with_other_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    def program() -> None:
        torch.manual_seed(0)
        net, x = nn.Linear(4, 4), torch.randn(3, 4)
        weight = (torch.randn(4, 4, requires_grad=True) * 2).tanh()
        for given in ({"weight": weight, "bias": x[0]}, {"weight": x.repeat(2, 1)[:4]}):
            torch.func.functional_call(net, given, (x,)).sum().backward(retain_graph=True)

    _same_both_ways(program, monkeypatch)


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")
@pytest.mark.parametrize("name", sorted(PROGRAMS.keys() - {"threads"}))  # in any order
def test_the_same_is_recorded_of_whole_programs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program: Program = PROGRAMS[name]
    _same_both_ways(program, monkeypatch)


def test_every_layer_takes_the_short_way(noted: list[str]) -> None:
    x = torch.randn(3, 4, requires_grad=True)
    for layer in LAYERS:
        if layer.kind is nn.Embedding:
            net, given = cast("nn.Module", nn.Embedding(5, 4)), torch.tensor([1])
        else:
            net, given = layer.kind(*_SIZES.get(layer.kind, ())), x
        with gradscope.trace():
            net(given).sum().backward()
    assert noted == [layer.kind.__name__ for layer in LAYERS]


_SIZES: dict[type[nn.Module], tuple[int, ...]] = {nn.Linear: (4, 4), nn.LayerNorm: (4,)}


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
def test_what_somebody_added_works_as_ever(name: str, noted: list[str]) -> None:
    plain = _result(USUAL[name])
    with gradscope.trace() as session:
        traced = _result(USUAL[name])
    assert all(torch.equal(a, b) for a, b in zip(plain, traced, strict=True))
    assert noted == []
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
    ],
    ids=["function", "forward", "call", "call_impl", "own_call"],
)
def test_what_somebody_replaced_in_torch_is_called(
    owner: Any, name: str, value: Any, noted: list[str]
) -> None:
    with gradscope.trace(), _replaced(owner, name, value):
        doubled = _result(lambda net, x: net(x))
    assert noted == []
    assert torch.equal(doubled[0], 2 * _result(lambda net, x: net(x))[0])


def test_what_somebody_replaced_before_is_left_alone(noted: list[str]) -> None:
    def doubled(module: nn.Module, *given: Any) -> Any:
        return nn.Module.__call__(module, *given) * 2

    nn.Linear.__call__ = doubled  # type: ignore[method-assign]
    try:
        with gradscope.trace():
            traced = _result(lambda net, x: cast("Tensor", net(x)))
        assert vars(nn.Linear)["__call__"] is doubled
    finally:
        del nn.Linear.__call__
    assert noted == []
    assert torch.equal(traced[0], 2 * _result(lambda net, x: cast("Tensor", net(x)))[0])


def test_where_only_parameters_are_asked_for_nothing_is_noted(noted: list[str]) -> None:
    with gradscope.trace(level="params") as session:
        _result(lambda net, x: cast("Tensor", net(x)))
    assert noted == []
    assert only_step(session).graph is None


@pytest.mark.parametrize("kind", ["forward", "forward_pre", "full_backward", "full_backward_pre"])
def test_a_global_hook_of_somebody_elses_is_called(kind: str, noted: list[str]) -> None:
    called: list[str] = []
    register = getattr(nn.modules.module, f"register_module_{kind}_hook")
    hook = register(lambda module, *_: called.append(type(module).__name__))
    with hook, gradscope.trace():
        _result(lambda net, x: cast("Tensor", net(x)))
    assert (called, noted) == (["Linear"], [])


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


def test_nothing_stays_behind() -> None:
    with gradscope.trace():
        assert all("__call__" in vars(layer.kind) for layer in LAYERS)
        with gradscope.trace():
            pass
    assert not any("__call__" in vars(layer.kind) for layer in LAYERS)


def test_what_stays_behind_under_anothers_patch_does_nothing(noted: list[str]) -> None:
    session = gradscope.trace()
    session.__enter__()
    ours = vars(nn.Linear)["__call__"]
    nn.Linear.__call__ = lambda *given: ours(*given)  # type: ignore[method-assign]
    try:
        session.__exit__(None, None, None)
        out = _result(lambda net, x: net(x))
    finally:
        del nn.Linear.__call__
    assert torch.equal(out[0], _result(lambda net, x: net(x))[0])
    assert noted == []


def _frames(error: BaseException) -> list[str]:
    return [frame.name for frame in traceback.extract_tb(error.__traceback__)][1:]


@pytest.mark.parametrize("deep", [False, True])
def test_an_error_in_a_layer_has_the_usual_traceback(deep: bool, noted: list[str]) -> None:
    net: nn.Module = nn.Linear(3, 3)
    if deep:
        net = nn.Sequential(nn.Sequential(nn.Dropout(), net))
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied") as plain:
        net(torch.ones(1, 2))
    with gradscope.trace() as session:
        with pytest.raises(RuntimeError, match="shapes cannot be multiplied") as traced:
            net(torch.ones(1, 2))
        found = _frames(traced.value)
        nn.Linear(2, 2)(torch.ones(1, 2)).sum().backward()
    assert found == _frames(plain.value)
    assert traced.value.__context__ is None
    assert {n.call for n in ops(last_graph(session))} == {"linear", "sum"}


class _Stop(BaseException):
    pass


def test_an_interrupt_in_a_layer_leaves_all_as_it_was() -> None:
    """The signal comes in the middle of ``forward``, which allocates as much as it takes."""

    def stop(*_: object) -> None:
        raise _Stop

    before = signal.signal(signal.SIGALRM, stop)
    net, x = nn.Linear(1500, 1500), torch.ones(1500, 1500)
    try:
        with gradscope.trace() as session:
            signal.setitimer(signal.ITIMER_REAL, 0.002)
            with contextlib.suppress(_Stop):
                for _ in range(2000):
                    net(x)
            y = nn.Linear(2, 2)(torch.ones(1, 2)).sum()
            y.backward()
    finally:
        signal.signal(signal.SIGALRM, before)
    assert "y" in labels(last_graph(session))
    assert not session.trace.dropped
