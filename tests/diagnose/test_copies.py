"""Target networks: their values are copied, and what gradients they get nobody uses."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import replace

import pytest

from gradscope.model.graph import Source
from gradscope.model.trace import Trace, Update, UpdateHistory
from tests.builders import GraphBuilder, line
from tests.diagnose.graph_traces import trained
from tests.diagnose.traces import judge, updates

SHAPE = (8, 8)
COPY = line(40, "target.load_state_dict(online.state_dict())")


def with_target(
    *,
    copy: Source | None = COPY,
    behind: bool = False,
    shape: tuple[int, ...] = SHAPE,
    lines: Sequence[int] = (20, 21, 22),
    n: int = 6,
) -> Trace:
    """A trained network and one that is overwritten after every update, both in one loss.

    Args:
        copy: The line that overwrites it.
        behind: Whether a trained layer feeds the second one.
        shape: Of its weight.
        lines: Where the target, what follows it, and the trained network were called.
        n: How many backwards.
    """
    b = GraphBuilder()
    w = b.leaf("online.weight", SHAPE, gradient=0.1)
    t = b.leaf("target.weight", shape, gradient=0.1)
    y = b.op("Mm", w, shape=(4, 8), gradient=0.1, source=line(lines[2]))
    z = b.op("Mm", *((y, t) if behind else (t,)), shape=(4, 8), gradient=0.1, source=line(lines[0]))
    z = b.op("Add", z, shape=(4, 8), gradient=0.1, source=line(lines[1]))
    b.op("MseLoss", y, z, shape=(), gradient=1.0, source=line(30))
    trace = trained([b.graph()] * n, owned=lambda p: p.name == "online.weight")
    made = [
        update
        for i in range(n)
        for update in (
            replace(trace.updates[i], index=2 * i),
            Update(2 * i + 1, i, "hand", "", copy, 1),
        )
    ]
    parameters = tuple(
        replace(p, updates=_every_second(n, p.name == "online.weight")) for p in trace.parameters
    )
    return replace(trace, updates=tuple(made), parameters=parameters)


def _every_second(n: int, owned: bool) -> UpdateHistory:
    history = updates([1] * n, [0] * n if owned else list(range(n)))
    rows = array("i", [2 * i + (not owned) for i in range(n)])
    return replace(history, update=rows)


def test_a_target_in_the_graph_is_told_at_its_forward_pass() -> None:
    trace = with_target()
    (finding,) = judge(trace, "GS403")
    assert finding.severity == "warning"
    assert finding.message == (
        "`target.weight` gets a gradient in 6 backwards that nobody uses: no optimizer holds it, "
        "`target.load_state_dict(online.state_dict())` (train.py:40) copies the values"
    )
    assert finding.where.source is not None
    assert finding.where.source.line == 20
    assert finding.fix.startswith("with torch.no_grad():")
    assert judge(trace, "GS401") == []


def test_a_line_that_switches_gradients_off_uses_none() -> None:
    trace = with_target(copy=line(40, "with torch.no_grad(): t.copy_(0.9 * t + 0.1 * p)"))
    assert len(judge(trace, "GS403")) == 1


def test_where_both_networks_share_their_code_the_line_behind_is_blamed() -> None:
    (finding,) = judge(with_target(lines=(20, 21, 20)), "GS403")
    assert finding.where.source is not None
    assert finding.where.source.line == 21


@pytest.mark.parametrize(
    ("trace", "accumulated"),
    [
        (with_target(copy=line(40, "p -= lr * p.grad")), 1),  # it uses its gradients
        (with_target(copy=None), 1),  # nothing is known of the change
        (with_target(shape=(8, 5)), 1),  # no trained network of this form
        (with_target(behind=True), 0),  # the gradient must run through it
        (with_target(n=2), 0),  # an accident
    ],
    ids=["by hand", "unknown", "no twin", "on the way", "twice"],
)
def test_other_updates_by_hand_are_not_called_copies(trace: Trace, accumulated: int) -> None:
    assert judge(trace, "GS403") == []
    assert len(judge(trace, "GS401")) == accumulated


def test_what_is_also_updated_with_its_gradients_is_trained_by_hand() -> None:
    trace = with_target()
    by_hand = tuple(
        replace(u, source=line(41, "p -= 0.1 * p.grad")) if u.index == 3 else u
        for u in trace.updates
    )
    assert judge(replace(trace, updates=by_hand), "GS403") == []


def test_a_copy_that_is_alone_in_its_graph_is_adapted_by_a_meta_learner() -> None:
    trace = with_target()
    b = GraphBuilder()
    own = b.op("Mm", b.leaf("target.weight", SHAPE, gradient=0.1), shape=(4, 8), gradient=0.1)
    b.op("MseLoss", own, shape=(), gradient=1.0)
    graph = b.graph()
    (leaf,) = [n.id for n in graph.structure.nodes if n.kind == "parameter"]
    (target,) = [p.index for p in trace.parameters if p.name == "target.weight"]
    nodes = tuple(
        replace(n, parameter=target) if n.id == leaf else n for n in graph.structure.nodes
    )
    alone = replace(graph, structure=replace(graph.structure, nodes=nodes))
    steps = tuple(replace(s, graph=alone) for s in trace.steps)
    assert judge(replace(trace, steps=steps), "GS403") == []


def test_a_target_that_no_graph_shows_is_not_judged() -> None:
    trace = with_target()
    bare = replace(trace, steps=tuple(replace(s, graph=None) for s in trace.steps))
    assert judge(bare, "GS403") == []
    assert judge(bare, "GS401") == []
