"""``gradscope.trace()``: the handle of a traced block. Imports torch only when it starts."""

from __future__ import annotations

from contextlib import ContextDecorator, suppress
from functools import cached_property
from os import PathLike
from types import TracebackType
from typing import TYPE_CHECKING

from gradscope.errors import UsageError

if TYPE_CHECKING:
    from networkx import MultiDiGraph

    from gradscope.capture.options import CaptureOptions
    from gradscope.capture.tracer import Tracer
    from gradscope.model.finding import Finding, Report
    from gradscope.model.trace import Trace


_PRINTED = ("text", "markdown", "html", "json", "dot")


class Session(ContextDecorator):
    """Captures a block; afterwards answers for it.

    One session captures one block at a time. Entered again, as a decorator does at every call,
    it answers for the last block.
    """

    def __init__(self, options: CaptureOptions) -> None:
        self._options = options
        self._tracer: Tracer | None = None
        self._trace: Trace | None = None

    def __enter__(self) -> Session:
        from gradscope.capture.tracer import Tracer

        if self._tracer is not None:
            raise UsageError("this trace is already running; call gradscope.trace() for another.")
        self._trace = None
        self.__dict__.pop("_report", None)
        tracer = Tracer(self._options)
        tracer.start()
        self._tracer = tracer
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stops capturing; an exception goes on as it came, without gradscope's frames in it."""
        tracer, self._tracer = self._tracer, None
        if tracer is None:
            return
        if error is not None:
            from gradscope.crash import clean_traceback

            with suppress(Exception):
                clean_traceback(error)
        self._trace = tracer.stop(error)

    @property
    def trace(self) -> Trace:
        """What was recorded.

        Raises:
            UsageError: The block has not ended yet.
        """
        if self._trace is None:
            raise UsageError("nothing is recorded yet: the traced block has to end first.")
        return self._trace

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is wrong with the gradients, worst first; empty when nothing is."""
        return self._report.findings

    def report(self, format: str = "text") -> str:
        """The report as a string.

        Args:
            format: ``text``, ``markdown``, ``html``, ``json`` or ``dot``.

        Raises:
            UsageError: Another format, or the block has not ended yet.
        """
        from gradscope.output import OutputOptions, render

        if format not in _PRINTED:
            raise UsageError(f"format {format!r} is not one of {', '.join(_PRINTED)}.")
        return render(self._report, format, OutputOptions()).decode()

    def render(
        self, path: str | PathLike[str], *, max_nodes: int = 150, depth: int | None = None
    ) -> None:
        """Writes the picture or report that the suffix of ``path`` stands for.

        Args:
            path: ``.html``, ``.svg``, ``.png``, ``.pdf``, ``.dot``, ``.md``, ``.txt`` or ``.json``.
            max_nodes: Boxes of the picture, about.
            depth: Fold modules below this depth.

        Raises:
            UsageError: ``path`` is not usable, or the block has not ended yet.
            GradscopeError: There is no graph to draw, or Graphviz could not draw it.
        """
        from gradscope.output import OutputOptions, save

        save(self._report, path, OutputOptions(depth=depth, max_nodes=max_nodes))

    def networkx(self, step: int = -1) -> MultiDiGraph:
        """The graph of one kept step for networkx; see ``gradscope.analysis.export``.

        Args:
            step: Position among the steps whose whole graph was kept; the last one by default.

        Raises:
            UsageError: No graph was kept at that position, or the block has not ended yet.
        """
        from gradscope.analysis.export import to_networkx

        graphs = [graph for _, graph in self.trace.graphs] or list(self.trace.forward_graphs)
        if not -len(graphs) <= step < len(graphs):
            raise UsageError(f"there is no graph {step}: {len(graphs)} graphs were kept.")
        return to_networkx(graphs[step])

    @cached_property
    def _report(self) -> Report:
        from gradscope.diagnose.engine import diagnose

        return diagnose(self.trace)
