from __future__ import annotations

import random

import pytest

from gradscope.diagnose.depth import spearman, trend
from gradscope.diagnose.run import Run
from gradscope.model.graph import Graph
from tests.builders import GraphBuilder, chain_graph, mlp_graph
from tests.diagnose.test_gs101 import layered, recurrent
from tests.diagnose.traces import judge, run_of


def measured(graph: Graph, *, through_time: bool = True) -> tuple[float, float, int]:
    run = Run(run_of(graph, 1))
    way = run.main_flow(run.trace.steps[0])
    assert way is not None
    found = trend(graph, way, through_time=through_time)
    return found.decades, found.typical, len(found.sites)


def test_decades_are_measured_from_the_last_layer_on() -> None:
    decades, typical, sites = measured(layered([0.1] * 6))
    assert decades == pytest.approx(-6.0)
    assert typical == pytest.approx(-6.0)
    assert sites == 13


def test_typical_is_blind_for_single_places() -> None:
    decades, typical, _ = measured(layered([1e-6] + [0.5] * 8))
    assert decades == pytest.approx(-6.0 - 8 * 0.301, abs=0.01)
    assert typical == pytest.approx(-9 * 0.301, abs=0.01)


def test_time_steps_are_left_out_on_request() -> None:
    graph = recurrent(20, 0.1)
    assert measured(graph, through_time=True)[0] == pytest.approx(-20.0)
    assert measured(graph, through_time=False)[0] == pytest.approx(-1.0, abs=1.01)


def test_gates_are_recognised_as_recurrence() -> None:
    """On the way through the cell state no parameter enters directly, as in an LSTM."""
    b = GraphBuilder()
    w = b.leaf("W", (8, 8), gradient=1.0)
    b0 = b.leaf("c0", (4, 8), kind="input", gradient=1e-9)
    c = b.op("Sin", b0, shape=(4, 8), gradient=0.5**20)
    h = c
    for t in range(20):
        gate = b.op("Sigmoid", b.op("Mm", h, w, shape=(4, 8)), shape=(4, 8))
        c = b.op("Mul", c, gate, shape=(4, 8), gradient=0.5 ** (19 - t))
        h = b.op("Tanh", c, shape=(4, 8))
    out = b.op("Mm", h, b.leaf("W_o", (8, 8), gradient=1.0), shape=(4, 8), gradient=1.0)
    b.op("MseLoss", out, shape=(), gradient=1.0)
    graph = b.graph()
    assert abs(measured(graph, through_time=False)[0]) < 1.0


def test_one_activation_with_a_weight_shared_by_all_layers_is_no_recurrence() -> None:
    b = GraphBuilder()
    slope = b.leaf("prelu", (1,), gradient=1.0)
    h = -1
    for i in range(8):
        w = b.leaf(f"w{i}", (8, 8), gradient=1.0)
        h = b.op("Mm", *((w,) if h < 0 else (h, w)), shape=(4, 8), gradient=0.1 ** (8 - i))
        h = b.op("Prelu", h, slope, shape=(4, 8), gradient=0.1 ** (7 - i))
    b.op("MseLoss", h, shape=(), gradient=1.0)
    assert measured(b.graph(), through_time=False)[0] < -6


def test_widths_do_not_matter() -> None:
    """Fan-in scaled layers keep the norm; the RMS swings by a factor of 8 from layer to layer."""
    b = GraphBuilder()
    h = -1
    for i, width in enumerate([512, 8] * 6):
        rms = 1.0 / width**0.5
        w = b.leaf(f"w{i}", (8, width), gradient=1.0)
        h = b.op("Mm", *((w,) if h < 0 else (h, w)), shape=(width,), gradient=rms)
    b.op("MseLoss", h, shape=(), gradient=1.0)
    assert measured(b.graph())[0] == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(("doublings", "told"), [(10, 0), (40, 1)])
def test_a_formula_without_parameters_must_grow_a_lot(doublings: int, told: int) -> None:
    graph = chain_graph(["Mul"] * doublings + ["Sum"], lambda i: 2.0 ** (doublings - i))
    assert len(judge(run_of(graph), "GS102")) == told


def test_layers_with_their_own_weights_are_counted() -> None:
    graph = mlp_graph(6, factor=0.2)
    run = Run(run_of(graph, 1))
    way = run.main_flow(run.trace.steps[0])
    assert way is not None
    found = trend(graph, way, through_time=False)
    assert found.layers == 6
    assert found.gain_per_layer == pytest.approx(0.2, rel=0.2)


def test_rank_correlation() -> None:
    assert spearman([1, 2, 3, 4]) == pytest.approx(1.0)
    assert spearman([4, 3, 2, 1]) == pytest.approx(-1.0)
    assert spearman([5, 5, 5]) == 0.0
    assert spearman([7]) == 0.0
    assert spearman([1, 3, 2, 4]) == pytest.approx(0.8)
    assert spearman([1, 1, 2, 2]) == pytest.approx(0.894, abs=1e-3)


def test_rank_correlation_agrees_with_its_definition() -> None:
    rng = random.Random(0)
    for n in range(2, 12):
        values = rng.sample(range(100), n)
        ranks = [sorted(values).index(v) for v in values]
        squares = sum((i - rank) ** 2 for i, rank in enumerate(ranks))
        assert spearman(values) == pytest.approx(1 - 6 * squares / (n * (n * n - 1)))
