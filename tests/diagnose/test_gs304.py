from __future__ import annotations

from dataclasses import replace

import pytest

from gradscope.model.graph import Graph, Traits
from gradscope.model.stats import TensorStats
from gradscope.model.trace import Trace
from tests.builders import GraphBuilder, line
from tests.diagnose.graph_traces import idle, trained
from tests.diagnose.traces import judge


def layers(n: int, frozen: int) -> Graph:
    """Linear layers of which one has no parameter that requires a gradient."""
    b = GraphBuilder()
    h = -1
    with b.module("net", "Net"):
        for i in range(n):
            with b.module(f"l{i}", "Linear"):
                inputs = () if h < 0 else (h,)
                if i != frozen:
                    inputs = (*inputs, b.leaf(f"net.l{i}.weight", (8, 8), gradient=0.1))
                if inputs:
                    h = b.op("Mm", *inputs, shape=(4, 8), gradient=0.1, source=line(10 + i))
    b.op("MseLoss", h, shape=(), gradient=1.0)
    return b.graph()


def with_frozen(n: int, frozen: int, *, size: int = 64, backwards: int = 5) -> Trace:
    trace = trained([layers(n, frozen)] * backwards)
    known = tuple(
        replace(p, count=64, module=p.name.removesuffix(".weight")) for p in trace.parameters
    )
    name = f"net.l{frozen}"
    hole = replace(idle(len(known), f"{name}.weight"), requires_grad=False, module=name, count=size)
    return replace(trace, parameters=(*known, hole))


def test_a_hole_in_the_middle_is_told() -> None:
    (finding,) = judge(with_frozen(6, 2), "GS304")
    assert finding.severity == "info"
    assert finding.message == (
        "`net.l2.weight` is frozen, though layers before and behind `net.l2` (train.py:12) are "
        "updated"
    )
    assert finding.fix.startswith("net.l2.requires_grad_(True)")


@pytest.mark.parametrize(
    ("n", "frozen", "size"),
    [
        (6, 0, 64),  # a frozen front is in no graph
        (6, 5, 64),  # a judge of the result
        (2, 1, 64),
        (6, 2, 10_000),  # adapters around a frozen rest
    ],
)
def test_what_is_frozen_on_purpose(n: int, frozen: int, size: int) -> None:
    assert judge(with_frozen(n, frozen, size=size), "GS304") == []


@pytest.mark.parametrize("change", [{"requires_grad": True}, {"shape": (8,)}, {"module": ""}])
def test_only_frozen_matrices_of_a_module_count(change: dict[str, object]) -> None:
    trace = with_frozen(6, 2)
    *known, hole = trace.parameters
    changed = replace(hole, **change)  # type: ignore[arg-type]
    assert judge(replace(trace, parameters=(*known, changed)), "GS304") == []


@pytest.mark.parametrize(("backwards", "expected"), [(2, 0), (3, 1)])
def test_it_takes_three_backwards(backwards: int, expected: int) -> None:
    assert len(judge(with_frozen(6, 2, backwards=backwards), "GS304")) == expected


def normalised(training: bool | None, *, affine: bool = True) -> Graph:
    b = GraphBuilder()
    h = b.op("Mm", b.leaf("conv", (8, 8), gradient=0.1), shape=(4, 8), gradient=0.1)
    weight = (b.leaf("bn.weight", (8,), gradient=0.1),) if affine else ()
    with b.module("bn", "BatchNorm1d"):
        norm = b.op("NativeBatchNorm", h, *weight, shape=(4, 8), gradient=0.1, source=line(7))
    b.op("MseLoss", norm, shape=(), gradient=1.0)
    graph = b.graph()
    return replace(graph, traits={b.ids[norm]: Traits(training=training)})


@pytest.mark.parametrize(
    ("graphs", "expected"),
    [
        ([normalised(False)] * 4, 1),
        ([normalised(True)] * 4, 0),
        ([normalised(None)] * 4, 0),
        ([normalised(False)] * 3 + [normalised(True)], 0),  # evaluated in between
        ([normalised(False, affine=False)] * 4, 0),  # frozen altogether
    ],
)
def test_a_normalisation_that_never_sees_training(graphs: list[Graph], expected: int) -> None:
    found = judge(trained(graphs), "GS304")
    assert len(found) == expected
    for finding in found:
        assert "`bn` (train.py:7) ran in eval mode in all 4 backwards" in finding.message


def with_frozen_head(rms: float, *, owned: bool = True, frozen: int = 5) -> Trace:
    """As ``with_frozen``, with values, whose largest is twice the root mean square."""
    trace = with_frozen(6, frozen)
    *known, head = trace.parameters
    values = TensorStats((8, 8), "float32", "cpu", 64, rms * 8, -2 * rms, 2 * rms)
    optimizers = head.optimizers if owned else ()
    changed = replace(head, shape=(8, 8), value=values, optimizers=optimizers)
    return replace(trace, parameters=(*known, changed))


def test_a_random_head_that_the_optimizer_holds_is_told() -> None:
    (finding,) = judge(with_frozen_head(0.5), "GS304")
    assert finding.severity == "info"
    assert finding.message == (
        "`net.l5.weight` is frozen and as random as when it was made, though `SGD` holds it and "
        "`net.l5` (train.py:15) is the last layer before the loss, behind layers that are updated"
    )
    assert finding.fix.startswith("net.l5.requires_grad_(True)")


@pytest.mark.parametrize(
    "trace",
    [
        with_frozen_head(0.2),  # trained elsewhere
        with_frozen_head(0.5, owned=False),
        with_frozen_head(0.5, frozen=0),  # in no graph
    ],
)
def test_a_head_that_is_frozen_on_purpose(trace: Trace) -> None:
    assert judge(trace, "GS304") == []
