"""Enter and leave: everything a capture installs, with every undo on one stack."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import replace
from time import perf_counter_ns
from types import FrameType
from typing import Any, TypeVar

from torch import Tensor

from gradscope.capture.backward import BackwardRun
from gradscope.capture.booking import Booking
from gradscope.capture.build import Builder
from gradscope.capture.calls import Calls
from gradscope.capture.comments import suppressions
from gradscope.capture.compiled import CompiledCalls, take_off
from gradscope.capture.ending import (
    environment,
    frames_at_end,
    main_variables,
    measure_leaves,
    name_the_rest,
    never_reached,
)
from gradscope.capture.engine import EngineWatch
from gradscope.capture.forked import retire_in_children
from gradscope.capture.forward import ForwardMode, ForwardRecorder
from gradscope.capture.hooks import without_handles
from gradscope.capture.labels import Labels, user_frames
from gradscope.capture.leaves import Leaves
from gradscope.capture.loop import LoopCalls
from gradscope.capture.modules import ModuleTracker
from gradscope.capture.names import Names
from gradscope.capture.options import CaptureOptions
from gradscope.capture.patches import Functions, Threads
from gradscope.capture.pause import Pause
from gradscope.capture.printed import PrintedTracebacks
from gradscope.capture.quiet import let_pass, quiet
from gradscope.capture.raised import script_error
from gradscope.capture.schedule import Gallery
from gradscope.capture.so_far import SoFar
from gradscope.capture.source import UserCode, forget, message_of, place
from gradscope.capture.stack import walk_limit
from gradscope.capture.stats import Collector
from gradscope.capture.steps import StepRecorder
from gradscope.capture.updates import Ledger
from gradscope.capture.verify import FunctionWatch
from gradscope.capture.walk import DEEP, walk
from gradscope.capture.warned import Warnings
from gradscope.capture.within import InsideEngine
from gradscope.model.graph import Graph, Source
from gradscope.model.trace import FAILED_CAPTURES, Overhead, Trace

T = TypeVar("T")


class Tracer:
    """Captures everything between ``start`` and ``stop``.

    Args:
        options: What to see.
        target: What runs, for the report.
        argv: Its arguments.
        user_roots: Files or folders that count as the user's code wherever they lie.

    Attributes:
        so_far: Gives the trace while the recording goes on.
    """

    def __init__(
        self,
        options: CaptureOptions | None = None,
        *,
        target: str = "trace()",
        argv: tuple[str, ...] = (),
        user_roots: Iterable[str] = (),
    ) -> None:
        self._options = options or CaptureOptions()
        self._target = target
        self._argv = argv
        self._undo = ExitStack()
        self._user = UserCode(user_roots)
        self._modules = ModuleTracker(self._user.owns, self._names_now)
        self._collector = Collector()
        self._forward = ForwardRecorder(self._user, self._modules, self._collector)
        self._leaves = Leaves()
        self._ledger = Ledger(self._leaves, self._line, self._hand_line)
        self._calls = Calls(self._ledger, self._collector, self._line)
        self._loop = LoopCalls(self._calls, self._ledger.optimizers, self._leaves)
        self._forward.cuts.tell(self._calls)
        self._builder = Builder()
        self._gallery = Gallery(self._options, self._builder)
        self._booking = Booking(self._collector, self._ledger, self._gallery)
        self._steps = StepRecorder(
            self._options,
            self._user,
            self._forward,
            self._collector,
            self._leaves,
            self._ledger,
            self._booking,
            self._gallery,
            Labels(self._user, self._leaves, self._modules),
        )
        self.so_far = SoFar(
            target,
            argv,
            recorder=self._steps,
            booking=self._booking,
            gallery=self._gallery,
            ledger=self._ledger,
            leaves=self._leaves,
            calls=self._calls,
            forward=self._forward,
            user=self._user,
        )
        self._verify = FunctionWatch()
        self._pause = Pause(self._forward)
        self._warnings = Warnings()
        self._tracebacks = PrintedTracebacks(self._user.owns)
        self._engine = EngineWatch(self._steps, self._during)
        self._compiled = CompiledCalls(self._forward, self._modules)
        self._started_ns = 0
        self._failed: list[str] = []

    def start(self) -> None:
        """Installs everything; on failure nothing stays installed."""
        self._started_ns = perf_counter_ns()
        forget()
        try:
            self._warnings.install(self._undo)
            self._tracebacks.install(self._undo)
            retire_in_children(self)
            self._undo.callback(self.retire)
            self._undo.callback(take_off, self._forward)  # what an interrupt may have left there
            self._engine.install(self._undo)
            self._ledger.install(self._undo)
            self._loop.install(self._undo)
            self._modules.install(self._undo)
            self._compiled.install(self._undo)
            if self._options.verify_functions:
                self._verify.install(self._undo)
            Functions(self._forward).install(self._undo)
            without_handles(self._undo)
            Threads(self._forward).install(self._undo)
            self._undo.enter_context(ForwardMode(self._forward))
            self._pause.install(self._undo)
        except BaseException:
            self._undo.close()
            raise

    def retire(self) -> None:
        """Sees nothing more, whatever of it is still installed somewhere."""
        self._forward.retire()
        self._engine.retire()
        self._ledger.retire()
        self._loop.retire()

    def stop(self, error: BaseException | None = None) -> Trace:
        """Undoes everything and returns what was recorded; never raises on a failed capture.

        Args:
            error: The exception that ended the run, if one did.
        """
        total_ns = perf_counter_ns() - self._started_ns
        frame = sys._getframe(1)
        self._attempt(self._undo.close)
        graphs = self._finish(frame, error)
        still_deep = self._attempt(self._release_stack)
        steps = sorted(self._booking.steps, key=lambda s: s.index)
        with quiet():
            kept = self._attempt(lambda: self._gallery.graphs(len(steps))) or {}
        return Trace(
            target=self._target,
            argv=self._argv,
            environment=self._attempt(environment) or {},
            steps=tuple(replace(s, graph=kept.get(s.index)) for s in steps),
            updates=tuple(self._ledger.updates),
            parameters=self._attempt(lambda: tuple(leaf.freeze() for leaf in self._leaves)) or (),
            forward_graphs=graphs,
            unused_forwards=self._attempt(self._forward.windows.count_unused) or 0,
            script_error=self._attempt(lambda: script_error(error, self._user)),
            overhead=Overhead(total_ns, self._own_ns),
            dropped=self._attempt(self._dropped) or {},
            optimizers=self._attempt(self._ledger.optimizers.freeze) or (),
            calls=self._attempt(self._calls.freeze) or (),
            cuts=self._attempt(lambda: self._forward.cuts.freeze(self._leaves)) or (),
            mutations=self._attempt(self._forward.mutations.freeze) or (),
            functions=self._attempt(lambda: self._verify.checks(error)) or (),
            suppressions=self._attempt(lambda: suppressions(self._user.files)) or (),
            notes=tuple(n for n in (*self._failed, still_deep, *self._missing()) if n),
        )

    @property
    def _own_ns(self) -> int:
        forward, ledger = self._forward, self._ledger
        seen = (forward, forward.cuts, forward.mutations)
        parts = (self._steps, *seen, ledger, ledger.optimizers, self._calls)
        return sum(part.own_ns for part in parts)

    def _attempt(self, part: Callable[[], T]) -> T | None:
        """One part of the end; when it fails, the others still have their turn."""
        try:
            return part()
        except BaseException as failure:
            let_pass(failure)
            reason = f"{type(failure).__name__}: {message_of(failure)}"
            self._failed.append(f"A part of the end of the capture failed: {reason}.")
            return None

    def _finish(self, frame: FrameType, error: BaseException | None) -> tuple[Graph, ...]:
        self._attempt(self._ledger.finish)
        with quiet():
            self._attempt(self._booking.finish)
            names = self._attempt(lambda: self._names_at_end(frame, error)) or Names()
            self._attempt(lambda: name_the_rest(names, self._leaves, self._modules))
            self._attempt(lambda: self._modules.holders.tell(self._leaves))
            self._attempt(lambda: self._forward.uses.tell(self._leaves))
            self._attempt(lambda: measure_leaves(self._leaves, self._collector, self._forward))
            graphs = self._attempt(
                lambda: never_reached(names, self._forward, self._builder, self._walked)
            )
        return graphs or ()

    def _during(self) -> InsideEngine:
        return InsideEngine(self._forward, self._pause.put_back)

    def _names_at_end(self, frame: FrameType, error: BaseException | None) -> Names:
        others = [*main_variables(), *self._modules.names()]
        return Names(self._user.owns).scan(frames_at_end(self._user, frame, error), others)

    def _names_now(self) -> Names:
        """What the user's running frames call things."""
        with quiet():
            return Names(self._user.owns).scan(user_frames(self._user, sys._getframe(1)))

    def _walked(self, roots: Any) -> BackwardRun:
        deep = self._steps.deep
        limit = walk_limit(self._options.max_nodes_walked)
        walked = walk(roots, limit, deep.raise_limit)
        if len(walked.nodes) >= DEEP:
            deep.watch(walked.nodes)
        run = BackwardRun(walked, self._collector, self._ledger, False)
        run.find_leaves(self._leaves, {})
        return run

    def _release_stack(self) -> str:
        """Restores the stack limit where no deep graph can be alive any more."""
        deep = self._steps.deep
        if not deep.raised:
            return ""
        if deep.is_needed:
            return (
                "The soft stack limit stays raised: a very deep graph is still held, and freeing "
                "it within the old limit could crash the interpreter."
            )
        deep.restore()
        return ""

    def _dropped(self) -> dict[str, int]:
        failures = {
            FAILED_CAPTURES: self._steps.failures + self._engine.failures,
            "steps whose numbers could not be read": self._booking.failures,
            "backwards that were still running at the end": self._steps.running,
            "torch calls that could not be recorded": self._forward.failures,
            "calls without a graph that could not be noted": self._forward.cuts.failures,
            "lines that cut the graph beyond the limit": self._forward.cuts.dropped,
            "changes in place that could not be noted": self._forward.mutations.failures,
            "errors of the engine that could not be explained": self._steps.failing.failures,
            "module calls that could not be followed": self._modules.failures,
            "compiled calls that could not be left alone": self._compiled.failures,
            "optimizer steps that could not be left alone": self._pause.failures,
            "optimizer steps that could not be recorded": self._ledger.failures,
            "optimizers that could not be looked at": self._ledger.optimizers.failures,
            "optimizers beyond the limit": self._ledger.optimizers.dropped,
            "calls of the training loop that could not be noted": self._loop.failures,
            "calls of the training loop beyond the limit": self._calls.dropped,
            "custom Functions that could not be kept for their check": self._verify.failures,
            "warnings whose line could not be told": self._warnings.failures,
            "tracebacks that show gradscope's frames": self._tracebacks.failures,
            "leaves beyond the limit": self._leaves.dropped,
            "parts of the end of the capture that failed": len(self._failed),
        }
        return {**self._collector.dropped, **{k: n for k, n in failures.items() if n}}

    def _missing(self) -> list[str]:
        return [
            f"{name} is missing in this torch: no backward is seen."
            for name in self._engine.missing
        ]

    def _line(self, frame: FrameType | None = None) -> Source | None:
        frame = self._user.innermost(frame or sys._getframe(1))
        return place(frame.f_code, frame.f_lasti) if frame is not None else None

    def _hand_line(self, tensor: Tensor) -> Source | None:
        found = self._forward.leaf_lines.get(id(tensor))
        return place(*found) if found is not None else None
