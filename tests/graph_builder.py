"""Builds graphs by hand: forward in the test, discovery order from the loss in the result."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from gradscope.model.graph import Edge, Graph, Node, NodeKind, Source, Structure
from gradscope.model.stats import TensorStats

SCRIPT = "/home/user/train.py"
Gradient = float | TensorStats | None
UNMEASURED = -math.inf  # as a gradient: leave it out, where None says that nothing arrived


def stats(
    rms: float, shape: Sequence[int] = (), *, value: float | None = None, zeros: float = 0.0
) -> TensorStats:
    """Statistics of a tensor with that RMS, symmetric around zero; the element for a scalar."""
    count = math.prod(shape)
    nan = math.isnan(rms)
    if count == 1 and value is None:
        value = rms
    low, high = (-3 * rms, 3 * rms) if value is None else (value, value)
    return TensorStats(
        shape=tuple(shape),
        dtype="float32",
        device="cpu",
        count=count,
        l2_norm=rms * math.sqrt(count),
        min=low,
        max=high,
        zero_fraction=1.0 if rms == 0 else zeros,
        nan_count=count if nan else 0,
        inf_count=0,
        value=value,
    )


def line(number: int, text: str = "", expression: str = "", function: str = "<module>") -> Source:
    """A line of the imaginary script."""
    return Source(SCRIPT, number, text, function, expression)


@dataclass
class Draft:
    """A node before it has its place in the graph."""

    node: Node
    inputs: tuple[tuple[int, int], ...]
    gradients: tuple[Gradient, ...]
    value: TensorStats | None


@dataclass
class GraphBuilder:
    """Builds a graph the way a forward pass does: leaves and ops first, the loss last.

    ``leaf`` and ``op`` return a handle. ``graph`` walks from the root and gives ids in discovery
    order; ``ids`` then maps handles to node ids.
    """

    source: Source | None = None  # of ops that are given none
    drafts: list[Draft] = field(default_factory=list)
    ids: dict[int, int] = field(default_factory=dict)
    _scope: list[tuple[str, str, int]] = field(default_factory=list)
    _calls: dict[str, int] = field(default_factory=dict)

    @contextmanager
    def module(self, name: str, type_name: str) -> Iterator[None]:
        """Everything inside ran in that module; ``name`` is added to the path around it.

        ``h.0`` lies in a ``ModuleList`` named ``h``.
        """
        outer = self._scope
        path = f"{outer[-1][0]}." if outer else ""
        lists: list[tuple[str, str, int]] = []
        *containers, last = name.split(".")
        for part in containers:
            lists.append((path + part, "ModuleList", 0))
            path += f"{part}."
        path += last
        self._calls[path] = self._calls.get(path, 0) + 1
        self._scope = [*outer, *lists, (path, type_name, self._calls[path])]
        yield
        self._scope = outer

    def leaf(
        self,
        label: str,
        shape: Sequence[int] = (),
        *,
        kind: NodeKind = "parameter",
        gradient: Gradient = UNMEASURED,
        value: float | None = 0.1,
    ) -> int:
        """A parameter or an input; ``value`` is its RMS, or the element itself."""
        node = Node(
            id=len(self.drafts), kind=kind, op="AccumulateGrad", label=label, shape=tuple(shape)
        )
        measured = None if value is None else stats(value, shape)
        return self._add(Draft(node, (), (gradient,), measured))

    def op(
        self,
        name: str,
        *inputs: int | tuple[int, int],
        shape: Sequence[int] | None = None,
        gradient: Gradient | Sequence[Gradient] = UNMEASURED,
        value: float | None = None,
        source: Source | None = None,
        label: str = "",
        iteration: int = 0,
        call: str = "",
    ) -> int:
        """An operation on handles, or on ``(handle, output_nr)``; ``name`` without ``Backward0``.

        ``gradient`` is the RMS it receives; one per output when it has several.
        """
        path, type_name, number = self._scope[-1] if self._scope else ("", "", 0)
        gradients = tuple(gradient) if isinstance(gradient, (list, tuple)) else (gradient,)
        node = Node(
            id=len(self.drafts),
            kind="op",
            op=name if name.endswith("Backward") else f"{name}Backward0",
            call=call or name.lower(),
            label=label,
            module=path,
            module_type=type_name,
            module_call=number,
            module_types=tuple(t for _, t, _ in self._scope),
            module_calls=tuple(c for _, _, c in self._scope if c),
            source=source or self.source,
            iteration=iteration,
            inputs=len(gradients),
            shape=None if shape is None else tuple(shape),
        )
        edges = tuple(i if isinstance(i, tuple) else (i, 0) for i in inputs)
        measured = None if value is None else stats(value, shape or ())
        return self._add(Draft(node, edges, gradients, measured))

    def _add(self, draft: Draft) -> int:
        self.drafts.append(draft)
        return len(self.drafts) - 1

    def graph(self, *roots: int, backward_ran: bool = True) -> Graph:
        """The finished graph; what the roots (default: the last op) do not reach is left out."""
        starts = roots or (len(self.drafts) - 1,)
        self.ids = self._discover(starts)
        nodes, edges, values, gradients = [], [], {}, {}
        orders = {h: rank for rank, h in enumerate(sorted(self._ops()))}
        leaves: dict[str, int] = {}
        for handle, node_id in self.ids.items():
            draft = self.drafts[handle]
            kind = "loss" if handle in starts and draft.node.kind == "op" else draft.node.kind
            order = orders.get(handle, -1)
            index = leaves.setdefault(draft.node.label, len(leaves)) if order < 0 else None
            nodes.append(replace(draft.node, id=node_id, kind=kind, order=order, parameter=index))
            for slot, (target, output_nr) in enumerate(draft.inputs):
                edges.append(Edge(node_id, slot, self.ids[target], output_nr))
            if draft.value is not None:
                values[node_id, 0] = draft.value
            for nr, gradient in enumerate(draft.gradients):
                if gradient != UNMEASURED and backward_ran:
                    gradients[node_id, nr] = _gradient(gradient, draft.node.shape or ())
        structure = Structure(tuple(nodes), tuple(edges), tuple(self.ids[r] for r in starts))
        return Graph(structure, values, gradients, backward_ran=backward_ran)

    def _ops(self) -> list[int]:
        return [h for h in self.ids if self.drafts[h].node.kind == "op"]

    def _discover(self, starts: Sequence[int]) -> dict[int, int]:
        ids: dict[int, int] = {}
        stack = list(reversed(starts))
        while stack:
            handle = stack.pop()
            if handle not in ids:
                ids[handle] = len(ids)
                stack.extend(t for t, _ in reversed(self.drafts[handle].inputs))
        return ids


def _gradient(gradient: Gradient, shape: Sequence[int]) -> TensorStats | None:
    return stats(gradient, shape) if isinstance(gradient, float | int) else gradient
