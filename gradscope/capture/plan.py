"""What a graph's shape tells before its backward runs; worked out once per shape."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Any, NamedTuple

from torch.autograd.function import BackwardCFunction

from gradscope.capture.walk import NOWHERE, PLUMBING, Walked

MAX_KNOWN_NODES = 200_000  # of all plans together
Edge4 = tuple[int, int, int, int]  # source, slot, target, output_nr
# A node, its attribute, the node's output whose value is there, and the source of a view's value.
Saved = tuple[int, str, tuple[int, int], tuple[int, int]]

MANY_USES = 8  # of a leaf; beyond, what each use contributes is heard only if that is cheap
_UNNAMED = "CppFunction"  # the type of nodes that have none of their own


class Listening(NamedTuple):
    """Which nodes to listen at.

    Attributes:
        before: Before they run; leaves left out, and those in ``single``.
        single: The same, of those that are torch's own and have one output.
        after: After they ran: node to ``(slot, edge)`` of what it sends to where several edges
            meet, and whether what the node received is read there, too.
    """

    before: list[int]
    single: list[int]
    after: dict[int, tuple[list[tuple[int, int]], bool]]


class Plan:
    """Where to listen in graphs of one shape.

    Attributes:
        types: Of the nodes.
        ops: Autograd's name of each node, without C++ namespaces.
        edges: ``(source, slot, target, output_nr)``.
        roots: ``(node, output_nr)`` of what backward starts from.
        truncated: Nodes that were not walked.
        fan_outs: As in ``Walked``, like ``targets`` and ``output_nrs``.
        leaves: ``AccumulateGrad`` nodes and how often each is used.
        made: The other nodes.
        plumbing: Views and transposes.
        turned: Those of them that transpose a leaf, whose shape tells theirs: node, and which
            of ``leaves`` it is.
        viewed: The others.
        passes: Those of all of them that send on exactly what they receive: no need to listen.
        single: Nodes that are torch's own and have one output.
        meeting: Edges that meet others, or what backward starts from, at one output.
        slots: ``(node, 0)`` of every node.
        all: Where to listen in a graph that is kept.
        most: Where in others: not at edges to leaves that are used many times, such as the weights
            of a recurrence.
        saved: What ``read_saved`` may read, once it was asked for.
    """

    def __init__(self, walked: Walked, types: list[type]) -> None:
        self.types = types
        self.ops = [_op_name(node) for node in walked.nodes]
        self.fan_outs, self.targets = walked.fan_outs, walked.targets
        self.output_nrs = walked.output_nrs
        self.edges = _edges(walked)
        self.roots = walked.roots
        self.truncated = walked.truncated
        fan_in, fan_out = [0] * len(types), [0] * len(types)
        for source, _, target, _ in self.edges:
            fan_in[target] += 1
            fan_out[source] += 1
        self._unnamed = [i for i, kind in enumerate(types) if kind.__name__ == _UNNAMED]
        self.leaves = {i: fan_in[i] for i, op in enumerate(self.ops) if op == "AccumulateGrad"}
        self.made = [i for i in range(len(types)) if i not in self.leaves]
        self.plumbing = [i for i, op in enumerate(self.ops) if op in PLUMBING]
        positions = {leaf: position for position, leaf in enumerate(self.leaves)}
        self.turned = {
            source: positions[target]
            for source, _, target, _ in self.edges
            if self.ops[source] == "TBackward0" and target in positions
        }
        self.viewed = [i for i in self.plumbing if i not in self.turned]
        roots = {node for node, _ in walked.roots}
        self.passes = [i for i in self.plumbing if fan_out[i] == 1 and i not in roots]
        self.single = {i for i, node in enumerate(walked.nodes) if _is_single(node)}
        self.meeting = _meeting(self.edges, self.roots)
        self.slots = [(i, 0) for i in range(len(types))]
        self.saved: list[Saved] | None = None
        self.all = self._listening(self.meeting)
        often = {i for i, e in enumerate(self.edges) if self.leaves.get(e[2], 0) > MANY_USES}
        self.most = self._listening(self.meeting - often) if often else self.all

    def _listening(self, apart: Collection[int]) -> Listening:
        """Where to listen so that what comes along some edges is heard apart."""
        sent: dict[int, list[tuple[int, int]]] = {}
        for index in sorted(apart):
            source, slot, _, _ = self.edges[index]
            sent.setdefault(source, []).append((slot, index))
        silent = set(self.passes)
        found = Listening([], [], {})
        for i, kind in enumerate(self.types):
            # A backward in Python may change what it received.
            received = i not in silent and not issubclass(kind, BackwardCFunction)
            if i in sent:
                found.after[i] = sent[i], received
            if i not in silent and i not in self.leaves and (i not in sent or not received):
                (found.single if i in self.single else found.before).append(i)
        return found

    def is_of(self, walked: Walked, types: list[type]) -> bool:
        """Whether a graph, given with the types of its nodes, has this shape."""
        return (
            self.types == types
            and self.roots == walked.roots
            and self.truncated == walked.truncated
            and self.targets == walked.targets
            and self.output_nrs == walked.output_nrs
            and self.fan_outs == walked.fan_outs
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
        same_size = self._known.setdefault((len(types), len(walked.targets)), [])
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


def _edges(walked: Walked) -> list[Edge4]:
    slots = [(source, slot) for source, n in enumerate(walked.fan_outs) for slot in range(n)]
    ends = [(target, walked.output_nrs.get(i, 0)) for i, target in enumerate(walked.targets)]
    return [(*slot, *end) for slot, end in zip(slots, ends, strict=True) if end[0] != NOWHERE]


def _op_name(node: Any) -> str:
    name: str = node.name()
    return name.rpartition("::")[2]


def _is_single(node: Any) -> bool:
    return not isinstance(node, BackwardCFunction) and len(node._input_metadata) == 1


def _meeting(edges: list[Edge4], roots: tuple[tuple[int, int], ...]) -> set[int]:
    arriving = Counter(edge[2:] for edge in edges)
    arriving.update(roots)
    return {index for index, edge in enumerate(edges) if arriving[edge[2:]] > 1}
