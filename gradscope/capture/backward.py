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

    def listen(self, chosen: set[int] | None) -> None:
        """Registers the hooks.

        Args:
            chosen: Nodes to listen at besides leaves and roots; None: all of them.
        """
        nodes, edges = self.walked.nodes, self.walked.edges
        wanted = set(self.leaves) | {node for node, _ in self.walked.roots}
        if chosen is not None:
            for i in sorted(wanted | chosen):
                self._listen_before(i)
            return
        fan_in = [0] * len(nodes)
        fan_out = [0] * len(nodes)
        for source, _, target, _ in edges:
            fan_in[target] += 1
            fan_out[source] += 1
        shared: dict[int, list[tuple[int, int]]] = {}
        for index, (source, slot, target, _) in enumerate(edges):
            if fan_in[target] > 1:
                shared.setdefault(source, []).append((slot, index))
        for i, node in enumerate(nodes):
            passes = fan_out[i] == 1 and type(node).__name__ in PLUMBING and i not in wanted
            if passes:
                self.passes.append(i)
            if i in shared:
                self._listen_after(i, shared[i], not passes)
            elif not passes:
                self._listen_before(i)

    def _listen_before(self, i: int) -> None:
        hook = self._at_leaf if i in self.leaves else self._at_node
        self._handles.append(self.walked.nodes[i].register_prehook(partial(hook, i)))

    def _listen_after(self, i: int, shared: list[tuple[int, int]], received: bool) -> None:
        """Hears what goes along edges whose target sums up several, and what was received."""
        node = self.walked.nodes[i]
        if received and isinstance(node, torch.autograd.function.BackwardCFunction):
            self._listen_before(i)  # a backward in Python may change what it received
            received = False
        hook = partial(self._after_node, i if received else -1, shared)
        self._handles.append(node.register_hook(hook))

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

    def _after_node(
        self,
        i: int,
        shared: list[tuple[int, int]],
        sent: tuple[Tensor | None, ...],
        received: tuple[Tensor | None, ...],
    ) -> None:
        started = perf_counter_ns()
        try:
            if self._is_mine():
                if i >= 0:
                    self._measure(i, received)
                with NO_FUNCTIONS() if not dispatch_modes() else quiet():
                    for slot, edge in shared:
                        gradient = sent[slot]
                        self.contributions[edge] = (
                            None if gradient is None else self._collector.add(gradient)
                        )
        except Exception:
            self.failures += 1
        self.own_ns += perf_counter_ns() - started

    def _is_mine(self) -> bool:
        task = _task_id()
        if self._task is None:
            self._task = task
        return task == self._task

    def _measure(self, i: int, gradients: tuple[Tensor | None, ...]) -> None:
        add = self._collector.add
        with NO_FUNCTIONS() if not dispatch_modes() else quiet():
            for output_nr, gradient in enumerate(gradients):
                self.gradients[i, output_nr] = None if gradient is None else add(gradient)

    def returned(self, wanted: Iterable[Any], gradients: Iterable[Tensor | None]) -> None:
        """Notes the gradients that ``autograd.grad`` gave back for its inputs."""
        ids = {node: i for i, node in enumerate(self.walked.nodes)}
        for edge, gradient in zip(wanted, gradients, strict=False):
            node = ids.get(edge[0])
            if node is not None and (node, edge[1]) not in self.gradients:
                self.gradients[node, edge[1]] = (
                    None if gradient is None else self._collector.add(gradient)
                )

    def raw(self, forward: ForwardRecorder, *, all_shapes: bool = False) -> RawGraph:
        """The graph as plain lists; what is heard later is added to it."""
        nodes = self.walked.nodes
        passing = [i for i, n in enumerate(nodes) if all_shapes or type(n).__name__ in PLUMBING]
        sequence = [_sequence(node) for node in nodes]
        raw = RawGraph(
            ops=[op_name(node) for node in nodes],
            sequence=sequence,
            shapes={i: tuple(m[0].shape) for i in passing if (m := nodes[i]._input_metadata)},
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
