from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from gradscope.model.events import Addition, Cut, OptimizerFacts
from gradscope.model.graph import Graph
from gradscope.model.trace import Parameter, Trace
from tests.builders import GraphBuilder, line
from tests.diagnose.graph_traces import idle, trained
from tests.diagnose.traces import STEP, gradients, judge


def decoder() -> Graph:
    b = GraphBuilder()
    h = b.op("Mm", b.leaf("decoder.weight", (8, 8), gradient=0.1), shape=(4, 8), gradient=0.1)
    b.op("MseLoss", h, shape=(), gradient=1.0)
    return b.graph()


def forward_of(*indices: int) -> Graph:
    """A result that no backward used, computed from these parameters."""
    b = GraphBuilder()
    h = -1
    for index in indices:
        w = b.leaf(f"w{index}", (4, 4))
        inputs = (w,) if h < 0 else (h, w)
        h = b.op("Mm", *inputs, shape=(4, 4), source=line(10, "code = encoder(x)"))
    graph = b.graph(backward_ran=False)
    nodes = tuple(
        replace(n, parameter=int(n.label[1:])) if n.parameter is not None else n
        for n in graph.structure.nodes
    )
    return replace(graph, structure=replace(graph.structure, nodes=nodes))


def with_idle(*names: str, forward: tuple[int, ...] = (), n: int = 6) -> Trace:
    trace = trained([decoder()] * n)
    more = tuple(idle(i + 1, name) for i, name in enumerate(names))
    graphs = (forward_of(*forward),) if forward else ()
    return replace(trace, parameters=trace.parameters + more, forward_graphs=graphs)


def test_an_encoder_that_is_cut_off_is_located() -> None:
    (finding,) = judge(with_idle("enc.0", "enc.1", forward=(1, 2)), "GS301")
    assert finding.severity == "warning"
    assert finding.message == (
        "`enc.0`, `enc.1` never get a gradient in 6 backwards, though SGD (train.py:24) steps on "
        "them: `MmBackward0` of `code = encoder(x)` (train.py:10) uses it, but no loss was "
        "computed from the result"
    )
    assert finding.where.source is not None
    assert finding.where.source.line == 10
    assert "detach()" in finding.cause


def test_a_layer_that_is_not_used_is_only_told() -> None:
    (finding,) = judge(with_idle("net.spare.weight"), "GS301")
    assert finding.severity == "info"
    assert finding.where.parameter == "net.spare.weight"


def test_a_result_that_trained_parameters_lead_to_may_just_not_be_needed() -> None:
    (finding,) = judge(with_idle("pooler.weight", forward=(0, 1)), "GS301")
    assert finding.severity == "info"


def test_an_optimizer_that_never_finds_a_gradient_is_a_warning() -> None:
    trace = with_idle("old.weight")
    updates = tuple(replace(u, parameters=0) for u in trace.updates)
    new = tuple(
        p if p.name == "old.weight" else replace(p, optimizers=()) for p in trace.parameters
    )
    (finding,) = judge(replace(trace, updates=updates, parameters=new), "GS301")
    assert finding.severity == "warning"
    assert finding.message.endswith("none of its steps found a gradient")


@pytest.mark.parametrize(("n", "expected"), [(1, 0), (2, 0), (3, 1), (30, 1)])
def test_it_takes_three_steps_of_the_optimizer(n: int, expected: int) -> None:
    assert len(judge(with_idle("spare", n=n), "GS301")) == expected


@pytest.mark.parametrize(
    "change", [{"requires_grad": False}, {"optimizers": ()}, {"count": 0, "shape": (0,)}]
)
def test_what_is_healthy(change: dict[str, object]) -> None:
    """Frozen; a target network or a teacher; nothing in it."""
    trace = with_idle("other.weight", forward=(1,))
    changed = tuple(
        replace(p, **change) if p.name == "other.weight" else p  # type: ignore[arg-type]
        for p in trace.parameters
    )
    assert judge(replace(trace, parameters=changed), "GS301") == []


def test_gradients_written_by_hand_are_updates() -> None:
    trace = with_idle("policy.weight")
    donor = trace.parameters[0]
    changed = (donor, replace(trace.parameters[1], updates=donor.updates))
    assert judge(replace(trace, parameters=changed), "GS301") == []


def test_a_run_without_any_backward_is_not_judged() -> None:
    assert judge(replace(with_idle("spare"), steps=()), "GS301") == []


def with_cut(*indices: int, op: str = "detach") -> Trace:
    trace = with_idle("enc.0", "enc.1")
    source = line(11, "y = decoder(code.detach())  # here", "code.detach()")
    return replace(trace, cuts=(Cut(op, source, 0, 6, "code", parameters=indices),))


def test_the_call_that_cuts_it_off_is_named() -> None:
    (finding,) = judge(with_cut(1, 2), "GS301")
    assert finding.severity == "warning"
    assert finding.message == (
        "`enc.0`, `enc.1` never get a gradient in 6 backwards, though SGD (train.py:24) steps on "
        "them: `detach` in `y = decoder(code.detach())` (train.py:11) cuts `code` off"
    )
    assert finding.where.source is not None
    assert (finding.where.source.line, finding.where.variable) == (11, "code")
    assert finding.evidence["cut_off"] == 2


def test_the_call_comes_before_the_forward_pass_that_nothing_used() -> None:
    trace = replace(with_cut(1, 2), forward_graphs=(forward_of(1, 2),))
    (finding,) = judge(trace, "GS301")
    assert finding.where.source is not None
    assert finding.where.source.line == 11


@pytest.mark.parametrize("indices", [(), (0,), (0, 1, 2)])
def test_a_call_that_cuts_off_what_is_trained_explains_nothing(indices: tuple[int, ...]) -> None:
    """A log of the loss, features that are looked at."""
    (finding,) = judge(with_cut(*indices), "GS301")
    assert finding.severity == "info"


@pytest.mark.parametrize(
    ("uses", "ending"),
    [
        ((0, 0), "no forward pass that builds a graph uses them"),
        ((3, 3), "a forward pass uses what no loss depends on"),
        ((0, 3), "steps on them"),
    ],
)
def test_never_used_is_told_from_used_in_vain(uses: tuple[int, int], ending: str) -> None:
    trace = with_idle("a", "b")
    known, *others = trace.parameters
    changed = tuple(replace(p, uses=n) for p, n in zip(others, uses, strict=True))
    (finding,) = judge(replace(trace, parameters=(known, *changed)), "GS301")
    assert finding.severity == "info"
    assert finding.message.endswith(ending)


def cut_at(number: int, op: str, expression: str, *indices: int) -> Cut:
    return Cut(op, line(number, "", expression), 0, 6, "code", parameters=indices)


@pytest.mark.parametrize(
    ("cuts", "blamed"),
    [
        ([cut_at(7, "argmax", "code.argmax()", 1), cut_at(8, "item", "code.item()", 1)], 8),
        ([cut_at(7, "detach", "code.detach()", 1), cut_at(8, "item", "code.item()", 1)], 7),
        ([cut_at(7, "item", "code.item()", 1), cut_at(8, "item", "code.item()", 1)], 8),
        ([cut_at(7, "eq", "Categorical(code)", 1), cut_at(8, "gt", "code > 0", 1)], 8),
        ([cut_at(7, "gt", "torch.gt(code, 0)", 1), cut_at(8, "ge", "Normal(code)", 1)], 7),
    ],
)
def test_which_of_several_calls_is_blamed(cuts: list[Cut], blamed: int) -> None:
    trace = replace(with_idle("encoder.weight"), cuts=tuple(cuts))
    (finding,) = judge(trace, "GS301")
    assert finding.where.source is not None
    assert finding.where.source.line == blamed


def test_a_comparison_inside_a_library_is_not_named() -> None:
    cut = cut_at(7, "eq", "Categorical(code)", 1)
    (finding,) = judge(replace(with_idle("encoder.weight"), cuts=(cut,)), "GS301")
    assert (finding.severity, finding.where.source) == ("info", STEP)


def test_codes_are_chosen_from_a_table_that_is_trained() -> None:
    b = GraphBuilder()
    h = b.op("Embedding", b.leaf("book.weight", (8, 8), gradient=0.1), shape=(4, 8), gradient=0.1)
    b.op("MseLoss", h, shape=(), gradient=1.0)
    trace = trained([b.graph()] * 6)
    cuts = (
        cut_at(7, "argmin", "cdist(code, book).argmin(1)", 0, 1),
        cut_at(8, "detach", "code.detach()", 1),
    )
    both = replace(trace, parameters=(*trace.parameters, idle(1, "encoder.weight")), cuts=cuts)
    (finding,) = judge(both, "GS301")
    assert finding.where.source is not None
    assert finding.where.source.line == 7
    assert "straight through" in finding.fix
    (finding,) = judge(replace(with_idle("encoder.weight"), cuts=cuts), "GS301")
    assert finding.where.source is not None
    assert finding.where.source.line == 8  # nothing is looked up in what else was compared


def joined(group: Sequence[Parameter], after_step: int, n: int = 8) -> Trace:
    """A group that the optimizer is given after that backward, with updates after each."""
    trace = with_idle("net.head", n=n)
    (held, _) = trace.parameters
    parameters = (held, *(replace(p, index=i) for i, p in enumerate(group, 1)))
    added = Addition(line(31, "opt.add_param_group(...)"), after_step, (1, 2)[: len(group)])
    facts = OptimizerFacts("SGD", None, -1, (0, 1, 2), n, (added,))
    return replace(trace, parameters=parameters, optimizers=(facts,))


def test_a_group_that_joins_and_is_still_frozen() -> None:
    frozen = replace(idle(1, "body"), requires_grad=False)
    (finding,) = judge(joined([frozen, frozen], 3), "GS301")
    assert finding.severity == "warning"
    assert finding.where.source == line(31, "opt.add_param_group(...)")
    assert finding.message == (
        "`body`, `body` join SGD after 4 backwards (train.py:31) but still have "
        "requires_grad=False: none of the 4 steps since then changes them"
    )


def test_a_group_that_joins_in_time_or_in_part() -> None:
    body = idle(1, "body")
    frozen = replace(body, requires_grad=False)
    assert judge(joined([frozen], 5), "GS301") == []  # two steps are left
    once = replace(frozen, gradients=gradients([1.0]))
    assert judge(joined([frozen, once], 3), "GS301") == []
    assert all(f.severity == "info" for f in judge(joined([frozen, body], 3), "GS301"))
