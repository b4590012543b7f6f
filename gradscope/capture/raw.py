"""One backward's graph between capture and the finished model."""

from __future__ import annotations

from dataclasses import dataclass, field

from gradscope.capture.held import Ticket
from gradscope.capture.leaves import Leaf
from gradscope.capture.plan import Edge4, Plan
from gradscope.capture.reduce import Measured, Row, measured
from gradscope.capture.snapshot import Snapshot
from gradscope.capture.stats import Collector
from gradscope.capture.traits import RawTraits
from gradscope.capture.windows import Window

Slot = tuple[int, int]  # node id, output_nr
Heard = Row | None  # None: the engine delivered None


@dataclass(slots=True)
class RawGraph:
    """Lists by node id; no node or tensor of the user's in it.

    Attributes:
        plan: Its shape.
        sequence: Sequence numbers; -1 for leaves.
        shapes: Shape of the first forward output, where no measurement will tell.
        leaves: Leaf behind an ``AccumulateGrad``.
        windows: The call that made each node.
        gradients: What each node received, once measured.
        contributions: Edge index → what came along it, where several meet at one output.
        tickets: Forward values beyond those that the windows tell.
        leaf_values: Values of small leaves, measured by ``measure_leaves``.
        names: Names found in the user's variables.
        constants: Node → numbers it keeps for its backward, by their name in torch.
        traits: What only graphs that are kept are asked.
    """

    plan: Plan
    sequence: list[int]
    shapes: dict[int, tuple[int, ...]]
    leaves: dict[int, Leaf]
    windows: list[Window | None]
    gradients: dict[Slot, Heard]
    contributions: dict[int, Heard]
    tickets: dict[Slot, Ticket] = field(default_factory=dict)
    names: dict[Slot, str] = field(default_factory=dict)
    module_names: dict[int, str] = field(default_factory=dict)
    leaf_values: Snapshot | None = None
    backward_ran: bool = True
    constants: dict[int, dict[str, float]] = field(default_factory=dict)
    traits: RawTraits | None = None

    @property
    def ops(self) -> list[str]:
        """Autograd's names."""
        return self.plan.ops

    @property
    def edges(self) -> list[Edge4]:
        """``(source, slot, target, output_nr)``."""
        return self.plan.edges

    @property
    def roots(self) -> tuple[int, ...]:
        """Ids of the roots."""
        return tuple(dict.fromkeys(node for node, _ in self.plan.roots))

    def measure_leaves(self, collector: Collector) -> None:
        """Has the copied leaves measured; the numbers are there when ``collector`` has settled."""
        if self.leaf_values is not None:
            for node, ticket in self.leaf_values.tickets(collector).items():
                self.tickets[node, 0] = ticket
            self.leaf_values = None

    def calls(self) -> list[Window]:
        """Every window once, in the order of the nodes."""
        return list({id(w): w for w in self.windows if w is not None}.values())

    def value_tickets(self) -> dict[Slot, Ticket]:
        """Tickets of the forward results that are or will be measured."""
        made = {number: i for i, number in enumerate(self.sequence) if number >= 0}
        tickets = {
            (made[number], output_nr): ticket
            for window in self.calls()
            for number, output_nr, _, ticket in window.results
            if number in made and ticket is not None
        }
        tickets.update(self.tickets)
        return tickets

    def values(self) -> dict[Slot, Measured]:
        """Numbers of the forward results that were measured."""
        tickets = self.value_tickets()
        return {slot: measured(ticket) for slot, ticket in tickets.items() if ticket}
