"""Whether two tensors were broadcast to a table of all pairs on purpose."""

from __future__ import annotations

from gradscope.analysis.paths import op_base
from gradscope.diagnose.around import behind_moves, inputs_of, towards_loss, users_of
from gradscope.model.graph import Node, Structure

_MAKE_DIMENSIONS = frozenset({"Unsqueeze", "View", "UnsafeView", "ReshapeAlias", "Reshape"})
_DISTANCES = frozenset({"Pow", "Abs", "Mul", "Square"})
_MARGINS = frozenset(
    ("Sigmoid", "LogSigmoid", "Softplus", "Relu", "Clamp", "ClampMin", "ClampMax", "Exp", "Tanh")
)


def is_wanted(structure: Structure, node: Node) -> bool:
    """Whether what a hand-written op does with a column and a row is no accident.

    Pairs of one tensor with itself are wanted, and a weight with all data. So is the product of two
    results: only a result multiplied with plain numbers, such as a log-probability with a target,
    is not. The difference of two results ranks them; their sum is rather one prediction in two
    parts.
    """
    inputs = inputs_of(structure, node.id)
    if len(set(inputs)) < len(inputs):
        return True
    if len(inputs) > 1:
        return not _only_add_up(structure, node, inputs)
    if inputs and structure.nodes[inputs[0]].kind in ("parameter", "input"):
        return True
    return _is_made_a_column(structure, node) or _is_kernel(structure, node)


def _only_add_up(structure: Structure, node: Node, inputs: list[int]) -> bool:
    """Whether two parts of one prediction are added that nothing else uses."""
    alone = all(len(users_of(structure, i)) == 1 for i in inputs)
    return op_base(node.op) == "Add" and alone


def _is_made_a_column(structure: Structure, node: Node) -> bool:
    """Whether a result was given a dimension for this op: in its very line, or for a margin.

    Elsewhere a line such as ``pred = pred.view(-1, 1)`` may be the mistake itself, unless the
    differences go through a threshold, or the same column also meets its own row.
    """
    sides = [structure.edges[edge].target for edge in structure.outgoing[node.id]]
    made = [structure.nodes[side] for side in sides if _gained_dimension(structure, side)]
    if not made:
        return False
    beside = made[0].source, node.source
    if all(beside) and len({(s.file, s.line) for s in beside if s}) == 1:
        return True
    above = {op_base(structure.nodes[i].op) for i in towards_loss(structure, [node.id])}
    return bool(above & _MARGINS) or _meets_itself(structure, behind_moves(structure, sides[0]))


def _gained_dimension(structure: Structure, side: int) -> bool:
    here = structure.nodes[side]
    if op_base(here.op) not in _MAKE_DIMENSIONS or len(structure.outgoing[side]) != 1:
        return False
    before = structure.nodes[structure.edges[structure.outgoing[side][0]].target].shape
    return op_base(here.op) == "Unsqueeze" or (
        None not in (before, here.shape) and len(here.shape or ()) > len(before or ())
    )


def _meets_itself(structure: Structure, side: int) -> bool:
    """Whether a table of all pairs of this very tensor is part of the loss as well."""
    return any(
        len(structure.outgoing[node.id]) == 2 and set(inputs_of(structure, node.id)) == {side}
        for node in structure.nodes
        if node.operands or op_base(node.op) == "Sub"
    )


def _is_kernel(structure: Structure, node: Node) -> bool:
    """Whether distances become similarities: their exponential, whose logarithm is not taken."""
    above = {op_base(structure.nodes[i].op) for i in towards_loss(structure, [node.id])}
    distances = op_base(node.op) in ("Sub", "Rsub") and bool(above & _DISTANCES)
    return distances and "Exp" in above and not above & {"Log", "Log1P"}
