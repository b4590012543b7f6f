"""Why a parameter that gets gradients is not updated: an oversight, or perhaps on purpose."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from gradscope.diagnose.around import leaves_of, towards_leaves, towards_loss, users_of
from gradscope.diagnose.run import Run
from gradscope.model.graph import Node, Source
from gradscope.model.trace import Parameter


@dataclass(frozen=True)
class Reason:
    """What makes a parameter forgotten, or only unused by the optimizer.

    Attributes:
        kind: ``unregistered``, ``gap``, ``stale`` or ``unknown``.
        source: The line that uses the parameter.
        module: The module that uses it.
        nodes: The op that uses it, in the graph of ``step``.
        step: Index of that step.
    """

    kind: str
    source: Source | None = None
    module: str = ""
    nodes: tuple[int, ...] = ()
    step: int = 0

    @property
    def certain(self) -> bool:
        """Whether nobody would do it on purpose."""
        return self.kind != "unknown"

    @property
    def text(self) -> str:
        """The end of the message."""
        return _TEXTS[self.kind][0]

    @property
    def cause(self) -> str:
        """One or two sentences."""
        return _TEXTS[self.kind][1]

    @property
    def fix(self) -> str:
        """What to change."""
        return _TEXTS[self.kind][2]


_TEXTS = {
    "unregistered": (
        ": the module that calls its layer has not registered it",
        "parameters() finds layers that are attributes of a module or in a ModuleList, "
        "ModuleDict or Sequential, not those in a plain list or dict.",
        "self.layers = nn.ModuleList(self.layers)  # in __init__, before the optimizer is made",
    ),
    "gap": (
        ", though parameters before and behind it are",
        "The optimizer was given only some of the parameters, and the gap lies in the middle of "
        "what is trained.",
        "optimizer.add_param_group({'params': [*layer.parameters()]})",
    ),
    "stale": (
        ", while an optimizer holds parameters that nothing uses",
        "The layer or the model was made anew after the optimizer had taken the parameters of the "
        "old one.",
        "optimizer = torch.optim.SGD(model.parameters(), lr=lr)  # after the last change of model",
    ),
    "unknown": (
        ", while others are",
        "No optimizer holds it. Where only a part of a network is meant to learn, this is "
        "intended and only costs the time of its backward.",
        "optimizer.add_param_group({'params': [...]})  # or parameter.requires_grad_(False)",
    ),
}


class Reasons:
    """Finds reasons in one run; what several parameters need is computed once."""

    def __init__(self, run: Run) -> None:
        self._parameters = run.trace.parameters
        self._graphs = [
            (step, graph)
            for step, graph in reversed(run.trace.graphs)
            if graph.backward_ran and step.kind == "backward"
        ]
        self._leaves: dict[int, dict[int, Node]] = {}
        self._updated: dict[int, set[int]] = {}

    def of(self, parameter: Parameter) -> Reason:
        """Looks at the last graph that the parameter takes part in."""
        for position, (step, graph) in enumerate(self._graphs):
            leaf = self._leaves_of(position).get(parameter.index)
            users = users_of(graph.structure, leaf.id) if leaf else []
            if users:
                user = graph.structure.nodes[min(users)]
                kind = self._kind(parameter, position, user)
                return Reason(kind, user.source, user.module, (user.id,), step.index)
        return Reason("stale" if self._has_stale(parameter) else "unknown")

    def _kind(self, parameter: Parameter, position: int, user: Node) -> str:
        updated = self._updated_users(position)
        if _is_unregistered(user) and updated:
            return "unregistered"
        if self._has_stale(parameter):
            return "stale"
        if not self._is_minority:
            return "unknown"  # adapters and prompts are trained around a large rest
        structure = self._graphs[position][1].structure
        above = towards_loss(structure, [user.id]) & updated
        below = (towards_leaves(structure, [user.id]) | {user.id}) & updated
        return "gap" if above and below else "unknown"

    def _leaves_of(self, position: int) -> dict[int, Node]:
        if position not in self._leaves:
            self._leaves[position] = leaves_of(self._graphs[position][1])
        return self._leaves[position]

    def _updated_users(self, position: int) -> set[int]:
        """Ops that use a parameter which is updated."""
        if position not in self._updated:
            structure = self._graphs[position][1].structure
            self._updated[position] = {
                user
                for index, leaf in self._leaves_of(position).items()
                if index < len(self._parameters) and len(self._parameters[index].updates)
                for user in users_of(structure, leaf.id)
            }
        return self._updated[position]

    def _has_stale(self, parameter: Parameter) -> bool:
        """Whether an optimizer holds a parameter of the kind that never got a gradient."""
        return len(parameter.shape) in self._stale

    @cached_property
    def _stale(self) -> frozenset[int]:
        """Numbers of dimensions of parameters that an optimizer holds and nothing uses."""
        return frozenset(
            len(p.shape)
            for p in self._parameters
            if p.optimizers
            and p.requires_grad
            and not any(p.gradients.arrived)
            and not len(p.updates)
        )

    @cached_property
    def _is_minority(self) -> bool:
        """Whether less gets a gradient for nothing than is updated, in elements."""
        updated = idle = 0
        for p in self._parameters:
            if len(p.updates):
                updated += p.count
            elif p.kind == "parameter" and p.requires_grad and any(p.gradients.arrived):
                idle += p.count
        return idle < updated


def _is_unregistered(user: Node) -> bool:
    """Whether the op ran in a module that the module around it has not registered.

    The path of one in a plain list or dict ends in brackets; one that is found nowhere below the
    module around it has its class in the place of a name.
    """
    depth = len(user.module_types) - 1
    below = user.module.split(".")[-depth:] if depth > 0 else []
    return any(part.endswith("]") for part in below) or below[-1:] == [user.module_type]
