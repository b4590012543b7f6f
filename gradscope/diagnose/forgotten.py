"""Why a parameter that gets gradients is not updated: an oversight, or perhaps on purpose."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from gradscope.analysis.paths import op_base, role
from gradscope.diagnose.around import leaves_of, towards_leaves, towards_loss, users_of
from gradscope.diagnose.front import is_forgotten_front
from gradscope.diagnose.holding import Told, both, made_anew, wrong_holder
from gradscope.diagnose.run import Run
from gradscope.model.graph import Node, Source
from gradscope.model.trace import Parameter

_CLASS_LOSSES = frozenset({"LogSoftmax", "BinaryCrossEntropyWithLogits"})


@dataclass(frozen=True)
class Reason:
    """What makes a parameter forgotten, or only unused by the optimizer.

    Attributes:
        kind: ``unregistered``, ``loose``, ``gap``, ``stale``, ``head``, ``front`` or ``unknown``.
        source: The line that uses the parameter.
        module: The module that uses it.
        nodes: The op that uses it, in the graph of ``step``.
        step: Index of that step.
        told: What is known beyond the kind.
    """

    kind: str
    source: Source | None = None
    module: str = ""
    nodes: tuple[int, ...] = ()
    step: int = 0
    told: Told | None = None

    @property
    def certain(self) -> bool:
        """Whether nobody would do it on purpose."""
        return self.kind != "unknown"

    @property
    def text(self) -> str:
        """The end of the message."""
        return self.told.text if self.told else _TEXTS[self.kind][0]

    @property
    def cause(self) -> str:
        """One or two sentences."""
        return self.told.cause if self.told else _TEXTS[self.kind][1]

    @property
    def fix(self) -> str:
        """What to change."""
        return self.told.fix if self.told else _TEXTS[self.kind][2]


_TEXTS = {
    "unregistered": (
        ": the module that calls its layer has not registered it",
        "parameters() finds layers that are attributes of a module or in a ModuleList, "
        "ModuleDict or Sequential, not those in a plain list or dict.",
        "self.layers = nn.ModuleList(self.layers)  # in __init__, before the optimizer is made",
    ),
    "loose": (
        ": it is a plain attribute of a module, not one of its parameters",
        "parameters() finds nn.Parameter attributes, not plain tensors and not what is in a list.",
        "self.scale = nn.Parameter(torch.ones(n))  # or self.ws = nn.ParameterList(self.ws)",
    ),
    "head": (
        ", though the loss compares their very result with the labels",
        "The optimizer was given the parameters of the part in front of it alone.",
        "optimizer = torch.optim.SGD([*encoder.parameters(), *head.parameters()], lr=lr)",
    ),
    "gap": (
        ", though parameters before and behind it are",
        "The optimizer was given only some of the parameters, and the gap lies in the middle of "
        "what is trained.",
        "optimizer.add_param_group({'params': [*layer.parameters()]})",
    ),
    "front": (
        ", though what is updated works on the result, and the weights are still those of the "
        "initialisation",
        "The optimizer was given the parameters of the part behind it alone, and backward runs "
        "through it for nothing.",
        "optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=lr)  "
        "# or encoder.requires_grad_(False)",
    ),
    "stale": (
        ", while an optimizer holds parameters that nothing uses",
        "The layer or the model was made anew after the optimizer had taken the parameters of the "
        "old one.",
        "optimizer = torch.optim.SGD(model.parameters(), lr=lr)  # after the last change of model",
    ),
    "unknown": (
        ", while others are",
        "No optimizer that steps holds it. Where only a part of a network is meant to learn, this "
        "is intended and only costs the time of its backward.",
        "optimizer.add_param_group({'params': [...]})  # or parameter.requires_grad_(False)",
    ),
}


class Reasons:
    """Finds reasons in one run; what several parameters need is computed once."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._parameters = run.trace.parameters
        self._fronts: dict[int, bool] = {}
        self._known: dict[str, Told | None] = {}
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
                told = self._told(kind, parameter, user)
                source = told.source if told is not None and told.source else user.source
                return Reason(kind, source, user.module, (user.id,), step.index, told)
        return Reason("stale" if self._has_stale(parameter) else "unknown")

    def _told(self, kind: str, parameter: Parameter, user: Node) -> Told | None:
        """What the script's own names tell beyond the kind."""
        if kind == "unregistered":
            return made_anew(parameter, user)
        if kind not in ("front", "head"):
            return None
        if kind not in self._known:
            self._known[kind] = self._by_names(kind)
        return self._known[kind]

    def _by_names(self, kind: str) -> Told | None:
        held = wrong_holder(self._run, self._idle) if kind == "front" else None
        trained = [p for p in self._parameters if len(p.updates) and p.kind == "parameter"]
        fix = both(self._idle, trained)
        return held or (Told(*_TEXTS[kind][:2], fix) if fix else None)

    def _kind(self, parameter: Parameter, position: int, user: Node) -> str:
        updated = self._updated_users(position)
        structure = self._graphs[position][1].structure
        above = towards_loss(structure, [user.id]) & updated
        below = (towards_leaves(structure, [user.id]) | {user.id}) & updated
        loose = parameter.registered is False and parameter.module == user.module
        if loose and not is_unregistered(user) and self._of_root(position, user, updated):
            return "loose"
        if parameter.kind != "parameter":
            return "unknown"
        if is_unregistered(user) and self._is_layer(position, user, above, below):
            return "unregistered"
        if self._has_stale(parameter):
            return "stale"
        if above and not below and self._is_front(position):
            return "front"
        if not self._is_minority:
            return "unknown"  # adapters and prompts are trained around a large rest
        if above and below:
            return "gap"
        return "head" if below and self._is_head(position, user) else "unknown"

    def _is_layer(self, position: int, user: Node, above: set[int], below: set[int]) -> bool:
        """Whether it is one of the layers of the module that calls it, which learns otherwise.

        A fixed network that is only hidden (a teacher, a judge of the result) is the only one in
        its container, and nothing of the module that hides it is trained on its way to the loss.
        """
        if not self._of_root(position, user, above | below):
            return False
        if above and below:
            return True
        members = self._members(position).get(container(user.module), {})
        return len(members) > 1 and (bool(above) or max(members.values()) == 1)

    def _of_root(self, position: int, user: Node, others: set[int]) -> bool:
        """Whether some of the other ops ran in registered modules below the same root."""
        nodes = self._graphs[position][1].structure.nodes
        root = (user.module_types[:1], user.module.split(".")[0])
        return any(
            (nodes[i].module_types[:1], nodes[i].module.split(".")[0]) == root
            and not is_unregistered(nodes[i])
            for i in others
        )

    def _members(self, position: int) -> dict[str, dict[str, int]]:
        """Per plain container: the modules in it and how many matrices each of them has."""
        structure = self._graphs[position][1].structure
        found: dict[str, dict[str, int]] = {}
        for leaf in self._leaves_of(position).values():
            matrix = len(self._parameters[leaf.parameter or 0].shape) > 1
            users = [structure.nodes[user] for user in users_of(structure, leaf.id)]
            for module, member in {(u.module, _member(u, leaf.id)) for u in users}:
                matrices = found.setdefault(container(module), {})
                matrices[member] = matrices.get(member, 0) + matrix
        return found

    def _is_head(self, position: int, user: Node) -> bool:
        """Whether its result is what a loss for classes compares with the labels.

        A network of several layers that ends so may be a judge that has learned elsewhere.
        """
        if sum(len(p.shape) > 1 for p in self._idle) > 1:
            return False
        structure = self._graphs[position][1].structure
        above = [structure.nodes[i] for i in users_of(structure, user.id)]
        while above and role(above[0].op) != "work":
            above = [structure.nodes[i] for i in users_of(structure, above[0].id)]
        bases = {op_base(node.op) for node in above}
        return bool(bases) and bases <= _CLASS_LOSSES

    def _is_front(self, position: int) -> bool:
        if position not in self._fronts:
            graph = self._graphs[position][1]
            self._fronts[position] = is_forgotten_front(self._run.trace, graph, self._idle)
        return self._fronts[position]

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
        updated = sum(p.count for p in self._parameters if len(p.updates))
        return sum(p.count for p in self._idle) < updated

    @cached_property
    def _idle(self) -> tuple[Parameter, ...]:
        """Parameters that get a gradient for nothing."""
        return tuple(
            p
            for p in self._parameters
            if not len(p.updates)
            and p.kind == "parameter"
            and p.requires_grad
            and any(p.gradients.arrived)
        )


def is_unregistered(user: Node) -> bool:
    """Whether the op ran in a module that the module around it has not registered.

    The path of one in a plain list or dict ends in brackets; one that is found nowhere below the
    module around it has its class in the place of a name.
    """
    depth = len(user.module_types) - 1
    below = user.module.split(".")[-depth:] if depth > 0 else []
    return any(part.endswith("]") for part in below) or below[-1:] == [user.module_type]


def _member(user: Node, leaf: int) -> str:
    """What tells the modules of one container apart."""
    if "]" in user.module:
        return user.module[: user.module.find("]") + 1]
    inside = len(user.module_types) > 2 and user.module.split(".")[-2] == user.module_types[-2]
    return container(user.module) if inside else f"{user.module} {leaf}"


def container(module: str) -> str:
    """The plain list or dict on a module's path: ``net.layers`` of ``net.layers[0].fc``."""
    return module.partition("[")[0] if "[" in module else module.rpartition(".")[0]
