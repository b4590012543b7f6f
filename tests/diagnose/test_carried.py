from __future__ import annotations

from gradscope.diagnose.carried import carrier
from gradscope.model.graph import Structure
from tests.builders import GraphBuilder, line


def run_of(steps: int, *, named: bool = True, inner: int = 4) -> Structure:
    """Losses of short sequences; the total holds those of all steps."""
    b = GraphBuilder()
    w = b.leaf("w", (4, 4), gradient=1.0)
    total = b.op("Sum", w, shape=(), gradient=1.0)
    for _ in range(steps):
        h = w
        for _ in range(inner):
            h = b.op("Tanh", h, shape=(4, 4), gradient=1.0, label="h", source=line(10))
        loss = b.op("Mean", h, shape=(), gradient=1.0, label="loss", source=line(11))
        label = "total" if named else ""
        total = b.op("Add", total, loss, shape=(), gradient=1.0, label=label, source=line(12))
    return b.graph().structure


def test_the_total_carries_the_graphs_and_not_the_state_within_a_step() -> None:
    found = carrier(run_of(5))
    assert found is not None
    assert (found.label, found.source) == ("total", line(12))


def test_what_has_no_name_and_what_is_new_in_every_step_carries_nothing() -> None:
    assert carrier(run_of(5, named=False, inner=1)) is None
    assert carrier(run_of(2, inner=1)) is None
