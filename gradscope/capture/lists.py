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
    sequence = [-1] * len(nodes)
    for i in plan.made:
        sequence[i] = nodes[i]._sequence_nr()
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
    nodes, plan, variables = run.walked.nodes, run.plan, run.variables
    turned = {} if of_all else plan.turned
    shapes = {i: tuple(variables[leaf].shape[::-1]) for i, leaf in turned.items()}
    for i in range(len(nodes)) if of_all else plan.viewed:
        metadata = nodes[i]._input_metadata
        if metadata and not metadata[0].is_nested_tensor:
            shapes[i] = tuple(metadata[0].shape)
    return shapes
