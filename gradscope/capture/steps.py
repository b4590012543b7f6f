"""Before and after every engine run: walk, listen, and hand over what was heard."""

from __future__ import annotations

import sys
import threading
import weakref
from time import perf_counter_ns
from types import FrameType

import torch
from torch import Tensor

from gradscope.capture.backward import BackwardRun
from gradscope.capture.booking import Booking, Pending
from gradscope.capture.engine import EngineCall
from gradscope.capture.forward import ForwardRecorder
from gradscope.capture.labels import Labels
from gradscope.capture.leaves import Leaves
from gradscope.capture.options import CaptureOptions
from gradscope.capture.quiet import no_collection, quiet
from gradscope.capture.schedule import Gallery, Schedule
from gradscope.capture.source import UserCode, place
from gradscope.capture.stack import DeepStack, walk_limit
from gradscope.capture.stats import SMALL, Collector
from gradscope.capture.updates import Ledger
from gradscope.capture.walk import DEEP, root_edges, walk


class StepRecorder:
    """Listens to engine runs and books a step for each.

    Attributes:
        own_ns: Time spent here, hooks included.
        failures: Captures that raised; the user's run went on.
    """

    def __init__(
        self,
        options: CaptureOptions,
        user: UserCode,
        forward: ForwardRecorder,
        collector: Collector,
        leaves: Leaves,
        ledger: Ledger,
        booking: Booking,
        gallery: Gallery,
    ) -> None:
        self.own_ns = 0
        self.failures = 0
        self.deep = DeepStack()
        self._schedule = Schedule(options)
        self._options = options
        self._user = user
        self._forward = forward
        self._collector = collector
        self._leaves = leaves
        self._ledger = ledger
        self._booking = booking
        self._gallery = gallery
        self._labels = Labels(user, leaves)
        self._active: list[Pending] = []
        self._lock = threading.RLock()
        self._count = 0
        self._deep_results: list[weakref.ref[Tensor]] = []
        self._before = (perf_counter_ns(), 0)  # end of the last step, own time up to it
        self._set_level()
        forward.on_deep = self.deep.raise_limit

    def begin(self, call: EngineCall) -> Pending | None:
        """Walks the graph and listens to it; None when that failed (counted)."""
        started = perf_counter_ns()
        try:
            with self._lock, quiet(), no_collection():
                pending = self._begin(call, sys._getframe(2))
        except Exception:
            self.failures += 1
            return None
        pending.started_ns = perf_counter_ns()
        pending.own_ns = pending.started_ns - started
        return pending

    def end(self, begun: Pending | None, gradients: object, error: BaseException | None) -> None:
        """Stops listening and books the step."""
        if begun is None:
            return
        started = perf_counter_ns()
        begun.backward_ns = started - begun.started_ns
        begun.error = None if error is None else f"{type(error).__name__}: {error}"
        try:
            with self._lock, quiet(), no_collection():
                self._end(begun, gradients)
        except Exception:
            self.failures += 1
        finally:
            begun.run.close()
            if begun in self._active:
                self._active.remove(begun)
        self.failures += begun.run.failures
        self.own_ns += begun.own_ns + begun.run.own_ns + perf_counter_ns() - started

    def deep_graph_alive(self) -> bool:
        """Whether a result of a deep graph may still be held by the user."""
        return any(ref() is not None for ref in self._deep_results)

    def _begin(self, call: EngineCall, frame: FrameType) -> Pending:
        level = self._schedule.level
        limit = walk_limit(self._options.max_nodes_walked)
        walked = walk(root_edges(call.outputs), limit, self.deep.raise_limit)
        user = self._user.innermost(frame)
        pending = Pending(
            index=self._count,
            level=level,
            call=call,
            source=place(user.f_code, user.f_lasti) if user else None,
            nested_in=self._active[-1].index if self._active and _inside_backward() else None,
            thread=threading.current_thread().name,
            run=BackwardRun(walked, level, self._collector, self._ledger, call.fills_grad),
            node_count=len(walked.nodes) + walked.truncated,
        )
        self._count += 1
        self._active.append(pending)
        try:
            self._prepare(pending, frame)
        except Exception:
            self._active.remove(pending)
            pending.run.close()
            raise
        return pending

    def _prepare(self, pending: Pending, frame: FrameType) -> None:
        run = pending.run
        outputs = [o for o in pending.call.outputs if isinstance(o, Tensor)]
        names = self._labels.for_new_leaves(run.walked, frame)
        run.find_leaves(self._leaves, names.tensors if names is not None else {})
        if pending.level != "params":
            pending.raw = run.raw(self._forward)
            pending.roots = self._labels.label(pending.raw, run, outputs, names, frame)
            pending.chosen = self._gallery.choose(pending.index)
        if len(run.walked.nodes) >= DEEP:
            self._remember_deep(outputs, frame)
        if pending.call.fills_grad:
            self._ledger.look(run.leaves.values())
        self._measure_before(pending, outputs)
        run.listen(self._chosen(pending))

    def _remember_deep(self, outputs: list[Tensor], frame: FrameType) -> None:
        results = [t for _, t in self._labels.scan(frame).results] + outputs
        self._deep_results = [ref for ref in self._deep_results if ref() is not None]
        self._deep_results += [weakref.ref(t) for t in results]

    def _measure_before(self, pending: Pending, outputs: list[Tensor]) -> None:
        if outputs and outputs[0].numel() == 1 and not outputs[0].is_complex():
            pending.loss = self._collector.add_copy(outputs[0])
        if pending.raw is None:
            return
        for node, leaf in pending.run.leaves.items():
            tensor = leaf.ref()
            if tensor is not None and (tensor.numel() <= SMALL or pending.chosen):
                ticket = self._collector.add_copy(tensor)
                pending.values[node] = pending.raw.tickets[node, 0] = ticket

    def _chosen(self, pending: Pending) -> set[int] | None:
        """Nodes to listen at: all, only leaves, or the last node of every module call."""
        if pending.level == "ops":
            return None
        if pending.level == "params":
            return set()
        last: dict[int, tuple[int, int]] = {}
        for i, node in enumerate(pending.run.walked.nodes):
            number = node._sequence_nr()
            window = self._forward.window(number)
            call = window.call if window is not None else None
            while call is not None:
                last[call.serial] = max(last.get(call.serial, (-1, -1)), (number, i))
                call = call.parent
        return {i for _, i in last.values()}

    def _end(self, pending: Pending, gradients: object) -> None:
        run = pending.run
        if isinstance(gradients, tuple | list) and not pending.call.fills_grad:
            run.returned(root_edges(pending.call.inputs), gradients)
        if pending.raw is not None:
            self._forward.used_by(pending.raw.sequence, pending.call.keep_graph)
        self._ledger.last_step = pending.index
        if pending.call.fills_grad:
            self._ledger.remember(run.leaves.values())
        self._booking.add(pending)
        self._booking.forget(self._forward.age())
        self._advance(pending)

    def _advance(self, pending: Pending) -> None:
        now = perf_counter_ns()
        own = self.own_ns + self._forward.own_ns + self._ledger.own_ns
        own += pending.own_ns + pending.run.own_ns
        then, own_then = self._before
        self._schedule.advance(pending.index, own - own_then, now - then, self._booking.flagged)
        self._before = (now, own)
        self._set_level()

    def _set_level(self) -> None:
        self._forward.recording = self._schedule.level != "params"


def _inside_backward() -> bool:
    return torch._C._current_graph_task_id() != -1
