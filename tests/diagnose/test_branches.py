"""A gradient that is small at the end of one branch does not vanish with the depth."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from gradscope.model.graph import Graph
from tests.builders import GraphBuilder
from tests.diagnose.traces import judge, run_of

SHAPE = (4, 8)


def branched(
    behind: Sequence[float], aside: Sequence[float], *, trunk: Sequence[float] = (0.2, 0.2, 0.2)
) -> Graph:
    """Layers from the loss to a fork, and two branches of layers behind it; gains per layer."""
    b = GraphBuilder()
    top = 1e-2
    for gain in trunk:
        top *= gain

    def branch(gains: Sequence[float], name: str) -> int:
        sizes = [top]
        for gain in gains:
            sizes.append(sizes[-1] * gain)
        h = b.leaf(f"{name}0", SHAPE, kind="input")
        for i, size in enumerate(reversed(sizes[1:])):
            h = b.op("Mm", h, b.leaf(f"{name}{i}.w", (8, 8)), shape=SHAPE, gradient=size)
            h = b.op("Sigmoid", h, shape=SHAPE, gradient=sizes[-2 - i])
        return h

    ends = [branch(behind, "behind")]
    if aside:
        ends.append(branch(aside, "aside"))
    h = b.op("Bmm", *ends, shape=SHAPE, gradient=top)
    for i, gain in enumerate(reversed(trunk)):
        h = b.op("Mm", h, b.leaf(f"t{i}", (8, 8)), shape=SHAPE, gradient=top)
        top /= gain
        h = b.op("Sigmoid", h, shape=SHAPE, gradient=top)
    h = b.op("Mm", h, b.leaf("head", (8, 8)), shape=SHAPE, gradient=top)
    b.op("MseLoss", h, shape=(), gradient=1.0)
    return b.graph()


@pytest.mark.parametrize(
    ("behind", "aside", "found"),
    [
        ((0.05, 0.1), (), 1),  # no other branch: all that lies so far gets little
        ((0.05, 0.1), (0.5, 0.5), 0),  # another layer as far from the loss is well off
        ((0.05, 0.1), (0.5,), 0),  # one layer less is near enough
        ((0.05, 0.1), (0.05, 0.2), 1),  # the other branch has lost as much
        ((0.2, 0.2, 0.2, 0.2), (0.9,) * 3, 1),  # that long a branch is a network of its own
        ((0.05, 0.2, 0.2), (0.9,), 1),  # near the fork says nothing of what lies deep
    ],
)
def test_all_that_lies_so_far_must_have_vanished(
    behind: Sequence[float], aside: Sequence[float], found: int
) -> None:
    assert len(judge(run_of(branched(behind, aside)), "GS101")) == found


def between_layers(gains: Sequence[Sequence[float]]) -> Graph:
    """Layers with activations between them; ``gains[i]`` from the i-th layer to the next."""
    b = GraphBuilder()
    size = 1e-2
    for gain in (gain for some in gains for gain in some):
        size *= gain
    h = b.leaf("x", SHAPE, kind="input")
    for i, some in enumerate(reversed(gains)):
        h = b.op("Mm", h, b.leaf(f"w{i}", (8, 8)), shape=SHAPE, gradient=size)
        for gain in reversed(some):
            size /= gain
            h = b.op("Sigmoid", h, shape=SHAPE, gradient=size)
    h = b.op("Mm", h, b.leaf("head", (8, 8)), shape=SHAPE, gradient=size)
    b.op("MseLoss", h, shape=(), gradient=1.0)
    return b.graph()


@pytest.mark.parametrize(
    ("gains", "found"),
    [
        (((0.1,), (0.1,), (0.1,), (0.1,)), 1),
        (((0.2,), (0.2,), (0.1,) * 4), 0),  # four of five decades between two layers
        (((0.05,), (0.05,), (0.05,), (0.1,) * 4), 1),  # more than enough without them
        (((0.1,) * 4,), 1),  # no layers to compare: activations one upon another
    ],
)
def test_the_change_must_not_be_made_by_one_layer(
    gains: Sequence[Sequence[float]], found: int
) -> None:
    assert len(judge(run_of(between_layers(gains)), "GS101")) == found
