"""One run of the autograd engine: listen at the nodes of its graph, then let go of it.

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

from gradscope.capture.dynamo import own_work
from gradscope.capture.forward import NO_FUNCTIONS, ForwardRecorder, dispatch_modes
from gradscope.capture.leaves import Leaf, Leaves
from gradscope.capture.plan import Plan, Plans
from gradscope.capture.quiet import quiet, recover
from gradscope.capture.raw import Heard, RawGraph
from gradscope.capture.stats import SMALL, Collector
from gradscope.capture.updates import Ledger
from gradscope.capture.walk import Walked, release
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
        plans: Those of earlier graphs.

    Attributes:
        variables: The leaf tensors, by node; emptied by ``close``.
        leaves: Leaf behind each ``AccumulateGrad``.
        gradients: ``(node, output_nr)`` → numbers of what the node received, once measured; None:
            the engine delivered None.
        arrived: Leaves that received a gradient, measured or not.
        contributions: Edge → the same for what came along the edge alone.
    """

    def __init__(
        self,
        walked: Walked,
        level: Level,
        collector: Collector,
        ledger: Ledger,
        fills_grad: bool,
        plans: Plans | None = None,
    ) -> None:
        self.walked = walked
        self.plan: Plan = (plans or Plans()).find(walked)
        nodes = walked.nodes
        self.variables = [(i, unwrapped(nodes[i].variable)) for i in self.plan.leaves]
        self.level = level
        self.own_ns = 0
        self.failures = 0
        self.leaves: dict[int, Leaf] = {}
        self.gradients: dict[tuple[int, int], Heard] = {}
        self.arrived: set[int] = set()
        self.contributions: dict[int, Heard] = {}
        self._collector = collector
        self._ledger = ledger
        self._fills_grad = fills_grad
        self.task: int | None = None
        self._handles: list[Any] = []

    def find_leaves(self, leaves: Leaves, names: dict[int, str]) -> None:
        """Meets the leaves of the graph."""
        known, fan_in = leaves.known, self.plan.leaves
        for i, variable in self.variables:
            leaf = known(variable) if not names else None
            if leaf is None:
                leaf = leaves.get(variable, names.get(id(variable), ""))
            if leaf is not None:
                self.leaves[i] = leaf
                leaf.fan_in = fan_in[i]

    def listen(self, chosen: set[int] | None) -> None:
        """Registers the hooks.

        Args:
            chosen: Nodes to listen at besides leaves and roots; None: all of them.
        """
        nodes, plan, add = self.walked.nodes, self.plan, self._handles.append
        before: Iterable[int] = plan.before
        if chosen is not None:
            before = sorted(({node for node, _ in plan.roots} | chosen) - set(plan.leaves))
        else:
            for i, shared, received in plan.after:
                hook = partial(self._after_node, i if received else -1, shared)
                add(nodes[i].register_hook(hook))
        at_node = self._at_node
        for i in before:
            add(nodes[i].register_prehook(partial(at_node, i)))
        at_leaf = self._at_leaf
        for i in self.leaves:
            add(nodes[i].register_prehook(partial(at_leaf, i)))

    @own_work
    def _at_node(self, i: int, gradients: tuple[Tensor | None, ...]) -> None:
        started = perf_counter_ns()
        try:
            task = _task_id()
            if task != self.task:
                if self.task is not None:
                    return
                self.task = task
            with NO_FUNCTIONS() if not dispatch_modes() else quiet():
                nr = 0
                for gradient in gradients:
                    if gradient is None:
                        self.gradients[i, nr] = None
                    else:
                        self._collector.put(gradient, self.gradients, (i, nr))
                    nr += 1  # noqa: SIM113 (enumerate is slower here)
        except BaseException as error:
            recover(error)
            self.failures += 1
        self.own_ns += perf_counter_ns() - started

    @own_work
    def _at_leaf(self, i: int, gradients: tuple[Tensor | None, ...]) -> None:
        if dispatch_modes():
            gradients = self._copied(gradients)
        self._at_node(i, gradients)
        try:
            if gradients[0] is not None and _task_id() == self.task:
                self.arrived.add(i)
                if self._fills_grad:
                    self._ledger.contributed(self.leaves[i])
        except BaseException as error:
            recover(error)
            self.failures += 1

    def _copied(self, gradients: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
        """Copies of small gradients: a mode would see the engine do it, since we hold them."""
        try:
            with quiet():
                return tuple([_copy(gradient) for gradient in gradients])
        except BaseException as error:
            recover(error)
            self.failures += 1
            return gradients

    @own_work
    def _after_node(
        self,
        i: int,
        shared: list[tuple[int, int]],
        sent: tuple[Tensor | None, ...],
        received: tuple[Tensor | None, ...],
    ) -> None:
        if i >= 0:
            self._at_node(i, received)
        elif self.task is None:
            self.task = _task_id()
        started = perf_counter_ns()
        try:
            if _task_id() != self.task:
                return
            with NO_FUNCTIONS() if not dispatch_modes() else quiet():
                for slot, edge in shared:
                    gradient = sent[slot]
                    if gradient is None:
                        self.contributions[edge] = None
                    else:
                        self._collector.put(gradient, self.contributions, edge)
        except BaseException as error:
            recover(error)
            self.failures += 1
        self.own_ns += perf_counter_ns() - started

    def returned(self, wanted: Iterable[Any], gradients: Iterable[Tensor | None]) -> None:
        """Notes the gradients that ``autograd.grad`` gave back for its inputs."""
        ids = {node: i for i, node in enumerate(self.walked.nodes)}
        leaves = {id(variable): i for i, variable in self.variables}
        for asked, gradient in zip(wanted, gradients, strict=False):
            slot = _slot(asked, ids, leaves)
            if slot is None or slot in self.gradients:
                continue
            if gradient is None:
                self.gradients[slot] = None
            else:
                self.arrived.update({slot[0]} & self.leaves.keys())
                self._collector.put(gradient, self.gradients, slot)

    def raw(self, forward: ForwardRecorder, *, all_shapes: bool = False) -> RawGraph:
        """The graph as plain lists; what is heard later is added to it."""
        nodes, plan = self.walked.nodes, self.plan
        passing = range(len(nodes)) if all_shapes else plan.plumbing
        sequence = [node._sequence_nr() for node in nodes]
        for i in plan.leaves:
            sequence[i] = -1
        return RawGraph(
            plan=plan,
            sequence=sequence,
            shapes={i: tuple(m[0].shape) for i in passing if (m := nodes[i]._input_metadata)},
            leaves=self.leaves,
            windows=forward.windows.of(sequence, plan.ops),
            gradients=self.gradients,
            contributions=self.contributions,
        )

    def close(self) -> None:
        """Removes every hook and lets go of every node."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self.variables.clear()
        release(self.walked.nodes)


def _slot(asked: Any, ids: dict[Any, int], leaves: dict[int, int]) -> tuple[int, int] | None:
    """Where in the graph a tensor or ``GradientEdge`` is that a gradient was asked for."""
    if not isinstance(asked, Tensor):
        found, output_nr = ids.get(asked.node), asked.output_nr
    elif asked.grad_fn is not None:
        found, output_nr = ids.get(asked.grad_fn), asked.output_nr
    else:
        found, output_nr = leaves.get(id(unwrapped(asked))), 0
    return None if found is None else (found, output_nr)


def _copy(gradient: Tensor | None) -> Tensor | None:
    small = type(gradient) is Tensor and gradient.numel() <= SMALL
    return gradient.detach().clone() if small and gradient is not None else gradient


def unwrapped(tensor: Tensor) -> Tensor:
    """The user's tensor behind what ``torch.func`` made of it."""
    while torch._C._functorch.is_functorch_wrapped_tensor(tensor):
        tensor = torch._C._functorch.get_unwrapped(tensor)
    return tensor
