from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from gradscope.diagnose import diagnose
from gradscope.model.finding import Finding
from gradscope.model.graph import Graph, Traits
from tests.builders import GraphBuilder, line
from tests.diagnose.graph_traces import trained
from tests.diagnose.traces import findings_of, judge, scaled

UNITS = 64


def layered(
    dead: int | None,
    *,
    units: int = UNITS,
    samples: int = 50,
    hinge: bool = False,
    uses: int = 1,
    masks: Sequence[int] = (),
) -> Graph:
    """``relu(x @ w0) @ w1`` whose first ``dead`` units are off, or those of ``masks`` per use."""
    b = GraphBuilder()
    w0, w1 = b.leaf("w0", (8, units), gradient=0.1), b.leaf("w1", (units, 2), gradient=0.1)
    out, activations = -1, []
    for _ in range(uses):
        h = b.op("Mm", w0, shape=(samples, units), gradient=0.1)
        h = b.op(
            "Relu", h, shape=(samples, units), gradient=0.1, source=line(12, "h = relu(x @ w0)")
        )
        activations.append(h)
        if not hinge:
            h = b.op("Mm", h, w1, shape=(samples, 2), gradient=0.1)
        out = h if out < 0 else b.op("Add", out, h, shape=(samples, 2), gradient=0.1)
    b.op("Mean", out, shape=(), gradient=1.0)
    graph = b.graph()
    if dead is None:
        return graph
    each = masks or [(1 << dead) - 1] * uses
    traits = {
        b.ids[h]: Traits(units=units, samples=samples, dead=mask)
        for h, mask in zip(activations, each, strict=True)
    }
    return replace(graph, traits=traits)


def found(graphs: Sequence[Graph]) -> list[Finding]:
    return judge(trained(graphs), "GS106")


@pytest.mark.parametrize("factor", [1e-8, 1.0, 1e8])
def test_the_layer_the_line_and_the_share(factor: float) -> None:
    (finding,) = found([scaled(layered(48), factor)] * 5)
    assert finding.severity == "warning"
    assert finding.message == (
        "48 of 64 units of the layer of `w0` are 0 for every sample (75 %; 150 samples): "
        "`ReluBackward0` of `h = relu(x @ w0)` (train.py:12)"
    )
    assert finding.where.parameter == "w0"
    assert finding.where.source == line(12, "h = relu(x @ w0)")
    assert finding.evidence["dead"] == 48


@pytest.mark.parametrize(
    ("dead", "severity"),
    [(0, None), (31, None), (32, "info"), (39, "info"), (40, "warning"), (64, "warning")],
)
def test_more_than_random_signs_explain(dead: int, severity: str | None) -> None:
    assert [f.severity for f in found([layered(dead)] * 5)] == [severity] * bool(severity)


def test_other_units_in_every_batch_are_healthy() -> None:
    """Half of the units are off in each batch, and every unit is on in some."""
    low, high = layered(40), layered(0, masks=[((1 << 40) - 1) << 24])
    assert found([low, high, low, high, low]) == []


def test_a_unit_that_is_on_in_one_step_of_a_recurrence_is_not_dead() -> None:
    early, late = (1 << 48) - 1, ((1 << 48) - 1) << 32
    assert found([layered(0, uses=2, masks=[early, late])] * 5) == []
    assert len(found([layered(0, uses=2, masks=[early, early])] * 5)) == 1


def test_units_that_died_on_the_way_and_units_that_never_lived() -> None:
    (died,) = found([layered(2), layered(2), *[layered(50)] * 3])
    assert "updates switched the others off" in died.cause
    (never,) = found([layered(50)] * 5)
    assert "off from the start" in never.cause


@pytest.mark.parametrize(
    "graphs",
    [
        [layered(60)] * 2,
        [layered(60), layered(60), layered(60), layered(0), layered(0)],  # woke up
        [layered(60, samples=1)] * 12,
        [layered(60, samples=8)] * 12,
        [layered(4, units=4)] * 5,
        [layered(60, hinge=True)] * 5,
        [layered(None)] * 5,
    ],
)
def test_silence(graphs: Sequence[Graph]) -> None:
    assert found(graphs) == []


def test_a_layer_that_is_not_trained_may_be_as_it_is() -> None:
    trace = trained([layered(60)] * 5, owned=lambda p: p.name != "w0")
    assert judge(trace, "GS106") == []


def test_if_all_units_are_off_it_goes_under_the_zero_gradient() -> None:
    b = GraphBuilder()
    h = b.op("Mm", b.leaf("w0", (8, UNITS), gradient=0.0), shape=(50, UNITS), gradient=0.0)
    relu = h = b.op("Relu", h, shape=(50, UNITS), gradient=0.1, value=1.0)
    h = b.op("Mm", h, b.leaf("w1", (UNITS, 2), gradient=0.1), shape=(50, 2), gradient=0.1)
    b.op("MseLoss", h, shape=(), gradient=1.0)
    dead = Traits(units=UNITS, samples=50, dead=(1 << UNITS) - 1)
    graph = replace(b.graph(), traits={b.ids[relu]: dead})
    report = diagnose(trained([graph] * 5), select=["GS105", "GS106"])
    assert [f.code for f in report.findings] == ["GS105"]
    assert len(findings_of(report, "GS106")) == 1
