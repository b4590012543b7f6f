"""Enter and leave: everything a capture installs, with every undo on one stack."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import replace
from time import perf_counter_ns
from types import FrameType
from typing import Any

from torch import Tensor

from gradscope.capture.backward import BackwardRun
from gradscope.capture.booking import Booking
from gradscope.capture.build import Builder
from gradscope.capture.ending import (
    environment,
    name_the_rest,
    never_reached,
    scopes,
    script_error,
)
from gradscope.capture.engine import EngineWatch
from gradscope.capture.forward import ForwardMode, ForwardRecorder
from gradscope.capture.leaves import Leaves
from gradscope.capture.modules import ModuleTracker
from gradscope.capture.names import Names
from gradscope.capture.options import CaptureOptions
from gradscope.capture.patches import Functions, Threads
from gradscope.capture.quiet import quiet
from gradscope.capture.schedule import Gallery
from gradscope.capture.source import UserCode, place
from gradscope.capture.stack import walk_limit
from gradscope.capture.stats import Collector
from gradscope.capture.steps import StepRecorder
from gradscope.capture.updates import Ledger
from gradscope.capture.walk import walk
from gradscope.model.graph import Graph, Source
from gradscope.model.trace import Overhead, Trace


class Tracer:
    """Captures everything between ``start`` and ``stop``.

    Args:
        options: What to see.
        target: What runs, for the report.
        argv: Its arguments.
        user_roots: Files or folders that count as the user's code wherever they lie.
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
        self._modules = ModuleTracker(self._user.owns)
        self._collector = Collector()
        self._forward = ForwardRecorder(self._user, self._modules, self._collector)
        self._leaves = Leaves()
        self._ledger = Ledger(self._leaves, self._line, self._hand_line)
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
        )
        self._engine = EngineWatch(self._steps)
        self._started_ns = 0

    def start(self) -> None:
        """Installs everything; on failure nothing stays installed."""
        self._started_ns = perf_counter_ns()
        try:
            self._engine.install(self._undo)
            self._ledger.install(self._undo)
            self._modules.install(self._undo)
            Functions(self._forward).install(self._undo)
            Threads(self._forward).install(self._undo)
            self._undo.enter_context(ForwardMode(self._forward))
        except BaseException:
            self._undo.close()
            raise

    def stop(self, error: BaseException | None = None) -> Trace:
        """Undoes everything and returns what was recorded; never raises on a failed capture.

        Args:
            error: The exception that ended the run, if one did.
        """
        total_ns = perf_counter_ns() - self._started_ns
        frame = sys._getframe(1)
        self._undo.close()
        failed = ""
        graphs: tuple[Graph, ...] = ()
        try:
            graphs = self._finish(frame, error)
        except Exception as failure:
            failed = f"The end of the capture failed: {type(failure).__name__}: {failure}"
        still_deep = self._release_stack()
        steps = sorted(self._booking.steps, key=lambda s: s.index)
        kept = self._gallery.graphs(len(steps))
        return Trace(
            target=self._target,
            argv=self._argv,
            environment=environment(),
            steps=tuple(replace(s, graph=kept.get(s.index)) for s in steps),
            updates=tuple(self._ledger.updates),
            parameters=tuple(leaf.freeze() for leaf in self._leaves),
            forward_graphs=graphs,
            unused_forwards=self._forward.count_unused(),
            script_error=script_error(error, self._user) if error is not None else None,
            overhead=Overhead(total_ns, self._own_ns),
            dropped=self._dropped(),
            notes=tuple(n for n in (failed, still_deep, *self._missing()) if n),
        )

    @property
    def _own_ns(self) -> int:
        return self._steps.own_ns + self._forward.own_ns + self._ledger.own_ns

    def _finish(self, frame: FrameType, error: BaseException | None) -> tuple[Graph, ...]:
        self._ledger.finish()
        with quiet():
            self._booking.settle()
            names = Names().read(scopes(self._user, frame, error))
            name_the_rest(names, self._leaves, self._modules)
            return never_reached(names, self._forward, self._booking, self._builder, self._walked)

    def _walked(self, roots: Any) -> BackwardRun:
        limit = walk_limit(self._options.max_nodes_walked)
        walked = walk(roots, limit, self._steps.deep.raise_limit)
        run = BackwardRun(walked, "ops", self._collector, self._ledger, False)
        run.find_leaves(self._leaves, {})
        return run

    def _release_stack(self) -> str:
        """Restores the stack limit where no deep graph can be alive any more."""
        deep = self._steps.deep
        if not deep.raised:
            return ""
        if self._steps.deep_graph_alive():
            return (
                "The soft stack limit stays raised: a very deep graph is still held, and freeing "
                "it within the old limit could crash the interpreter."
            )
        deep.restore()
        return ""

    def _dropped(self) -> dict[str, int]:
        failures = {
            "captures of a step that failed": self._steps.failures,
            "torch calls that could not be recorded": self._forward.failures,
            "optimizer steps that could not be recorded": self._ledger.failures,
            "leaves beyond the limit": self._leaves.dropped,
        }
        return {**self._collector.dropped, **{k: n for k, n in failures.items() if n}}

    def _missing(self) -> list[str]:
        return [
            f"{name} is missing in this torch: no backward is seen."
            for name in self._engine.missing
        ]

    def _line(self) -> Source | None:
        frame = self._user.innermost(sys._getframe(1))
        return place(frame.f_code, frame.f_lasti) if frame is not None else None

    def _hand_line(self, tensor: Tensor) -> Source | None:
        found = self._forward.leaf_lines.get(id(tensor))
        return place(*found) if found is not None else None
