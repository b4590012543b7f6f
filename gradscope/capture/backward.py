"""One run of the autograd engine: walk its graph, listen at its nodes, let go of it.

NOTE [Hooks]
A hook that refers to a node leaks the whole graph, so hooks are bound to integers. They return
None and never raise. Leaves' ``AccumulateGrad`` nodes are shared between nested runs: a hook acts
only for the graph task it was registered for. Views and transposes get no hook: they receive
exactly what they send.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from time import perf_counter_ns
from typing import Any

import torch
from torch import Tensor

from gradscope.capture.forward import NO_FUNCTIONS, ForwardRecorder, dispatch_modes
from gradscope.capture.leaves import Leaf, Leaves
from gradscope.capture.quiet import quiet
from gradscope.capture.raw import RawGraph
from gradscope.capture.stats import Collector
from gradscope.capture.updates import Ledger
from gradscope.capture.walk import PLUMBING, Walked, op_name, release
from gradscope.model.trace import Level

_task_id: Callable[[], int] = torch._C._current_graph_task_id


class BackwardRun:
    """What is heard during one run; freed of all nodes by ``close``.

    Args:
        walked: The graph; emptied by ``close``.
        level: Which nodes to listen at.
        collector: Takes the gradients' statistics.
        ledger: Is told of contributions to leaves.
        fills_grad: Whether the run adds to ``.grad`` (``backward``) or returns gradients.
    """

    def __init__(
        self,
        walked: Walked,
        level: Level,
        collector: Collector,
        ledger: Ledger,
        fills_grad: bool,
    ) -> None:
        self.walked = walked
        self.level = level
        self.own_ns = 0
        self.failures = 0
        self.leaves: dict[int, Leaf] = {}
        self.gradients: dict[tuple[int, int], int | None] = {}
        self.contributions: dict[int, int | None] = {}
        self.passes: list[int] = []
        self._collector = collector
        self._ledger = ledger
        self._fills_grad = fills_grad
        self._task: int | None = None
        self._handles: list[Any] = []

    def find_leaves(self, leaves: Leaves, names: dict[int, str]) -> None:
        """Meets the leaves of the graph."""
        for i, variable in leaf_tensors(self.walked):
            leaf = leaves.get(variable, names.get(id(variable), ""))
            if leaf is not None:
                self.leaves[i] = leaf
        fan_in = dict.fromkeys(self.leaves, 0)
        for _, _, target, _ in self.walked.edges:
            if target in fan_in:
                fan_in[target] += 1
        for i, leaf in self.leaves.items():
            leaf.fan_in = fan_in[i]

    def listen(self, chosen: Iterable[int] | None) -> None:
        """Registers the hooks.

        Args:
            chosen: Nodes to listen at besides leaves and roots; None: all of them.
        """
        incoming: dict[int, int] = {}
        outgoing: dict[int, list[int]] = {}
        for index, (source, _, target, _) in enumerate(self.walked.edges):
            incoming[target] = incoming.get(target, 0) + 1
            outgoing.setdefault(source, []).append(index)
        wanted = set(self.leaves) | {node for node, _ in self.walked.roots}
        everything = chosen is None
        nodes = range(len(self.walked.nodes)) if chosen is None else sorted(wanted | set(chosen))
        for i in nodes:
            out = outgoing.get(i, [])
            if everything:
                self._listen_to_fan_out(i, out, incoming)
                if self._only_passes(i, out, incoming):
                    self.passes.append(i)
                    continue
            hook = self._at_leaf if i in self.leaves else self._at_node
            self._handles.append(self.walked.nodes[i].register_prehook(partial(hook, i)))

    def _only_passes(self, i: int, out: list[int], incoming: dict[int, int]) -> bool:
        node = self.walked.nodes[i]
        return len(out) == 1 and i not in self.leaves and type(node).__name__ in PLUMBING

    def _listen_to_fan_out(self, i: int, out: list[int], incoming: dict[int, int]) -> None:
        """Hears what goes along edges whose target sums up several."""
        edges = self.walked.edges
        shared = [(edges[e][1], e) for e in out if incoming[edges[e][2]] > 1]
        if shared:
            hook = partial(self._along_edges, shared)
            self._handles.append(self.walked.nodes[i].register_hook(hook))

    def _at_node(self, i: int, gradients: tuple[Tensor | None, ...]) -> None:
        started = perf_counter_ns()
        try:
            if self._is_mine():
                self._measure(i, gradients)
        except Exception:
            self.failures += 1
        self.own_ns += perf_counter_ns() - started

    def _at_leaf(self, i: int, gradients: tuple[Tensor | None, ...]) -> None:
        started = perf_counter_ns()
        try:
            if self._is_mine():
                self._measure(i, gradients)
                if self._fills_grad and gradients[0] is not None:
                    self._ledger.contributed(self.leaves[i])
        except Exception:
            self.failures += 1
        self.own_ns += perf_counter_ns() - started

    def _along_edges(
        self, shared: list[tuple[int, int]], sent: tuple[Tensor | None, ...], _received: object
    ) -> None:
        started = perf_counter_ns()
        try:
            if self._is_mine():
                with NO_FUNCTIONS() if not dispatch_modes() else quiet():
                    for slot, edge in shared:
                        gradient = sent[slot]
                        self.contributions[edge] = self._ticket(gradient)
        except Exception:
            self.failures += 1
        self.own_ns += perf_counter_ns() - started

    def _is_mine(self) -> bool:
        task = _task_id()
        if self._task is None:
            self._task = task
        return task == self._task

    def _measure(self, i: int, gradients: tuple[Tensor | None, ...]) -> None:
        with NO_FUNCTIONS() if not dispatch_modes() else quiet():
            for output_nr, gradient in enumerate(gradients):
                self.gradients[i, output_nr] = self._ticket(gradient)

    def _ticket(self, gradient: Tensor | None) -> int | None:
        return None if gradient is None else self._collector.add(gradient)

    def returned(self, wanted: Iterable[Any], gradients: Iterable[Tensor | None]) -> None:
        """Notes the gradients that ``autograd.grad`` gave back for its inputs."""
        ids = {node: i for i, node in enumerate(self.walked.nodes)}
        for edge, gradient in zip(wanted, gradients, strict=False):
            node = ids.get(edge[0])
            if node is not None and (node, edge[1]) not in self.gradients:
                self.gradients[node, edge[1]] = self._ticket(gradient)

    def raw(self, forward: ForwardRecorder) -> RawGraph:
        """The graph as plain lists; what is heard later is added to it."""
        nodes = self.walked.nodes
        metadata = [node._input_metadata for node in nodes]
        sequence = [_sequence(node) for node in nodes]
        raw = RawGraph(
            ops=[op_name(node) for node in nodes],
            sequence=sequence,
            shapes=[tuple(m[0].shape) if m else None for m in metadata],
            inputs=[max(1, len(m)) for m in metadata],
            edges=self.walked.edges,
            roots=tuple(dict.fromkeys(node for node, _ in self.walked.roots)),
            truncated=self.walked.truncated,
            leaves=self.leaves,
            windows=[forward.window(number) if number >= 0 else None for number in sequence],
            gradients=self.gradients,
            contributions=self.contributions,
            passes=self.passes,
        )
        for i, window in enumerate(raw.windows):
            for made_by, output_nr, _, ticket in window.results if window is not None else ():
                if made_by == sequence[i] and ticket >= 0:
                    raw.tickets[i, output_nr] = ticket
        return raw

    def close(self) -> None:
        """Removes every hook and lets go of every node."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        release(self.walked.nodes)


def leaf_tensors(walked: Walked) -> list[tuple[int, Tensor]]:
    """The tensors behind the graph's ``AccumulateGrad`` nodes, by node id."""
    return [
        (i, node.variable)
        for i, node in enumerate(walked.nodes)
        if type(node).__name__ == "AccumulateGrad"
    ]


def _sequence(node: Any) -> int:
    number: int = node._sequence_nr()
    return number if number < 1 << 62 else -1  # AccumulateGrad carries the largest number
