"""Before and after every engine run: walk, listen, and hand over what was heard."""

from __future__ import annotations

import sys
import threading
from time import perf_counter_ns
from types import FrameType
from typing import Any

import torch
from torch import Tensor

from gradscope.capture.backward import BackwardRun
from gradscope.capture.booking import Booking, Pending
from gradscope.capture.constants import read_constants
from gradscope.capture.dynamo import own_work
from gradscope.capture.engine import EngineCall
from gradscope.capture.failing import Failing
from gradscope.capture.forward import ForwardRecorder, counter
from gradscope.capture.labels import Labels
from gradscope.capture.leaves import Leaves
from gradscope.capture.lists import raw_graph
from gradscope.capture.options import CaptureOptions
from gradscope.capture.plan import Plans
from gradscope.capture.quiet import quiet, recover, uncollected
from gradscope.capture.saved import read_saved
from gradscope.capture.schedule import Gallery, Schedule
from gradscope.capture.snapshot import Snapshot
from gradscope.capture.source import UserCode, message_of, place
from gradscope.capture.stack import DeepStack, walk_limit
from gradscope.capture.stats import Collector
from gradscope.capture.traits import read_traits
from gradscope.capture.updates import Ledger
from gradscope.capture.walk import DEEP, root_edges, walk

TINY = 8  # nodes of a graph that may hang on nothing but a number made into a leaf


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
        labels: Labels,
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
        self._labels = labels
        self._plans = Plans()
        self.failing = Failing(forward.mutations, labels)
        self._active: list[Pending] = []
        self._lock = threading.RLock()
        self._count = 0
        self._limits: dict[int, int] = {}  # by thread
        self._before = (perf_counter_ns(), 0)  # end of the last step, own time up to it
        self._set_level()
        forward.on_deep = self._touched_deep

    @property
    def running(self) -> int:
        """Engine runs that have begun and not ended."""
        return len(self._active)

    @own_work
    def begin(self, call: EngineCall) -> Pending | None:
        """Walks the graph and listens to it; None when that failed (counted)."""
        started = perf_counter_ns()
        pending = None
        try:
            with uncollected(), self._lock, quiet():
                pending = self._begin(call, sys._getframe(2))
            pending.made_before = counter()
            pending.started_ns = perf_counter_ns()
            pending.own_ns = pending.started_ns - started
        except BaseException as error:
            self._forget(pending)
            recover(error)
            self.failures += 1
            return None
        return pending

    @own_work
    def end(self, begun: Pending | None, gradients: object, error: BaseException | None) -> None:
        """Stops listening and books the step."""
        if begun is None:
            return
        started = perf_counter_ns()
        begun.backward_ns = started - begun.started_ns
        begun.error = None if error is None else f"{type(error).__name__}: {message_of(error)}"
        with uncollected():
            try:
                with self._lock, quiet():
                    self._end(begun, gradients)
            except BaseException as failure:
                recover(failure)
                self.failures += 1
            finally:
                self._forget(begun)
        self.failures += begun.run.failures
        self.own_ns += begun.own_ns + begun.run.own_ns + perf_counter_ns() - started

    def _forget(self, pending: Pending | None) -> None:
        """Lets go of the graph and of the user's tensors."""
        if pending is None:
            return
        try:
            with self._lock:
                if pending in self._active:
                    self._active.remove(pending)
            pending.call.outputs = pending.call.inputs = ()
            pending.run.close()
        except BaseException as error:
            recover(error)
            self.failures += 1

    def _touched_deep(self, node: Any) -> None:
        self.deep.raise_limit()
        self.deep.watch([node])

    def _begin(self, call: EngineCall, frame: FrameType) -> Pending:
        level = self._schedule.level
        walked = walk(root_edges(call.outputs), self._limit(), self.deep.raise_limit)
        user = self._user.innermost(frame)
        place_of_call = (user.f_code, user.f_lasti) if user is not None else None
        pending = Pending(
            index=self._count,
            level=level,
            call=call,
            place=place_of_call,
            source=place(*place_of_call) if place_of_call is not None else None,
            nested_in=self._outer(),
            thread=threading.current_thread().name,
            run=BackwardRun(walked, self._collector, self._ledger, call.fills_grad, self._plans),
            node_count=len(walked.nodes) + walked.truncated,
        )
        self._count += 1
        self._forward.cuts.last_step = self._forward.mutations.last_step = pending.index
        self._forward.ungraphed.last_step = pending.index
        try:
            self._active.append(pending)
            self._prepare(pending, frame)
        except BaseException:
            self._forget(pending)
            raise
        return pending

    def _limit(self) -> int:
        """Nodes to walk at most from this thread."""
        thread = threading.get_ident()
        limit = self._limits.get(thread)
        if limit is None:
            limit = self._limits[thread] = walk_limit(self._options.max_nodes_walked)
        return limit

    def _outer(self) -> int | None:
        """The step during which this thread begins another, told by the engine's task."""
        task = torch._C._current_graph_task_id()
        if task == -1:
            return None
        same = [p.index for p in self._active if p.run.task == task]
        return same[-1] if same else next((p.index for p in reversed(self._active)), None)

    def _prepare(self, pending: Pending, frame: FrameType) -> None:
        run = pending.run
        outputs = [o for o in pending.call.outputs if isinstance(o, Tensor)]
        names = None
        if not run.knows_leaves(self._leaves):
            names = self._labels.scan(frame)
            run.find_leaves(self._leaves, names.tensors)
            for leaf in run.leaves.values():
                leaf.sought = True
        if pending.node_count <= TINY and all(x.kind == "input" for x in run.leaves.values()):
            self._forward.cuts.without_graph(frame)
        else:
            self._forward.cuts.with_graph(pending.place, frame)
        if pending.level != "params":
            pending.raw = raw_graph(run, self._forward)
            pending.roots = self._labels.label(pending.raw, run, outputs, names, frame)
            pending.chosen = self._gallery.choose(pending.index, pending.source, pending.node_count)
            if pending.chosen and pending.level == "ops":
                read_saved(pending.raw, run.walked.nodes, self._collector)
                read_constants(pending.raw, run.walked.nodes)
                pending.raw.traits = run.traits = read_traits(pending.raw, run.walked.nodes)
        if len(run.walked.nodes) >= DEEP:
            self.deep.watch(run.walked.nodes)
        if pending.call.fills_grad:
            self._ledger.look(run.leaves.values())
        self._measure_before(pending, outputs)
        run.runs_once = not pending.call.keep_graph
        run.listen(self._chosen(pending))

    def _measure_before(self, pending: Pending, outputs: list[Tensor]) -> None:
        if outputs and outputs[0].numel() == 1 and not outputs[0].is_complex():
            pending.loss = self._collector.add_number(outputs[0])
        if pending.raw is not None:
            collector = self._collector if pending.chosen else None
            pending.raw.leaf_values = Snapshot(pending.run.leaves, collector)

    def _chosen(self, pending: Pending) -> set[int] | None:
        """Nodes to listen at: all, only leaves, or the last node of every module call."""
        if pending.level == "ops":
            return None
        if pending.level == "params":
            return set()
        last: dict[int, tuple[int, int]] = {}
        raw = pending.raw
        windows = zip(raw.sequence, raw.windows, strict=True) if raw is not None else ()
        for i, (number, window) in enumerate(windows):
            call = window.call if window is not None else None
            while call is not None:
                last[call.serial] = max(last.get(call.serial, (-1, -1)), (number, i))
                call = call.parent
        return {i for _, i in last.values()}

    def _end(self, pending: Pending, gradients: object) -> None:
        run = pending.run
        if pending.error is None:
            self.failing.remember(pending)
        else:
            pending.failure = self.failing.explain(pending, sys._getframe(1))
        made = counter()
        if pending.call.create_graph and made != pending.made_before:
            function = torch.autograd.backward if pending.call.fills_grad else torch.autograd.grad
            self._forward.note_engine(function, pending.made_before, made, pending.place)
        if isinstance(gradients, tuple | list) and not pending.call.fills_grad:
            run.returned(pending.call.inputs, gradients)
        run.hand_over(wanted=pending.chosen)
        if pending.raw is not None:
            raw, keep = pending.raw, pending.call.keep_graph
            self._forward.windows.used_by(raw.sequence, raw.ops, keep)
        if run.walked.truncated:
            self._collector.drop("graphs that were not walked to their end")
            self._forward.windows.mark_used()
        self._ledger.last_step = pending.index
        if pending.call.fills_grad:
            self._ledger.remember(run.leaves.values())
        self._booking.add(pending)
        self._forward.windows.age(counter())
        self._advance(pending)

    def _advance(self, pending: Pending) -> None:
        now = perf_counter_ns()
        own = self.own_ns + self._forward.own_ns + self._ledger.own_ns
        own += pending.own_ns + pending.run.own_ns
        then, own_then = self._before
        self._schedule.advance(pending.index, own - own_then, now - then, self._booking.flagged)
        self._before = (now, own)
        self._set_level()
        if self._options.on_step is not None:
            self._options.on_step(pending.index)

    def _set_level(self) -> None:
        self._forward.recording = self._schedule.level != "params"
