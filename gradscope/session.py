"""``gradscope.trace()``: the handle of a traced block. Imports torch only when it starts."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import ContextDecorator, nullcontext, suppress
from functools import cached_property, wraps
from os import PathLike
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from gradscope.errors import UsageError

if TYPE_CHECKING:
    from networkx import MultiDiGraph

    from gradscope.capture.options import CaptureOptions
    from gradscope.capture.tracer import Tracer
    from gradscope.flow_result import FlowResult
    from gradscope.integrations.display import Picture
    from gradscope.model.finding import Finding, Report
    from gradscope.model.trace import Trace


F = TypeVar("F", bound=Callable[..., Any])


class RepresentationPrinter(Protocol):
    """What IPython hands to ``_repr_pretty_``."""

    def text(self, text: str) -> None:
        """Prints it."""


_PRINTED = ("text", "markdown", "html", "json", "dot")


class Session(ContextDecorator):
    """Captures a block; afterwards answers for it.

    One session captures one block at a time. Entered again, as a decorator does at every call,
    it answers for the last block. A decorated function that calls itself is one block.
    """

    def __init__(
        self,
        options: CaptureOptions,
        *,
        target: str = "trace()",
        select: tuple[str, ...] = (),
        ignore: tuple[str, ...] = (),
    ) -> None:
        self._options = options
        self._target = target
        self._rules = (select, ignore)
        self._tracer: Tracer | None = None
        self._trace: Trace | None = None

    def __call__(self, func: F) -> F:
        """Decorates a function; each outermost call of it is captured.

        Raises:
            UsageError: What the function does happens after its call: it is a generator or async.
        """
        later = (
            inspect.isgeneratorfunction,
            inspect.iscoroutinefunction,
            inspect.isasyncgenfunction,
        )
        if any(is_later(func) for is_later in later):
            raise UsageError(
                f"{func.__name__}() runs after its call has returned, so a decorator sees nothing "
                "of it; use `with gradscope.trace()` inside."
            )

        @wraps(func)
        def traced(*args: Any, **kwargs: Any) -> Any:
            with self if self._tracer is None else nullcontext():
                return func(*args, **kwargs)

        return cast("F", traced)

    def __enter__(self) -> Session:
        from gradscope.capture.tracer import Tracer

        if self._tracer is not None:
            raise UsageError("this trace is already running; call gradscope.trace() for another.")
        self._trace = None
        self.__dict__.pop("_report", None)
        tracer = Tracer(self._options, target=self._target)
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
            path: ``.html``, ``.svg``, ``.png``, ``.pdf``, ``.dot``, ``.md``, ``.txt`` or ``.json``;
                with a slash at its end, a folder for all of it.
            max_nodes: Boxes of the picture, about.
            depth: Fold modules below this depth.

        Raises:
            UsageError: ``path`` is not usable, or the block has not ended yet.
            GradscopeError: There is no graph to draw, or Graphviz could not draw it.
        """
        from gradscope.output import OutputOptions
        from gradscope.saving import save

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

    def flow(self, name: str, step: int | None = None) -> FlowResult:
        """The gradient's way from the loss to one parameter, input or variable, op by op.

        For graphs of single numbers it is the chain rule with the numbers filled in.

        Args:
            name: Its name, or the end of it where that is unique: ``fc1.weight``.
            step: Index of the backward; negative ones count from the end. None: the last one that
                reaches it and whose whole graph was kept.

        Raises:
            UsageError: The name is unknown or ambiguous, or no gradient reached it.
        """
        from gradscope.flow_result import FlowResult

        return FlowResult.of(self.trace, name, step)

    def graph(self, *, max_nodes: int = 150, depth: int | None = None) -> Picture:
        """The picture of the graph; in a notebook it shows itself.

        Args:
            max_nodes: Boxes of the picture, about.
            depth: Fold modules below this depth.

        Raises:
            UsageError: The block has not ended yet.
        """
        from gradscope.integrations.display import Picture
        from gradscope.output import OutputOptions

        return Picture(self._report, OutputOptions(depth=depth, max_nodes=max_nodes))

    @property
    def judged(self) -> Report:
        """The trace with its findings: what every output is made of."""
        return self._report

    @cached_property
    def _report(self) -> Report:
        from gradscope.diagnose.engine import diagnose

        select, ignore = self._rules
        return diagnose(self.trace, select=select, ignore=ignore)

    def __repr__(self) -> str:
        if self._trace is None:
            return "<gradscope trace, not finished>"
        steps, found = len(self._trace.steps), len(self.findings)
        return f"<gradscope trace: {steps:,} backwards, {found} findings>"

    def _repr_html_(self) -> str | None:
        """The page in a frame of its own; None before the block has ended."""
        if self._trace is None:
            return None
        from gradscope.integrations.display import page_frame

        return page_frame(self.report("html"))

    def _repr_pretty_(self, printer: RepresentationPrinter, cycle: bool) -> None:
        """The text report, where IPython runs in a terminal."""
        done = self._trace is not None and not cycle
        printer.text(self.report() if done else repr(self))
