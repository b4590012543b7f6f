"""What a graph's shape tells before its backward runs; worked out once per shape."""

from __future__ import annotations

from typing import Any

from torch.autograd.function import BackwardCFunction

from gradscope.capture.walk import PLUMBING, Walked

MAX_KNOWN_NODES = 200_000  # of all plans together
Edge4 = tuple[int, int, int, int]  # source, slot, target, output_nr
# A node, its attribute, the node's output whose value is there, and the source of a view's value.
Saved = tuple[int, str, tuple[int, int], tuple[int, int]]

MANY_USES = 8  # of a leaf; beyond, what each use contributes is heard only if that is cheap
_UNNAMED = "CppFunction"  # the type of nodes that have none of their own


class Plan:
    """Where to listen in graphs of one shape.

    Attributes:
        types: Of the nodes.
        ops: Autograd's name of each node, without C++ namespaces.
        edges: ``(source, slot, target, output_nr)``.
        roots: ``(node, output_nr)`` of what backward starts from.
        truncated: Nodes that were not walked.
        leaves: ``AccumulateGrad`` nodes and how often each is used.
        plumbing: Views and transposes.
        turned: Those of them that transpose a leaf, whose shape tells theirs.
        passes: Those of them that send on exactly what they receive: no need to listen.
        before: Nodes to listen at before they run, leaves left out.
        single: Those of them that are torch's own and have one output.
        after: Nodes to listen at after they ran: ``(node, [(slot, edge)], received)``. The edges
            lead to targets that sum up several; ``received`` tells whether what the node received
            is read there, too.
        often: Edges to leaves that are used many times, such as the weights of a recurrence.
        saved: What ``read_saved`` may read, once it was asked for.
    """

    def __init__(self, walked: Walked, types: list[type]) -> None:
        self.types = types
        self.ops = [_op_name(node) for node in walked.nodes]
        self.flat_edges = walked.flat_edges
        parts = [iter(walked.flat_edges)] * 4
        self.edges: list[Edge4] = list(zip(*parts, strict=True))
        self.roots = walked.roots
        self.truncated = walked.truncated
        fan_in, fan_out = [0] * len(types), [0] * len(types)
        for source, _, target, _ in self.edges:
            fan_in[target] += 1
            fan_out[source] += 1
        self._unnamed = [i for i, kind in enumerate(types) if kind.__name__ == _UNNAMED]
        self.leaves = {i: fan_in[i] for i, op in enumerate(self.ops) if op == "AccumulateGrad"}
        self.plumbing = [i for i, op in enumerate(self.ops) if op in PLUMBING]
        self.turned = {
            source: target
            for source, _, target, _ in self.edges
            if self.ops[source] == "TBackward0" and target in self.leaves
        }
        roots = {node for node, _ in walked.roots}
        self.passes = [i for i in self.plumbing if fan_out[i] == 1 and i not in roots]
        self.before: list[int] = []
        self.after: list[tuple[int, list[tuple[int, int]], bool]] = []
        self.single: set[int] = set()
        self.often = {
            index
            for index, (_, _, target, _) in enumerate(self.edges)
            if self.leaves.get(target, 0) > MANY_USES
        }
        self.saved: list[Saved] | None = None
        self._choose(walked, _shared(self.edges, fan_in))

    def _choose(self, walked: Walked, shared: dict[int, list[tuple[int, int]]]) -> None:
        silent = set(self.passes)
        for i, node in enumerate(walked.nodes):
            edges = shared.get(i)
            # A backward in Python may change what it received.
            received = i not in silent and not isinstance(node, BackwardCFunction)
            if edges is not None:
                self.after.append((i, edges, received))
            if i not in silent and i not in self.leaves and (edges is None or not received):
                self.before.append(i)
                if not isinstance(node, BackwardCFunction) and len(node._input_metadata) == 1:
                    self.single.add(i)

    def is_of(self, walked: Walked, types: list[type]) -> bool:
        """Whether a graph, given with the types of its nodes, has this shape."""
        return (
            self.types == types
            and self.roots == walked.roots
            and self.truncated == walked.truncated
            and self.flat_edges == walked.flat_edges
            and all(_op_name(walked.nodes[i]) == self.ops[i] for i in self._unnamed)
        )


class Plans:
    """Finds the plan of a graph among those of earlier graphs, or makes it."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], list[Plan]] = {}
        self._nodes = 0

    def find(self, walked: Walked) -> Plan:
        """The plan of a walked graph."""
        types = list(map(type, walked.nodes))
        same_size = self._known.setdefault((len(types), len(walked.flat_edges)), [])
        for plan in same_size:
            if plan.is_of(walked, types):
                return plan
        plan = Plan(walked, types)
        self._nodes += len(types)
        if self._nodes > MAX_KNOWN_NODES:
            self._known.clear()
            self._nodes = 0
        else:
            same_size.append(plan)
        return plan


def _op_name(node: Any) -> str:
    name: str = node.name()
    return name.rpartition("::")[2]


def _shared(edges: list[Edge4], fan_in: list[int]) -> dict[int, list[tuple[int, int]]]:
    """Per source the edges that lead to targets with several."""
    found: dict[int, list[tuple[int, int]]] = {}
    for index, (source, slot, target, _) in enumerate(edges):
        if fan_in[target] > 1:
            found.setdefault(source, []).append((slot, index))
    return found
