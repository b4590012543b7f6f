"""What goes into an op on single numbers, by name and value."""

from __future__ import annotations

import ast
from functools import lru_cache

from gradscope.analysis.derivatives import Local
from gradscope.analysis.symbols import Sym, named, number
from gradscope.model.graph import Graph

_BY_SLOT = {
    "AddBackward0": ("", "other"),
    "MulBackward0": ("self", "other"),
    "DivBackward0": ("self", "other"),
    "PowBackward1": ("self", "exponent"),
    "AddmmBackward0": ("self", "mat1", "mat2"),
    "MmBackward0": ("self", "mat2"),
    "BmmBackward0": ("self", "mat2"),
    "MvBackward0": ("self", "vec"),
    "DotBackward0": ("self", "tensor"),
    "MseLossBackward0": ("self", "target"),
    "BinaryCrossEntropyBackward0": ("self", "target"),
    "BinaryCrossEntropyWithLogitsBackward0": ("self", "target"),
}
_INPUT = {("AddmmBackward0", "mat1"): "input", ("MmBackward0", "self"): "input"}


def local_at(graph: Graph, names: tuple[str, ...], edge: int) -> Local:
    """The op at the source of an edge, with its numbers, as seen from that edge."""
    here = graph.structure.edges[edge]
    operands = _from_graph(graph, names, here.source)
    operands |= _from_constants(graph, here.source, operands)
    result = graph.value(here.source)
    value = result.value if result is not None else None
    return Local(
        slot=here.slot,
        operands=operands,
        result=named(names[here.source], value) if value is not None else None,
        constants=graph.constants.get(here.source, {}),
    )


def _from_graph(graph: Graph, names: tuple[str, ...], node: int) -> dict[int, Sym]:
    """The inputs that have a gradient, by slot, as far as their values are known."""
    found: dict[int, Sym] = {}
    for index in graph.structure.outgoing[node]:
        edge = graph.structure.edges[index]
        value = graph.value(edge.target, edge.output_nr)
        if value is not None and value.value is not None:
            name = names[_through_moves(graph, edge.target)]
            found[edge.slot] = named(name, value.value)
    return found


def _from_constants(graph: Graph, node_id: int, known: dict[int, Sym]) -> dict[int, Sym]:
    """The inputs that no gradient flows to, by slot."""
    node = graph.structure.nodes[node_id]
    taken = {graph.structure.edges[index].slot for index in graph.structure.outgoing[node_id]}
    text = node.source.expression if node.source is not None else ""
    found: dict[int, Sym] = {}
    for slot, name in enumerate(_BY_SLOT.get(node.op, ())):
        value = graph.constants.get(node_id, {}).get(name)
        if slot in taken or value is None:
            continue
        told = {sym.text for sym in known.values()}
        called = _INPUT.get((node.op, name)) or _constant_name(text, told)
        found[slot] = named(called, value) if called else number(value)
    return found


def _through_moves(graph: Graph, node: int) -> int:
    """The node whose number it is: a transposed weight of one element is the weight."""
    structure = graph.structure
    while structure.nodes[node].op in _SAME and len(structure.outgoing[node]) == 1:
        if structure.nodes[node].label:
            break
        node = structure.edges[structure.outgoing[node][0]].target
    return node


_SAME = frozenset(
    f"{name}Backward0"
    for name in ("T", "View", "UnsafeView", "ReshapeAlias", "Transpose", "Squeeze", "Unsqueeze")
)


@lru_cache(maxsize=4096)
def _parts(expression: str) -> tuple[str, ...]:
    """The two operands of the user's expression as they wrote them; empty where unclear."""
    try:
        tree = ast.parse(expression, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ()
    if isinstance(tree, ast.BinOp):
        return (_spelled(tree.left), _spelled(tree.right))
    if isinstance(tree, ast.Call) and not tree.keywords and len(tree.args) == 2:
        return tuple(map(_spelled, tree.args))
    return ()


def _spelled(tree: ast.expr) -> str:
    """The operand's text where it is a name; else empty."""
    return ast.unparse(tree) if isinstance(tree, ast.Name | ast.Attribute) else ""


def _constant_name(expression: str, known: set[str]) -> str:
    """What the user calls the one operand that is not in the graph; empty for literals."""
    parts = _parts(expression)
    strangers = [part for part in parts if part and part.split("#")[0] not in known]
    return strangers[0] if len(strangers) == 1 else ""
