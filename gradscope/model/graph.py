"""The graph of one backward: a structure (stored once) and its measurements (per step)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from gradscope.model.stats import TensorStats

NodeKind = Literal["op", "parameter", "input", "loss"]


@dataclass(frozen=True, slots=True)
class Source:
    """One line of the user's program.

    Attributes:
        file: Path as Python knows it (absolute for scripts; ``<stdin>`` and the like stay).
        line: 1-based line number.
        text: The line, stripped; empty when the source could not be read.
        function: Qualified name of the function it is in; ``<module>`` at top level.
        expression: The part of the line that made the call, when known; else empty.
    """

    file: str
    line: int
    text: str = ""
    function: str = ""
    expression: str = ""

    def __hash__(self) -> int:
        return hash((self.file, self.line))  # asked in every step

    @property
    def location(self) -> str:
        """``file.py:12`` with the file's base name."""
        return f"{self.file.replace(chr(92), '/').rsplit('/', 1)[-1]}:{self.line}"


@dataclass(frozen=True, slots=True)
class Node:
    """A node of the autograd graph, without measurements.

    Attributes:
        id: Position in ``Structure.nodes``; discovery order from the roots, never ``id(obj)``.
        kind: ``loss`` for a root, ``parameter`` or ``input`` for leaves, ``op`` otherwise.
        op: Autograd's own name, such as ``MulBackward0``; ``AccumulateGrad`` for leaves.
        call: The torch function the user's line called, such as ``cross_entropy``; empty for
            leaves or when unknown. Several nodes may share one call.
        label: The user's name of the result, such as ``y`` or ``net.fc1.weight``; may be empty.
        module: Path of the module that ran, such as ``net.blocks.0.attn``; may be empty.
        module_type: Class name of that module.
        module_call: 1-based: which call of that module within this graph; 0 outside modules.
        module_types: Class name of every module on the path, outermost first.
        source: The user's line that created the node.
        iteration: 1-based: which execution of that place in the code within this graph; 0 unknown.
        order: Creation rank within the graph (forward order, by sequence number); leaves: -1.
        inputs: How many gradients the node receives (one per forward output).
        parameter: Index into ``Trace.parameters`` for leaves; else None.
        shape: Shape of the forward output ``0`` where known.
        module_calls: Which call of every module on the path that is running, 1-based, outermost
            first; a ``ModuleList`` on the path has none, since it never runs. Empty: unknown.
        operands: Shapes of the call's two tensor arguments where they were broadcast against each
            other into a larger result; else empty.
    """

    id: int
    kind: NodeKind
    op: str
    call: str = ""
    label: str = ""
    module: str = ""
    module_type: str = ""
    module_call: int = 0
    module_types: tuple[str, ...] = ()
    source: Source | None = None
    iteration: int = 0
    order: int = -1
    inputs: int = 1
    parameter: int | None = None
    shape: tuple[int, ...] | None = None
    module_calls: tuple[int, ...] = ()
    operands: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Edge:
    """One way for the gradient: from ``source``'s backward to ``target``, loss towards leaves.

    Attributes:
        source: Id of the node that computes the gradient.
        slot: Index in the source's ``next_functions``.
        target: Id of the node that receives it.
        output_nr: Which forward output of the target the gradient belongs to.
    """

    source: int
    slot: int
    target: int
    output_nr: int = 0


@dataclass(frozen=True)
class Structure:
    """Nodes and edges without numbers; equal structures are stored once in a trace.

    Attributes:
        nodes: Every node; ``nodes[i].id == i``.
        edges: Every edge; targets always exist.
        roots: Ids of the nodes backward started from.
        truncated: Nodes that were not walked because a limit was reached.
    """

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    roots: tuple[int, ...]
    truncated: int = 0

    @cached_property
    def outgoing(self) -> tuple[tuple[int, ...], ...]:
        """Per node, the indices of edges that leave it (towards the leaves)."""
        return self._by("source")

    @cached_property
    def incoming(self) -> tuple[tuple[int, ...], ...]:
        """Per node, the indices of edges that reach it (from the loss)."""
        return self._by("target")

    def _by(self, end: str) -> tuple[tuple[int, ...], ...]:
        lists: list[list[int]] = [[] for _ in self.nodes]
        for index, edge in enumerate(self.edges):
            lists[getattr(edge, end)].append(index)
        return tuple(map(tuple, lists))


@dataclass(frozen=True, slots=True)
class Traits:
    """What only some nodes of the graphs that are kept whole are asked. None: not asked.

    Attributes:
        units: Units (features or channels) of an activation's result.
        samples: Elements per unit, over the batch and all places.
        dead: Bit ``i`` is set when unit ``i`` is at most 0 in every sample (ReLU and its like).
        saturated_fraction: Share of elements where a sigmoid or tanh is flat, 0 to 1: its
            derivative is below 0.01 (sigmoid), its magnitude above 0.99 (tanh).
        tiny_fraction: Share of the non-zero elements of a float16 gradient that are 2**-24, the
            smallest there is: about as many more have become 0.
        equal_rows: Whether all rows (index 0) of a parameter's gradient are the same, up to
            rounding.
        training: Whether a normalisation ran in training mode.
        reduction: ``mean``, ``sum`` or ``none`` of a loss function.
        empty: Whether a mean was taken over no element at all.
    """

    units: int | None = None
    samples: int | None = None
    dead: int | None = None
    saturated_fraction: float | None = None
    tiny_fraction: float | None = None
    equal_rows: bool | None = None
    training: bool | None = None
    reduction: str | None = None
    empty: bool | None = None


@dataclass(frozen=True)
class Graph:
    """A structure with what was measured on it in one step.

    Attributes:
        structure: Nodes and edges.
        values: ``(node id, output_nr)`` to the statistics of the forward result. For leaves:
            of the leaf itself.
        gradients: ``(node id, output_nr)`` to the statistics of the gradient the node received,
            summed over its incoming edges. A key with None: the engine delivered None.
            A missing key: not measured.
        contributions: Edge index to the gradient that came along this edge alone; recorded where
            several meet at one output. None: that edge carried nothing.
        backward_ran: False for a forward graph that no backward ever used.
        traits: Node id to what else is known of it.
        constants: Node id to the numbers that the op keeps for its backward and that are no
            node: ``{"exponent": 2.0}``, by their name in torch; tensors of one element among
            them where the result has one element.
    """

    structure: Structure
    values: Mapping[tuple[int, int], TensorStats] = field(default_factory=dict)
    gradients: Mapping[tuple[int, int], TensorStats | None] = field(default_factory=dict)
    contributions: Mapping[int, TensorStats | None] = field(default_factory=dict)
    backward_ran: bool = True
    traits: Mapping[int, Traits] = field(default_factory=dict)
    constants: Mapping[int, Mapping[str, float]] = field(default_factory=dict)

    def value(self, node: int, output_nr: int = 0) -> TensorStats | None:
        """Statistics of the node's forward result, or None where not measured."""
        return self.values.get((node, output_nr))

    def gradient(self, node: int, output_nr: int = 0) -> TensorStats | None:
        """Statistics of the gradient the node received; None if none arrived or unmeasured."""
        return self.gradients.get((node, output_nr))

    def gradient_rms(self, node: int) -> float | None:
        """RMS over all gradients the node received; None where nothing was measured."""
        found = [
            stats
            for nr in range(self.structure.nodes[node].inputs)
            if (stats := self.gradients.get((node, nr))) is not None
        ]
        # hypot, since squares of float64 norms overflow and underflow.
        norms = [s.l2_norm for s in found if s.l2_norm is not None]
        count = sum(s.count for s in found if s.l2_norm is not None)
        return math.hypot(*norms) / math.sqrt(count) if count else None
