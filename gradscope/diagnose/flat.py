"""Ops that pass on a gradient of exactly 0, and why."""

from __future__ import annotations

from dataclasses import dataclass

from gradscope.analysis.paths import direct_leaves, op_base, received_norm, role, sent_along
from gradscope.diagnose.around import inputs_of, is_constant, users_of
from gradscope.model.graph import Graph, Structure

ALIVE = 1e-30  # a smaller gradient than this may have underflowed: another illness
_SWITCHES = frozenset(
    {"Relu", "Threshold", "Hardtanh", "Clamp", "ClampMin", "ClampMax"}
    | {"Hardsigmoid", "Hardshrink", "Softshrink", "Relu6"}
)
_STEPS = frozenset({"Round", "Floor", "Ceil", "Sign", "Sgn", "Trunc", "Heaviside"})
_LINEAR = frozenset({"Addmm", "Mm", "Bmm", "Convolution", "Linear", "Mv", "Dot"})
_WEIGHING = frozenset({"Add", "Sub", "Mul", "Div", "Neg"})


@dataclass(frozen=True, slots=True)
class Killer:
    """An op that gets a gradient and passes on only zeros.

    Attributes:
        node: Its id.
        kind: ``switched-off``, ``step``, ``single-softmax`` or ``zero-weights``.
        reason: Why, as the end of a sentence.
        cause: The likely cause.
        fix: As code.
    """

    node: int
    kind: str
    reason: str
    cause: str
    fix: str


_REASONS = {
    "switched-off": (
        "passes none on, since all of its elements are in the flat part",
        "Every unit is switched off for every sample: a bias or a learning rate that pushed the "
        "values out of the range in which the op has a derivative.",
        "h = torch.nn.functional.leaky_relu(h)  # and a smaller learning rate, He initialisation",
    ),
    "step": (
        "has the derivative 0 everywhere",
        "The op is a staircase: flat wherever it has a derivative.",
        "y = x + (torch.round(x) - x).detach()  # straight-through: rounded value, gradient of x",
    ),
    "single-softmax": (
        "is a softmax over one entry, which is always 1",
        "Softmax makes the entries sum to 1; of a single one nothing is left to learn.",
        "p = torch.sigmoid(logit)  # for one output; or softmax over the dimension of the classes",
    ),
    "zero-weights": (
        "multiplies zeros with zeros, so that neither side gets a gradient",
        "The weights are all zero on both sides, and each needs the other to leave it.",
        "torch.nn.init.kaiming_normal_(weight)  # at most one of two factors may start at zero",
    ),
}


def find_killers(graph: Graph, leaf: int) -> list[Killer]:
    """The ops that keep the gradient from a leaf; empty unless every one of them is understood.

    Args:
        graph: A graph whose backward ran, with a gradient of 0 at the leaf.
        leaf: Its node id.
    """
    structure = graph.structure
    found: list[Killer] = []
    seen = {leaf}
    stack = [leaf]
    while stack:
        node = stack.pop()
        for index in structure.incoming[node]:
            source = structure.edges[index].source
            norm = received_norm(graph, source)
            if norm is not None and norm > 0:
                killer = _killer(graph, source, index) if norm > ALIVE else None
                if killer is None:
                    return []
                found.append(killer)
            elif source not in seen:
                seen.add(source)
                stack.append(source)
    return found


def _killer(graph: Graph, node: int, edge: int) -> Killer | None:
    sent = sent_along(graph, edge)
    if sent is not None and sent.l2_norm:
        return None
    base = op_base(graph.structure.nodes[node].op)
    if base in _STEPS:
        return _made(node, "step")
    if base in _SWITCHES and not is_hinge(graph.structure, node):
        return _made(node, "switched-off")
    if base in ("Softmax", "LogSoftmax"):
        single = is_constant(graph, node, 1.0 if base == "Softmax" else 0.0)
        return _made(node, "single-softmax") if single else None
    if base in _LINEAR:
        return _of_zeros(graph, node, edge)
    return None


def _of_zeros(graph: Graph, node: int, edge: int) -> Killer | None:
    """A product whose both factors are zero and were computed or learned; or the ReLU before it."""
    structure = graph.structure
    factors = inputs_of(structure, node)
    if structure.nodes[node].op.startswith("Addmm") or len(factors) > 2:
        factors = [f for f in factors if f != _bias(graph, node)]
    if len(factors) < 2 or not all(is_constant(graph, factor, 0.0) for factor in factors):
        return _behind_off_units(graph, node, factors)
    return _made(node, "zero-weights")


def _behind_off_units(graph: Graph, node: int, factors: list[int]) -> Killer | None:
    """The weight behind a layer of units that are all off gets nothing either."""
    leaves = direct_leaves(graph.structure, node)
    for factor in factors:
        base = op_base(graph.structure.nodes[factor].op)
        if factor not in leaves and base in _SWITCHES and is_constant(graph, factor, 0.0):
            return _made(factor, "switched-off")
    return None


def _bias(graph: Graph, node: int) -> int | None:
    """The one-dimensional leaf that is only added."""
    leaves = direct_leaves(graph.structure, node)
    return next((i for i in leaves if len(graph.structure.nodes[i].shape or (0, 0)) == 1), None)


def is_hinge(structure: Structure, node: int) -> bool:
    """Whether the op's result is only summed up into the loss: a margin, not an activation."""
    seen = {node}
    stack = [node]
    while stack:
        for user in users_of(structure, stack.pop()):
            op = structure.nodes[user].op
            if role(op) != "spread" and op_base(op) not in _WEIGHING:
                return False
            if user not in seen:
                seen.add(user)
                stack.append(user)
    return True


def _made(node: int, kind: str) -> Killer:
    return Killer(node, kind, *_REASONS[kind])
