"""Tensors are called what the user calls them, wherever the user keeps them."""

from __future__ import annotations

import threading
from collections import OrderedDict, UserDict, namedtuple
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any, NoReturn

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import gradscope
from gradscope.session import Session
from tests.capture.reading import graphs, labels, last_graph, leaves, named, op, parameter


def _w(value: float = 1.0) -> Tensor:
    return torch.full((2,), float(value), requires_grad=True)


def _leaf_names(session: Session) -> set[str]:
    return {n.label for n in leaves(last_graph(session))}


def test_variables_of_a_function() -> None:
    x, W, b = _w(1), _w(2), _w(3)
    with gradscope.trace() as t:
        y = W * x + b
        loss = y.sum()
        loss.backward()
    assert labels(last_graph(t)) == {"x", "W", "b", "y", "loss"}
    assert t.trace.steps[0].roots == ("loss",)
    assert [p.name for p in t.trace.parameters] == ["b", "W", "x"]


MODULE_LEVEL = _w(2)


def test_variables_of_the_module() -> None:
    def run() -> None:
        (MODULE_LEVEL * 2).sum().backward()

    with gradscope.trace() as t:
        run()
    assert _leaf_names(t) == {"MODULE_LEVEL"}


def test_attributes_of_an_object() -> None:
    class Model:
        def __init__(self) -> None:
            self.W = _w()
            self._b = _w()

        def loss(self) -> None:
            y = self.W * 2 + self._b
            y.sum().backward()

    with gradscope.trace() as t:
        Model().loss()
    assert _leaf_names(t) == {"self.W", "self._b"}
    assert "y" in labels(last_graph(t))


def test_containers() -> None:
    class Color(Enum):
        RED = 1

    Pair = namedtuple("Pair", "left right")
    Ws = [_w(), _w()]
    d = {"b": _w(), 3: _w(), (1, "x"): _w(), Color.RED: _w()}
    pair = Pair(_w(), [_w()])
    ordered = OrderedDict(k=_w())
    with gradscope.trace() as t:
        y = Ws[1] * d["b"] * d[3] * d[1, "x"] * d[Color.RED]
        y = y * pair.left * pair.right[0] * ordered["k"]
        y.sum().backward()
    assert _leaf_names(t) == {
        *("Ws[1]", "d['b']", "d[3]", "d[(1, 'x')]", "d[Color.RED]"),
        *("pair.left", "pair.right[0]", "ordered['k']"),
    }


@dataclass
class _Inner:
    w: Tensor


@dataclass
class _State:
    w: Tensor
    inner: _Inner


@dataclass(slots=True)
class _Slotted:
    w: Tensor


def test_dataclasses_and_slots() -> None:
    state, slotted = _State(_w(), _Inner(_w())), _Slotted(_w())
    with gradscope.trace() as t:
        (state.w * state.inner.w * slotted.w).sum().backward()
    assert _leaf_names(t) == {"state.w", "state.inner.w", "slotted.w"}


def test_free_variables_of_the_running_frames() -> None:
    w = _w()

    def run() -> None:
        def inner() -> None:
            (w * 2).sum().backward()

        inner()

    with gradscope.trace() as t:
        run()
    assert _leaf_names(t) == {"w"}


def test_free_variables_of_a_function_that_a_variable_holds() -> None:
    def make() -> Callable[[], Tensor]:
        w = _w()

        def loss_of() -> Tensor:
            return (w * 2).sum()

        return loss_of

    step = make()
    with gradscope.trace() as t:
        loss = step()
        loss.backward()
    assert _leaf_names(t) == {"w"}


def test_intermediates_of_frames_that_have_returned() -> None:
    def f(x: Tensor) -> Tensor:
        h = x * 2
        z, other = h.sin(), h.cos()
        if (k := z * other) is not None:
            k += 1
        chosen = k.exp() if True else k.log()
        return chosen.sum()

    x = _w()
    with gradscope.trace() as t:
        out = f(x)
        out.backward()
    graph = last_graph(t)
    found = {n.op.removesuffix("Backward0"): n.label for n in graph.structure.nodes}
    assert found == {
        "AccumulateGrad": "x",
        "Mul": "k",
        "Sin": "z",
        "Cos": "other",
        "Add": "k",
        "Exp": "chosen",
        "Sum": "out",
    } | {"Mul": found["Mul"]}
    assert {n.label for n in named(graph, "Mul")} == {"h", "k"}


def test_outputs_of_one_op() -> None:
    x = torch.ones(4, requires_grad=True)
    with gradscope.trace() as t:
        i, f, g, o = x.chunk(4)
        loss = (i * f * g * o).sum()
        loss.backward()
    assert op(last_graph(t), "Split").label == "i, f, g, o"


def test_what_is_written_into_keeps_its_name() -> None:
    x = _w()
    with gradscope.trace() as t:
        y = x * 2
        y[0] = 5.0
        y[1].mul_(3)
        loss = y.sum()
        loss.backward()
    assert [n.label for n in named(last_graph(t), "CopySlices")] == ["y", "y"]


def test_a_loop_variable_does_not_win() -> None:
    net = nn.Linear(2, 1)
    W, b = _w(), _w()
    params = [W, b]

    def train(given: list[Tensor]) -> None:
        for p in net.parameters():
            p.requires_grad_(True)
        for _, p in enumerate(given):  # type: ignore[assignment]
            p.requires_grad_(True)
        loss = net(W * b).sum()
        loss.backward()

    with gradscope.trace() as t:
        train(params)
    assert _leaf_names(t) == {"net.weight", "net.bias", "W", "b"}


def test_a_loop_variable_is_better_than_nothing() -> None:
    with gradscope.trace() as t:
        for x in (_w(), _w(2)):
            (x * 2).sum().backward()
    assert {p.name for p in t.trace.parameters} == {"x"}


def test_a_variable_that_is_also_assigned_is_no_leftover() -> None:
    layers = [nn.Linear(2, 2) for _ in range(2)]
    with gradscope.trace() as t:
        x = torch.ones(1, 2)
        for layer in layers:
            x = torch.relu(layer(x))
        x.sum().backward()
    assert _leaf_names(t) == {f"layers[{i}].{n}" for i in (0, 1) for n in ("weight", "bias")}
    assert {n.label for n in named(last_graph(t), "Relu")} == {"x"}


class _TwoHeads(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
        self.unregistered = [nn.Linear(2, 2)]
        self.by_name = {"out": nn.Linear(2, 1)}
        self.scale = nn.Parameter(torch.ones(1))
        self.plain = _w()

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        for layer in self.unregistered:
            x = layer(x) * self.plain
        out: Tensor = self.by_name["out"](x)
        return out * self.scale


def test_modules_and_what_they_hold() -> None:
    net = _TwoHeads()
    with gradscope.trace() as t:
        net(torch.ones(1, 2)).sum().backward()
    graph = last_graph(t)
    assert _leaf_names(t) == {
        *(f"net.layers.{i}.{n}" for i in (0, 1) for n in ("weight", "bias")),
        *(f"net.unregistered[0].{n}" for n in ("weight", "bias")),
        *(f"net.by_name['out'].{n}" for n in ("weight", "bias")),
        *("net.scale", "net.plain"),
    }
    assert {n.module for n in named(graph, "Addmm")} == {
        *("net.layers.0", "net.layers.1", "net.unregistered[0]", "net.by_name['out']"),
    }


def test_a_module_that_is_only_a_closures() -> None:
    def make() -> Callable[[Tensor], Tensor]:
        net = nn.Linear(2, 1)

        def loss_of(x: Tensor) -> Tensor:
            return F.relu(net(x)).sum()

        return loss_of

    step = make()
    with gradscope.trace() as t:
        step(torch.ones(1, 2)).backward()
    assert op(last_graph(t), "Addmm").module == "net"
    assert _leaf_names(t) == {"net.weight", "net.bias"}


def test_a_module_of_an_object_that_is_gone() -> None:
    class Trainer:
        def __init__(self) -> None:
            self.model = nn.Linear(2, 1)

        def loss(self) -> Tensor:
            return self.model(torch.ones(1, 2)).sum()  # type: ignore[no-any-return]

    def make() -> Tensor:
        return Trainer().loss()

    with gradscope.trace() as t:
        loss = make()
        loss.backward()
    assert op(last_graph(t), "Addmm").module == "self.model"
    assert _leaf_names(t) == {"self.model.weight", "self.model.bias"}


def test_a_module_in_the_hands_of_a_library() -> None:
    nets = {"a": nn.Linear(2, 2)}
    both = nn.Sequential(nets["a"], nn.ReLU())
    del nets
    with gradscope.trace() as t:
        torch.utils.checkpoint.checkpoint(
            both, torch.ones(1, 2), use_reentrant=False
        ).sum().backward()
    assert op(last_graph(t), "Addmm").module == "both.0"


def test_a_temporary_module_has_at_least_its_class() -> None:
    x = _w()
    with gradscope.trace() as t:
        nn.Softplus()(x).sum().backward()
    assert op(last_graph(t), "Softplus").module == "Softplus"


def test_a_new_model_of_the_same_name() -> None:
    with gradscope.trace() as t:
        for _ in range(3):
            net = nn.Linear(2, 1)
            net(torch.ones(1, 2)).sum().backward()
            del net
    assert {n.label for g in graphs(t) for n in leaves(g)} == {"net.weight", "net.bias"}
    assert len(t.trace.parameters) == 2


def test_a_weight_of_two_modules_has_its_first_name() -> None:
    net = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    net[1].weight = net[0].weight
    with gradscope.trace() as t:
        net(torch.ones(1, 2)).sum().backward()
    assert parameter(t.trace, "net.0.weight").fan_in == 2


def test_hostile_names() -> None:
    evil = 'a"b\n<script>alert(1)</script>\\'
    d = {evil: _w(), "x" * 500: _w()}
    with gradscope.trace() as t:
        (d[evil] * d["x" * 500]).sum().backward()
    names = _leaf_names(t)
    assert f"d[{evil!r}]" in names
    assert max(map(len, names)) < 60
    assert "\n" not in "".join(names)


class _Explosive:
    """Everything about it raises; reading names may not touch it."""

    def __getattr__(self, name: str) -> NoReturn:
        raise AssertionError(name)

    def __repr__(self) -> NoReturn:
        raise AssertionError

    def __iter__(self) -> NoReturn:
        raise AssertionError

    def __len__(self) -> NoReturn:
        raise AssertionError

    def __bool__(self) -> NoReturn:
        raise AssertionError

    def __eq__(self, other: object) -> NoReturn:
        raise AssertionError

    def __hash__(self) -> int:
        return 1

    @property  # type: ignore[misc]
    def __class__(self) -> NoReturn:  # type: ignore[override]
        raise AssertionError


class _LazyList(list[Any]):
    def __getitem__(self, index: Any) -> NoReturn:
        raise AssertionError

    def __iter__(self) -> NoReturn:
        raise AssertionError


class _LazyDict(dict[str, Any]):
    def __getitem__(self, key: str) -> NoReturn:
        raise AssertionError

    def __iter__(self) -> Iterator[str]:
        raise AssertionError

    def items(self) -> NoReturn:
        raise AssertionError


class _Unhashable(nn.Module):
    def __eq__(self, other: object) -> bool:
        raise AssertionError

    def forward(self, x: Tensor) -> Tensor:
        return x * 2

    def named_modules(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise AssertionError

    def named_parameters(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise AssertionError


def test_reading_names_runs_none_of_the_users_code() -> None:
    bomb = _Explosive()
    holder = {"bomb": bomb, bomb: 1, "lazy": _LazyList([_w()]), "map": _LazyDict(a=_w())}
    net, w = _Unhashable(), _w()
    with gradscope.trace() as t:
        (net(w) * holder["lazy"].copy()[0]).sum().backward()  # type: ignore[attr-defined]
    assert _leaf_names(t) == {"w", "holder['lazy'][0]"}
    assert op(last_graph(t), "Sum").kind == "loss"
    assert {n.module for n in named(last_graph(t), "Mul")} == {"net", ""}


def test_a_dict_that_a_class_makes_up_is_not_asked_for() -> None:
    asked: list[str] = []

    class MadeUp:
        @property
        def __dict__(self) -> dict[str, Any]:  # type: ignore[override]
            asked.append("__dict__")
            return {"w": 1}

    holder = MadeUp()
    object.__setattr__(holder, "v", _w())
    w = _w()
    with gradscope.trace() as t:
        (w * 2).sum().backward()
    assert _leaf_names(t) == {"w"}
    assert not asked


def test_a_variable_is_never_one_of_ours() -> None:
    ours = {"self", "tensor", "run", "raw", "names", "pending", "call", "leaf", "outputs"}
    with gradscope.trace() as t:
        (torch.ones(2, requires_grad=True) * 2).sum().backward()
    assert not labels(last_graph(t)) & ours
    assert [p.name for p in t.trace.parameters] == ["tensor[2]"]


def test_the_variables_of_a_frame_are_not_kept_alive() -> None:
    """``f_locals`` of a function fills a dict on the frame that would hold the tensors."""
    import weakref

    def train() -> None:
        w = _w()
        hidden = w * 2
        hidden.sum().backward()
        gone = weakref.ref(hidden)
        del hidden
        found.append(gone() is None)

    found: list[bool] = []
    with gradscope.trace() as t:
        train()
    assert found == [True]
    assert _leaf_names(t) == {"w"}


def test_the_users_locals_are_not_touched() -> None:
    def train(lr: float) -> dict[str, Any]:
        config = locals()
        w = _w()
        (w * lr).sum().backward()
        return config

    with gradscope.trace():
        config = train(0.1)
    assert config == {"lr": 0.1}


def test_variables_of_other_threads_frames() -> None:
    def work() -> None:
        w = _w()
        loss = (w * 3).sum()
        loss.backward()

    with gradscope.trace() as t:
        worker = threading.Thread(target=work)
        worker.start()
        worker.join()
    assert labels(last_graph(t)) == {"w", "loss"}


def test_a_user_dict_is_opened_like_any_object() -> None:
    store: UserDict[str, Tensor] = UserDict(w=_w())
    with gradscope.trace() as t:
        (store["w"] * 2).sum().backward()
    assert _leaf_names(t) == {"store.data['w']"}


def test_a_huge_container_costs_little() -> None:
    data = [[[float(i)] * 50 for i in range(300)] for _ in range(300)]
    w = _w()
    with gradscope.trace() as t:
        (w * data[0][0][0]).sum().backward()
    assert _leaf_names(t) == {"w"}
    assert t.trace.overhead.own_ns < 2e9


@pytest.mark.parametrize("name", ["_", "_1", "_i2", "__x", "In", "Out"])
def test_what_python_shells_keep_is_no_name(name: str) -> None:
    scope: dict[str, Any] = {"torch": torch}
    code = f"{name} = torch.ones(2, requires_grad=True)\n({name} * 2).sum().backward()"
    with gradscope.trace() as t:
        exec(code, scope)
    assert _leaf_names(t) == {"tensor[2]"}
