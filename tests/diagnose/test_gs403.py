from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from gradscope.model.events import OptimizerFacts
from gradscope.model.graph import Graph
from gradscope.model.stats import TensorStats
from gradscope.model.trace import Parameter, Trace
from tests.builders import GraphBuilder, line
from tests.diagnose.graph_traces import idle, trained
from tests.diagnose.traces import judge

SHAPE = (8, 8)


def chain(
    names: Sequence[str], *, in_list: Sequence[str] = (), as_path: str = "layers[0]"
) -> Graph:
    """Linear layers in a module ``net``, first the one at the input; some not registered."""
    b = GraphBuilder()
    h = -1
    with b.module("net", "Net"):
        for i, name in enumerate(names):
            w = b.leaf(f"net.{name}.weight", SHAPE, gradient=0.1)
            inputs = (w,) if h < 0 else (h, w)
            path = as_path.replace("0", str(i))
            with b.module(path if name in in_list else name, "Linear"):
                h = b.op("Mm", *inputs, shape=(4, 8), gradient=0.1, source=line(10 + i))
            h = b.op("Relu", h, shape=(4, 8), gradient=0.1)
    b.op("MseLoss", h, shape=(), gradient=1.0)
    return b.graph()


def without(graph: Graph, *forgotten: str, n: int = 6) -> Trace:
    def owned(parameter: Parameter) -> bool:
        return parameter.name.split(".")[1] not in forgotten

    return trained([graph] * n, owned=owned)


@pytest.mark.parametrize("as_path", ["layers[0]", "heads['age 0']", "Linear", "blocks[0].fc"])
def test_a_layer_in_a_list_is_never_updated(as_path: str) -> None:
    graph = chain(["a", "b", "head"], in_list=["a", "b"], as_path=as_path)
    (finding,) = judge(without(graph, "a", "b"), "GS403")
    assert finding.severity == "warning"
    assert finding.message == (
        "`net.a.weight`, `net.b.weight` get gradients in 6 backwards but are never updated: the "
        "module that calls its layer has not registered it"
    )
    assert "nn.ModuleList" in finding.fix
    assert finding.evidence["reason"] == "unregistered"
    assert finding.where.source is not None
    assert finding.where.source.line == 10
    assert (finding.seen, finding.of, finding.steps) == (6, 6, (0, 5))


def test_a_single_network_that_is_hidden_may_be_fixed_on_purpose() -> None:
    graph = chain(["a", "b", "head"], in_list=["b"])
    (finding,) = judge(without(graph, "b"), "GS403")
    assert (finding.severity, finding.evidence["reason"]) == ("warning", "unregistered")
    graph = chain(["a", "judge"], in_list=["judge"])
    (finding,) = judge(without(graph, "judge"), "GS403")
    assert finding.severity == "info"


def test_hidden_networks_of_several_layers_behind_what_learns_are_judges() -> None:
    graph = chain(["a", "b", "c", "d", "e"], in_list="bcde", as_path="judges[0].fc")
    nodes = tuple(
        replace(n, module=n.module.replace("[2]", "[1]").replace("[4]", "[3]"))
        for n in graph.structure.nodes
    )
    graph = replace(graph, structure=replace(graph.structure, nodes=nodes))
    (finding,) = judge(without(graph, *"bcde"), "GS403")
    assert finding.severity == "info"


@pytest.mark.parametrize(("registered", "reason"), [(False, "loose"), (True, "unknown")])
def test_a_tensor_that_is_no_parameter_of_its_module(registered: bool, reason: str) -> None:
    graph = chain("ab")
    trace = without(graph, "b")
    loose = tuple(
        p if p.optimizers else replace(p, registered=registered, module="net.b")
        for p in trace.parameters
    )
    (finding,) = judge(replace(trace, parameters=loose), "GS403")
    assert finding.evidence["reason"] == reason
    assert finding.severity == ("info" if registered else "warning")


@pytest.mark.parametrize(("uses", "expected"), [(6, 1), (1, 0)])
def test_an_input_that_is_kept_to_look_at_is_another_every_time(uses: int, expected: int) -> None:
    trace = without(chain("ab"), "b")
    kept = tuple(
        p if p.optimizers else replace(p, kind="input", registered=False, module="net.b", uses=uses)
        for p in trace.parameters
    )
    assert len(judge(replace(trace, parameters=kept), "GS403")) == expected


@pytest.mark.parametrize(("loss", "severity"), [("LogSoftmax", "warning"), ("MseLoss", "info")])
def test_a_small_classifier_whose_result_is_compared_with_labels(loss: str, severity: str) -> None:
    b = GraphBuilder()
    h = b.op("Mm", b.leaf("f.weight", SHAPE, gradient=0.1), shape=(4, 8), gradient=0.1)
    h = b.op("Mm", b.leaf("f.weight2", SHAPE, gradient=0.1), h, shape=(4, 8), gradient=0.1)
    w = b.leaf("head.weight", (8, 3), gradient=0.1)
    h = b.op("Mm", w, h, shape=(4, 3), gradient=0.1, source=line(12))
    b.op("NllLoss", b.op(loss, h, shape=(4, 3), gradient=0.2), shape=(), gradient=1.0)
    trace = trained([b.graph()] * 6, owned=lambda p: p.name != "head.weight")
    (finding,) = judge(trace, "GS403")
    assert finding.severity == severity
    assert finding.evidence["reason"] == ("head" if severity == "warning" else "unknown")


def test_a_fixed_classifier_of_several_layers_may_judge() -> None:
    b = GraphBuilder()
    h = b.op("Mm", b.leaf("f.weight", (80, 80), gradient=0.1), shape=(4, 8), gradient=0.1)
    h = b.op("Mm", b.leaf("judge.0", (8, 4), gradient=0.1), h, shape=(4, 4), gradient=0.1)
    h = b.op("Mm", b.leaf("judge.1", (4, 3), gradient=0.1), h, shape=(4, 3), gradient=0.1)
    b.op("NllLoss", b.op("LogSoftmax", h, shape=(4, 3), gradient=0.2), shape=(), gradient=1.0)
    trace = trained([b.graph()] * 6, owned=lambda p: p.name == "f.weight")
    (finding,) = judge(trace, "GS403")
    assert finding.severity == "info"


@pytest.mark.parametrize(
    ("forgotten", "severity", "reason"),
    [
        (["b"], "warning", "gap"),  # in the middle of what is trained
        (["b", "c"], "warning", "gap"),
        (["b", "c", "d"], "info", "unknown"),  # most of it: adapters around a fixed rest
        (["a"], "info", "unknown"),  # a fixed backbone below
        (["a", "b", "c", "d"], "info", "unknown"),  # a linear probe
        (["e"], "info", "unknown"),  # a fixed judge above
        ([], None, ""),
    ],
)
def test_only_what_nobody_does_on_purpose_is_a_warning(
    forgotten: list[str], severity: str | None, reason: str
) -> None:
    found = judge(without(chain("abcde"), *forgotten), "GS403")
    assert [(f.severity, f.evidence["reason"]) for f in found] == (
        [(severity, reason)] if severity else []
    )


def test_an_optimizer_of_old_parameters_explains_a_new_head() -> None:
    trace = without(chain("abc"), "c")
    old = idle(len(trace.parameters), "tensor[100, 8]")
    (finding,) = judge(replace(trace, parameters=(*trace.parameters, old)), "GS403")
    assert (finding.severity, finding.evidence["reason"]) == ("warning", "stale")
    assert "while an optimizer holds parameters that nothing uses" in finding.message
    flat = replace(old, shape=(100,))
    (finding,) = judge(replace(trace, parameters=(*trace.parameters, flat)), "GS403")
    assert finding.severity == "info"


@pytest.mark.parametrize(("n", "expected"), [(2, 0), (3, 1), (50, 1)])
def test_it_takes_three_backwards_and_updates(n: int, expected: int) -> None:
    assert len(judge(without(chain("abc"), "b", n=n), "GS403")) == expected


def test_without_updates_by_an_optimizer_nothing_is_forgotten() -> None:
    assert judge(trained([chain("abc")] * 9, steps=False), "GS403") == []
    trace = without(chain("abc"), "b")
    by_hand = tuple(replace(u, by="hand", optimizer="") for u in trace.updates)
    assert judge(replace(trace, updates=by_hand), "GS403") == []


@pytest.mark.parametrize("change", [{"requires_grad": False}, {"kind": "input"}])
def test_frozen_parameters_and_inputs_are_healthy(change: dict[str, object]) -> None:
    trace = without(chain("abc"), "b")
    changed = tuple(
        p if p.optimizers else replace(p, **change)  # type: ignore[arg-type]
        for p in trace.parameters
    )
    assert judge(replace(trace, parameters=changed), "GS403") == []


def test_updated_once_by_anyone_is_not_forgotten() -> None:
    trace = without(chain("abc"), "b")
    donor = next(p for p in trace.parameters if p.optimizers)
    helped = tuple(
        p if p.optimizers else replace(p, updates=donor.updates) for p in trace.parameters
    )
    assert judge(replace(trace, parameters=helped), "GS403") == []


def as_made(parameter: Parameter, bound: float = 8**-0.5) -> Parameter:
    """With the values that ``nn.Linear`` gives a weight."""
    norm = bound / 3**0.5 * parameter.count**0.5
    value = TensorStats(parameter.shape, "float32", "cpu", 64, norm, -bound * 0.98, bound * 0.99)
    return replace(parameter, value=value)


@pytest.mark.parametrize(
    ("forgotten", "bound", "severity"),
    [
        (["a"], 8**-0.5, "warning"),
        (["a", "b"], 8**-0.5, "warning"),
        (["a", "b"], 0.5, "info"),  # trained elsewhere: a backbone
        (["a", "b", "c", "d"], 8**-0.5, "info"),  # a linear probe
        (["e"], 8**-0.5, "info"),  # a judge
    ],
)
def test_an_encoder_is_forgotten_when_its_weights_are_random(
    forgotten: list[str], bound: float, severity: str
) -> None:
    trace = without(chain("abcde"), *forgotten)
    made = tuple(as_made(p, bound) for p in trace.parameters)
    (finding,) = judge(replace(trace, parameters=made), "GS403")
    assert finding.severity == severity
    assert finding.evidence["reason"] == ("front" if severity == "warning" else "unknown")


def test_an_optimizer_that_never_steps_may_be_for_a_later_phase() -> None:
    trace = without(chain("abcde"), "a")
    trace = replace(trace, parameters=tuple(as_made(p) for p in trace.parameters))
    waiting = OptimizerFacts("SGD#2", steps=0)
    (finding,) = judge(replace(trace, optimizers=(waiting,)), "GS403")
    assert finding.severity == "info"


def test_one_of_two_towers_is_fixed_on_purpose() -> None:
    b = GraphBuilder()
    sides = []
    for tower in "ab":
        w = b.leaf(f"{tower}.0", SHAPE, gradient=0.1)
        h = b.op("Mm", w, shape=(4, 8), gradient=0.1, source=line(10))
        v = b.leaf(f"{tower}.1", SHAPE, gradient=0.1)
        sides.append(b.op("Mm", h, v, shape=(4, 8), gradient=0.1, source=line(11)))
    b.op("Mean", b.op("Mm", *sides, shape=(4, 4), gradient=0.1), shape=(), gradient=1.0)
    trace = trained([b.graph()] * 6, owned=lambda p: p.name.startswith("b"))
    trace = replace(trace, parameters=tuple(as_made(p) for p in trace.parameters))
    (finding,) = judge(trace, "GS403")
    assert finding.severity == "info"
