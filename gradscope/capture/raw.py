"""One backward's graph between capture and the finished model: plain, but with tickets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gradscope.capture.forward import Window
from gradscope.capture.leaves import Leaf
from gradscope.capture.stats import Measured

Slot = tuple[int, int]  # node id, output_nr


@dataclass
class RawGraph:
    """Lists by node id; no torch object in it.

    Attributes:
        ops: Autograd names.
        sequence: Sequence numbers; -1 for leaves.
        shapes: Shape of the first forward output, where no measurement will tell.
        edges: ``(source, slot, target, output_nr)``.
        roots: Ids of the roots.
        leaves: Leaf behind an ``AccumulateGrad``.
        windows: The call that made each node.
        names: Names found in the user's variables.
        tickets: Tickets of forward values.
        gradients: Ticket of each received gradient; None: the engine delivered None.
        contributions: Edge index → ticket, where a target has several edges.
        passes: Plumbing nodes without a hook of their own.
        stats: Filled when settled: ticket → numbers.
    """

    ops: list[str]
    sequence: list[int]
    shapes: dict[int, tuple[int, ...]]
    edges: list[tuple[int, int, int, int]]
    roots: tuple[int, ...]
    truncated: int = 0
    backward_ran: bool = True
    leaves: dict[int, Leaf] = field(default_factory=dict)
    windows: list[Window | None] = field(default_factory=list)
    names: dict[Slot, str] = field(default_factory=dict)
    module_names: dict[int, str] = field(default_factory=dict)
    tickets: dict[Slot, int] = field(default_factory=dict)
    gradients: dict[Slot, int | None] = field(default_factory=dict)
    contributions: dict[int, int | None] = field(default_factory=dict)
    passes: list[int] = field(default_factory=list)
    stats: Mapping[int, Measured] = field(default_factory=dict)
