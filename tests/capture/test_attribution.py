"""Every node knows its torch call, the user's line and expression, its module and its iteration."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import gradscope
from tests.capture.programs import PROGRAMS
from tests.capture.reading import graphs, labelled, last_graph, leaves, named, op, ops, unattributed

UNNAMED = {"checkpoint_reentrant", "functional_transforms"}  # inputs that only torch made


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")
@pytest.mark.parametrize("name", PROGRAMS)
def test_nothing_is_left_without_call_line_and_name(name: str) -> None:
    torch.manual_seed(7)
    with gradscope.trace() as t:
        PROGRAMS[name]()
    found = graphs(t)
    assert len(found) >= 3
    for graph in found:
        assert unattributed(graph) == []
        assert [n.op for n in ops(graph) if n.iteration < 1] == []
        nameless = [n.label for n in leaves(graph) if n.label.startswith("tensor[")]
        assert nameless == [] or name in UNNAMED
    files = {n.source.file for graph in found for n in ops(graph) if n.source is not None}
    assert all(file.endswith("programs.py") for file in files), files


def _modules(graph: Any) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for node in ops(graph):
        found.setdefault(node.module, set()).add(node.op)
    return found


def test_modules_by_instance_name() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    with gradscope.trace() as t:
        loss = net(torch.ones(2, 3)).sum()
        loss.backward()
    graph = last_graph(t)
    assert set(_modules(graph)) == {"", "net.0", "net.1", "net.2"}
    linear = named(graph, "Addmm")[0]
    assert (linear.module_type, linear.module_types) == ("Linear", ("Sequential", "Linear"))
    assert (linear.module_call, linear.module_calls) == (1, (1, 1))
    assert {n.label for n in leaves(graph)} == {
        "net.0.weight",
        "net.0.bias",
        "net.2.weight",
        "net.2.bias",
    }


def test_gpt2_has_the_whole_module_path() -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(vocab_size=20, n_positions=8, n_embd=8, n_layer=2, n_head=2)
    model: Any = GPT2LMHeadModel(config)
    tokens = torch.tensor([[1, 2, 3, 4]])
    with gradscope.trace() as t:
        loss = model(tokens, labels=tokens).loss
        loss.backward()
    graph = last_graph(t)
    assert [n.op for n in ops(graph) if not n.module] == []
    attention = [n for n in ops(graph) if n.call == "scaled_dot_product_attention"]
    assert {n.module for n in attention} == {
        "model.transformer.h.0.attn",
        "model.transformer.h.1.attn",
    }
    assert attention[0].module_types[-2:] == ("GPT2Block", "GPT2Attention")
    assert labelled(graph, "model.transformer.wte.weight").parameter is not None


def test_calls_of_one_module_are_counted_at_every_level() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(2, 2, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            return torch.tanh(self.inner(self.inner(x)))

    net = Block()
    with gradscope.trace() as t:
        h = torch.ones(1, 2)
        for _ in range(3):
            h = net(h)
        loss = h.sum()
        loss.backward()
    graph = last_graph(t)
    assert [n.module_call for n in named(graph, "Tanh")] == [1, 2, 3]
    assert [n.module_call for n in named(graph, "Mm")] == [1, 2, 3, 4, 5, 6]
    assert [n.module_calls for n in named(graph, "Mm")][4:] == [(3, 5), (3, 6)]


def test_a_module_whose_class_changes_is_told_by_the_new_one() -> None:
    net = nn.LazyLinear(2)
    net(torch.ones(1, 3))
    with gradscope.trace() as t:
        net(torch.ones(1, 3)).sum().backward()
        nn.utils.parametrizations.weight_norm(net)
        net(torch.ones(1, 3)).sum().backward()
    first, second = (named(graph, "Addmm")[0] for graph in graphs(t))
    assert (first.module, first.module_types) == ("net", ("Linear",))
    assert (second.module, second.module_types) == ("net", ("ParametrizedLinear",))
    (norm,) = named(graphs(t)[1], "WeightNormInterface")
    assert norm.module == "net.parametrizations.weight.0"


def test_inner_nodes_of_composite_calls() -> None:
    x = torch.randn(4, 3, requires_grad=True)
    target = torch.tensor([0, 1, 2, 0])
    with gradscope.trace() as t:
        loss = F.cross_entropy(x, target)
        loss.backward()
    graph = last_graph(t)
    assert {n.op for n in ops(graph)} == {"LogSoftmaxBackward0", "NllLossBackward0"}
    assert {n.call for n in ops(graph)} == {"cross_entropy"}
    assert {n.source.expression for n in ops(graph) if n.source} == {"F.cross_entropy(x, target)"}
    assert op(graph, "NllLoss").label == "loss"
    assert op(graph, "LogSoftmax").label == ""


def test_names_of_calls() -> None:
    x = torch.ones(3, 3, requires_grad=True)
    with gradscope.trace() as t:
        y = (x @ x).T.mT + x[0] - F.relu(x) ** 2
        y = (-y / x).add_(1)
        y[0] = 1.0
        y *= 2
        y.sum().backward()
    calls = [n.call for n in ops(last_graph(t))]
    wanted = ["matmul", "T", "mT", "getitem", "add", "relu", "pow", "sub", "neg", "div"]
    assert calls == [*wanted, "add_", "setitem", "mul_", "sum"]


def _multi_line(x: Tensor) -> Tensor:
    return torch.relu(
        x * 2
        + 1,
    )  # fmt: skip


def _comprehension(x: Tensor) -> Tensor:
    return torch.stack([x * k for k in (1.0, 2.0)])


def _lambda(x: Tensor) -> Tensor:
    double: Callable[[Tensor], Tensor] = lambda v: v * 2  # noqa: E731
    return double(x)


def _doubled(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    def wrapper(x: Tensor) -> Tensor:
        return function(x) + 0.5

    return wrapper


@_doubled
def _decorated(x: Tensor) -> Tensor:
    return x.cos()


def _unicode(x: Tensor) -> Tensor:
    größe = x * 2; return größe.exp() + größe  # noqa: E702  # fmt: skip


EXPRESSIONS: list[tuple[Callable[[Tensor], Tensor], dict[str, str]]] = [
    (
        _multi_line,
        {"Relu": "torch.relu( x * 2 + 1, )", "Add": "x * 2 + 1", "Mul": "x * 2"},
    ),
    (_comprehension, {"Mul": "x * k", "Stack": "torch.stack([x * k for k in (1.0, 2.0)])"}),
    (_lambda, {"Mul": "v * 2"}),
    (_decorated, {"Cos": "x.cos()", "Add": "function(x) + 0.5"}),
    (_unicode, {"Mul": "x * 2", "Exp": "größe.exp()", "Add": "größe.exp() + größe"}),
]


@pytest.mark.parametrize(("run", "wanted"), EXPRESSIONS, ids=lambda v: getattr(v, "__name__", ""))
def test_the_expression_that_ran(run: Callable[[Tensor], Tensor], wanted: dict[str, str]) -> None:
    x = torch.ones(2, requires_grad=True)
    with gradscope.trace() as t:
        run(x).sum().backward()
    graph = last_graph(t)
    for name, expression in wanted.items():
        found = {n.source.expression for n in named(graph, name) if n.source is not None}
        assert found == {expression}


def test_a_source_tells_file_line_text_and_function() -> None:
    x = torch.ones(2, requires_grad=True)
    with gradscope.trace() as t:
        _decorated(x).sum().backward()
    source = op(last_graph(t), "Cos").source
    assert source is not None
    assert source.file == __file__
    assert source.text == "return x.cos()"
    assert source.function == "_decorated"
    with open(__file__) as file:
        assert file.readlines()[source.line - 1].strip() == source.text


def test_iterations_of_an_unrolled_loop() -> None:
    w = torch.tensor(0.9, requires_grad=True)
    with gradscope.trace() as t:
        h = torch.tensor(1.0)
        for _ in range(200):
            h = torch.tanh(w * h)
        h.backward()
    graph = last_graph(t)
    for name in ("Mul", "Tanh"):
        found = named(graph, name)
        assert [n.iteration for n in found] == list(range(1, 201))
    assert {n.label for n in named(graph, "Tanh")} == {"h"}, "frames are gone, targets are not"


def test_iterations_of_nested_loops_and_user_functions() -> None:
    w = torch.ones(2, requires_grad=True)

    def cell(h: Tensor) -> Tensor:
        return torch.sin(w * h)

    with gradscope.trace() as t:
        h = torch.ones(2)
        for _ in range(3):
            for _ in range(2):
                h = cell(h)
            h = F.relu(h)
        h.sum().backward()
    graph = last_graph(t)
    assert [n.iteration for n in named(graph, "Sin")] == [1, 2, 3, 4, 5, 6]
    assert [n.iteration for n in named(graph, "Relu")] == [1, 2, 3]


def test_iterations_inside_a_module_of_the_users() -> None:
    """A function such as ``F.relu`` reaches torch over several Python frames."""

    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = nn.Linear(2, 2)

        def forward(self, h: Tensor) -> Tensor:
            for _ in range(4):
                h = F.relu(self.cell(h))
                h = F.silu(h) + 1
            return h

    net = Recurrent()
    with gradscope.trace() as t:
        net(torch.ones(2, 2)).sum().backward()
    graph = last_graph(t)
    for name in ("Relu", "Silu", "Addmm", "Add"):
        assert [n.iteration for n in named(graph, name)] == [1, 2, 3, 4], name
    assert {n.label for n in named(graph, "Silu")} == {""}
    assert {n.label for n in named(graph, "Add")} == {"h"}


def test_iterations_start_anew_in_every_graph() -> None:
    w = torch.tensor(0.9, requires_grad=True)
    with gradscope.trace() as t:
        for _ in range(3):
            (w * 2).backward()
    assert [op(graph, "Mul").iteration for graph in graphs(t)] == [1, 1, 1]


def test_all_ops_of_one_library_call_are_one_iteration() -> None:
    net = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0)
    with gradscope.trace() as t:
        x = torch.ones(3, 1, 4)
        for _ in range(3):
            x = net(x)
        x.sum().backward()
    counts = Counter(n.iteration for n in ops(last_graph(t)) if n.module)
    assert set(counts) == {1, 2, 3}
    assert len(set(counts.values())) <= 2, "the first call has fewer, its input needs no gradient"


def test_equal_code_in_two_files_is_told_apart(tmp_path: Any) -> None:
    """Python takes code objects of the same text at the same lines for equal."""
    found = []
    for name in ("one.py", "two.py"):
        path = tmp_path / name
        path.write_text("def f(x):\n    return x * 2\n")
        scope: dict[str, Any] = {}
        exec(compile(path.read_text(), str(path), "exec"), scope)
        found.append(scope["f"])
    x = torch.ones(2, requires_grad=True)
    with gradscope.trace() as t:
        (found[0](x) + found[1](x)).sum().backward()
    sources = [n.source.file for n in named(last_graph(t), "Mul") if n.source is not None]
    assert [file.rpartition("/")[2] for file in sources] == ["one.py", "two.py"]


def test_the_line_is_read_before_the_file_changes(tmp_path: Any) -> None:
    path = tmp_path / "script.py"
    path.write_text("def f(x):\n    return x * 2\n")
    scope: dict[str, Any] = {}
    exec(compile(path.read_text(), str(path), "exec"), scope)
    x = torch.ones(2, requires_grad=True)
    with gradscope.trace() as t:
        y = scope["f"](x)
        path.write_text("# edited\n# while it ran\n")
        y.sum().backward()
    source = op(last_graph(t), "Mul").source
    assert source is not None
    assert source.text == "return x * 2"


def test_a_modes_own_frame_is_not_the_line() -> None:
    """A torch function mode of the user's calls the function in our user's stead."""

    class Mode(torch.overrides.TorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            return func(*args, **(kwargs or {}))

    x = torch.ones(2, requires_grad=True)
    with gradscope.trace() as t, Mode():
        h = x
        for _ in range(3):
            h = h * 2
        h.sum().backward()
    found = named(last_graph(t), "Mul")
    assert [n.source.expression for n in found if n.source] == ["h * 2"] * 3
    assert [n.iteration for n in found] == [1, 2, 3]
