"""One run of the autograd engine: listen at the nodes of its graph, then let go of it.

NOTE [Hooks]
A hook that refers to a node leaks the whole graph, and one made for each node gives the garbage
collector much to do: so all nodes share a few, which ask the engine where they are. They return
None and never raise. Leaves' ``AccumulateGrad`` nodes are shared between nested runs: a hook acts
only for the graph task it was registered for. Views and transposes get no hook: they receive
exactly what they send. Nor is ``.grad`` read instead of hearing a leaf: hooks of the user's, other
threads and processes may have changed it by the time the run is over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from time import perf_counter_ns
from typing import Any

import torch
from torch import Tensor

from gradscope.capture.dynamo import own_work
from gradscope.capture.hearing import Hearing
from gradscope.capture.hooks import Hooks, slot_of, unwrapped
from gradscope.capture.leaves import Leaf, Leaves
from gradscope.capture.plan import Plan, Plans
from gradscope.capture.quiet import NO_FUNCTIONS, quiet, recover
from gradscope.capture.raw import Heard
from gradscope.capture.readable import is_wrapped
from gradscope.capture.stats import Collector
from gradscope.capture.traits import RawTraits
from gradscope.capture.updates import Ledger
from gradscope.capture.walk import Walked, release

_NOTHING = Walked([], {}, [], [], {}, ())
_task_id: Callable[[], int] = torch._C._current_graph_task_id
_current_node: Callable[[], Any] = torch._C._current_autograd_node


class BackwardRun:
    """What is heard during one run; freed of all nodes by ``close``.

    Args:
        walked: The graph; emptied by ``close``.
        collector: Takes the gradients' statistics.
        ledger: Is told of contributions to leaves.
        fills_grad: Whether the run adds to ``.grad`` (``backward``) or returns gradients.
        plans: Those of earlier graphs.

    Attributes:
        runs_once: Whether the graph is freed by the run.
        variables: The leaf tensors, in the order of ``plan.leaves``; emptied by ``close``.
        leaves: Leaf behind each ``AccumulateGrad``.
        gradients: ``(node, output_nr)`` → numbers of what the node received, once measured; None:
            the engine delivered None.
        arrived: Leaves that received a gradient, measured or not.
        contributions: Edge → the same for what came along the edge alone.
        traits: Looks at the gradients of a graph that is kept.
    """

    def __init__(
        self,
        walked: Walked,
        collector: Collector,
        ledger: Ledger,
        fills_grad: bool,
        plans: Plans | None = None,
    ) -> None:
        self.walked = walked
        self.plan: Plan = (plans or Plans()).find(walked)
        nodes = walked.nodes
        self.variables: list[Tensor] = [nodes[i].variable for i in self.plan.leaves]
        if any(map(is_wrapped, self.variables)):
            self.variables = list(map(unwrapped, self.variables))
        self.own_ns = 0
        self.failures = 0
        self.leaves: dict[int, Leaf] = {}
        self.gradients: dict[tuple[int, int], Heard] = {}
        self.arrived: set[int] = set()
        self.contributions: dict[int, Heard] = {}
        self.traits: RawTraits | None = None
        self._collector = collector
        self._ledger = ledger
        self._fills_grad = fills_grad
        self.runs_once = False
        self.task: int | None = None
        self._hooks = Hooks()
        self._ids = walked.ids
        self._slots = self.plan.slots
        self._listening = self.plan.most
        self._hearing = Hearing(collector, self.gradients, self.contributions)

    def knows_leaves(self, leaves: Leaves) -> bool:
        """Whether every leaf of the graph was met before and its name looked for; takes them."""
        known = leaves.all_known(self.variables)
        if known is None:
            return False
        for leaf, fan_in in zip(known, self.plan.leaves.values(), strict=True):
            if not (leaf.name or leaf.sought):
                return False
            leaf.fan_in = fan_in
        self.leaves = dict(zip(self.plan.leaves, known, strict=True))
        return True

    def find_leaves(self, leaves: Leaves, names: dict[int, str]) -> None:
        """Meets the leaves of the graph."""
        for (i, fan_in), variable in zip(self.plan.leaves.items(), self.variables, strict=True):
            leaf = leaves.get(variable, names.get(id(variable), ""))
            if leaf is not None:
                self.leaves[i] = leaf
                leaf.fan_in = fan_in

    def listen(self, chosen: set[int] | None) -> None:
        """Registers the hooks.

        Args:
            chosen: Nodes to listen at besides leaves and roots; None: all of them.
        """
        nodes, hooks = self.walked.nodes, self._hooks
        before, single = self._before(chosen)
        if chosen is None and self._listening.after:
            hooks.after([nodes[i] for i in self._listening.after], self._after)
        if before:
            hooks.before([nodes[i] for i in before], self._before_node)
        if single:
            at_single = self._at_single if self.traits is None else self._at_kept_node
            hooks.before_single([nodes[i] for i in single], at_single)
        hooks.before([nodes[i] for i in self.leaves], self._at_leaf)

    def _before(self, chosen: set[int] | None) -> tuple[list[int], list[int]]:
        """Nodes to listen at before they run, and those of them where that is cheap."""
        plan = self.plan
        if chosen is None:
            self._listening = plan.all if self.traits is not None else plan.most
            before, single = self._listening.before, self._listening.single
        else:
            asked = sorted(({node for node, _ in plan.roots} | chosen) - plan.leaves.keys())
            before = [i for i in asked if i not in plan.single]
            single = [i for i in asked if i in plan.single]
        return (before, single) if self.runs_once else ([*before, *single], [])

    @own_work
    def _before_node(self, gradients: tuple[Tensor | None, ...]) -> None:
        i = self._ids.get(_current_node())
        if i is not None:
            self._at_node(i, gradients)
            if self.traits is not None:
                self._ask(i, gradients, is_leaf=False)

    @own_work
    def _at_kept_node(self, gradient: Tensor | None) -> None:
        """The same for a node with one output of a graph that is kept."""
        self._before_node((gradient,))

    @own_work
    def _at_node(self, i: int, gradients: tuple[Tensor | None, ...]) -> None:
        started = perf_counter_ns()
        try:
            if self._is_ours(i):
                self._hearing.all(self._slots[i], gradients)
        except BaseException as error:
            recover(error)
            self.failures += 1
        self.own_ns += perf_counter_ns() - started

    def _is_ours(self, i: int) -> bool:
        """Whether the engine's task that the hook at a node is called in is this run.

        It is the one that starts at the roots: other runs call the hooks of shared nodes, too.
        """
        task = _task_id()
        if self.task is None and any(node == i for node, _ in self.plan.roots):
            self.task = task
        return task == self.task

    def _ask(self, i: int, gradients: tuple[Tensor | None, ...], is_leaf: bool) -> None:
        """Has a gradient of a kept graph looked at for its traits."""
        started = perf_counter_ns()
        try:
            if self.traits is None or not gradients or _task_id() != self.task:
                return
            gradient = gradients[0]
            if gradient is None:
                return
            with NO_FUNCTIONS():
                asked = is_leaf or gradient.dtype is torch.float16
            if asked:
                with quiet():
                    self.traits.gradient(i, gradient, is_leaf)
        except BaseException as error:
            recover(error)
            self.failures += 1
        self.own_ns += perf_counter_ns() - started

    @own_work
    def _at_single(self, gradient: Tensor | None) -> None:
        """The same for a node with one output of another graph."""
        started = perf_counter_ns()
        try:
            i = self._ids.get(_current_node())
            if i is not None and (_task_id() == self.task or self._is_ours(i)):
                slot, hearing = self._slots[i], self._hearing
                if not hearing.nodes.hold(gradient, slot):
                    hearing.other(hearing.nodes, slot, gradient)
        except BaseException as error:
            recover(error)
            self.failures += 1
        self.own_ns += perf_counter_ns() - started

    @own_work
    def _at_leaf(self, gradients: tuple[Tensor | None, ...]) -> None:
        started = perf_counter_ns()
        try:
            i = self._ids.get(_current_node())
            if i is not None and (_task_id() == self.task or self._is_ours(i)):
                self._received(i, gradients[0])
        except BaseException as error:
            recover(error)
            self.failures += 1
        self.own_ns += perf_counter_ns() - started

    def _received(self, i: int, gradient: Tensor | None) -> None:
        if gradient is not None:
            self.arrived.add(i)
            if self._fills_grad:
                self._ledger.contributed(self.leaves[i])
        slot, hearing = self._slots[i], self._hearing
        if not hearing.leaves.hold(gradient, slot):
            hearing.other(hearing.leaves, slot, gradient)
        if self.traits is not None:
            self._ask(i, (gradient,), is_leaf=True)

    @own_work
    def _after(self, sent: tuple[Tensor | None, ...], received: tuple[Tensor | None, ...]) -> None:
        i = self._ids.get(_current_node())
        if i is None:
            return
        edges, is_received = self._listening.after.get(i, ([], False))
        if is_received:
            self._at_node(i, received)
        started = perf_counter_ns()
        try:
            if self._is_ours(i):
                self._hearing.along(edges, sent)
        except BaseException as error:
            recover(error)
            self.failures += 1
        self.own_ns += perf_counter_ns() - started

    def hand_over(self, wanted: bool) -> None:
        """After the run: has what was heard measured, or held until that is known to be wanted."""
        self._hearing.hand_over(wanted)

    def returned(self, wanted: Iterable[Any], gradients: Iterable[Tensor | None]) -> None:
        """Notes the gradients that ``autograd.grad`` gave back for its inputs."""
        variables = zip(self.plan.leaves, self.variables, strict=True)
        leaves = {id(variable): i for i, variable in variables}
        heard = self._hearing.slots()
        for asked, gradient in zip(wanted, gradients, strict=False):
            slot = slot_of(asked, self._ids, leaves)
            if slot is None or slot in heard:
                continue
            if gradient is None:
                self.gradients[slot] = None
            else:
                self.arrived.update({slot[0]} & self.leaves.keys())
                self._collector.put(gradient, self.gradients, slot)

    def close(self) -> None:
        """Removes every hook and lets go of every node."""
        self._hooks.remove()
        self.variables.clear()
        walked, self.walked = self.walked, _NOTHING
        self._ids = _NOTHING.ids
        release(walked)
