"""The graph of a run as plain lists, before its nodes are let go of."""

from __future__ import annotations

from gradscope.capture.backward import BackwardRun
from gradscope.capture.forward import ForwardRecorder
from gradscope.capture.raw import RawGraph


def raw_graph(run: BackwardRun, forward: ForwardRecorder, *, all_shapes: bool = False) -> RawGraph:
    """The graph of a run; what is heard later is added to it.

    Args:
        run: Holds the nodes.
        forward: Knows the calls that made them.
        all_shapes: Whether to read the shape of every node, not only where no measurement will
            tell it.
    """
    nodes, plan = run.walked.nodes, run.plan
    sequence = [node._sequence_nr() for node in nodes]
    for i in plan.leaves:
        sequence[i] = -1
    return RawGraph(
        plan=plan,
        sequence=sequence,
        shapes=_shapes(run, all_shapes),
        leaves=run.leaves,
        windows=forward.windows.of(sequence, plan.ops),
        gradients=run.gradients,
        contributions=run.contributions,
    )


def _shapes(run: BackwardRun, of_all: bool) -> dict[int, tuple[int, ...]]:
    """Of what views and transposes receive, or of what every node does."""
    nodes, plan = run.walked.nodes, run.plan
    asked = range(len(nodes)) if of_all else [i for i in plan.plumbing if i not in plan.turned]
    known = ((i, m[0]) for i in asked if (m := nodes[i]._input_metadata))
    shapes = {i: tuple(of.shape) for i, of in known if not of.is_nested_tensor}
    if not of_all:
        for i, position in plan.turned.items():
            shapes[i] = tuple(run.variables[position][1].shape[::-1])
    return shapes
