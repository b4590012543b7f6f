"""Custom Functions whose backward gets a gradient and returns None for a parameter."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gradscope.diagnose.around import leaves_of
from gradscope.diagnose.run import Run
from gradscope.model.graph import Graph, Node

BACKWARDS = 3  # RULES: a statistical rule speaks after so many
_IN_PYTHON = re.compile(r"\w+Backward")  # torch's own end with a digit, or are C++
_OF_TORCH = frozenset({"CheckpointFunctionBackward", "CompiledFunctionBackward"})


@dataclass(frozen=True)
class Withheld:
    """Where the gradient of a parameter is left out.

    Attributes:
        node: The op of the Function.
        place: Position among the tensors that it was applied to, 0-based.
    """

    node: Node
    place: int

    @property
    def function(self) -> str:
        """The Function's class."""
        return self.node.op.removesuffix("Backward")


def withheld(run: Run, wanted: set[int]) -> dict[int, Withheld]:
    """By the parameter's index, where each backward that was kept tells the same."""
    graphs = [g for s, g in run.trace.graphs if g.backward_ran and s.kind == "backward"]
    found: dict[int, list[Withheld | None]] = {}
    for graph in graphs:
        leaves = leaves_of(graph)
        for index in wanted & leaves.keys():
            found.setdefault(index, []).append(_of(graph, leaves[index].id))
    return {
        index: last
        for index, seen in found.items()
        if len(seen) >= BACKWARDS and all(seen) and (last := seen[-1]) is not None
    }


def _of(graph: Graph, leaf: int) -> Withheld | None:
    """What all ways from the leaf towards the loss come to, past what got None itself."""
    structure = graph.structure
    found: list[Withheld] = []
    seen, stack = {leaf}, [leaf]
    while stack:
        for edge in (structure.edges[e] for e in structure.incoming[stack.pop()]):
            node = structure.nodes[edge.source]
            keys = [(node.id, nr) for nr in range(node.inputs)]
            if any(graph.gradients.get(key) is not None for key in keys):
                if not _is_written(node.op):
                    return None
                found.append(Withheld(node, edge.slot))
            elif not all(key in graph.gradients for key in keys):
                return None
            elif node.id not in seen:
                seen.add(node.id)
                stack.append(node.id)
    return found[0] if found else None


def _is_written(op: str) -> bool:
    return op not in _OF_TORCH and _IN_PYTHON.fullmatch(op) is not None
