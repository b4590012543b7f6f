"""Autograd visualizer and gradient debugger for PyTorch.

``with gradscope.trace() as t:`` captures every backward inside the block; ``gradscope.render``
draws the graph of one result. Importing this package loads neither torch nor Graphviz.
"""

from __future__ import annotations

from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradscope.session import Session

if TYPE_CHECKING:
    from gradscope.integrations.display import Picture

# The function below shares its name with a subpackage. Python sets the attribute when the
# subpackage is first imported, so that has to happen before the function is defined.
import_module("gradscope.render")

__version__ = "0.1.0"
__all__ = ["Session", "__version__", "render", "trace"]


def trace(
    *,
    level: str = "ops",
    every: int | None = None,
    steps: tuple[int, ...] = (),
    budget: float = 0.2,
    verify_functions: bool = False,
) -> Session:
    """Captures every backward that runs inside a ``with`` block or a decorated function.

    Blocks may be nested: each sees everything that runs inside it, inner blocks included.

    Args:
        level: ``params`` (leaves only), ``modules`` or ``ops`` (every node).
        every: See only every N-th backward at ``level``; the others at ``params``. None: the
            first 100, then as many as ``budget`` allows.
        steps: See exactly these backwards at ``level``; negative indices count from the end.
        budget: Share of the block's time that may be spent after the first 100 backwards, 0 to 1.
        verify_functions: When the block is over, compare the backward of every custom
            ``autograd.Function`` with the finite difference of its forward, on copies of the
            inputs it met; runs both again.

    Returns:
        A context manager and decorator; after the block it has ``trace``, ``findings``,
        ``report()`` and ``render()``.

    Raises:
        UsageError: An argument is out of range or of another type.
    """
    from gradscope.capture.options import CaptureOptions

    options = CaptureOptions(
        level=level,  # type: ignore[arg-type]
        every=every,
        steps=steps,
        budget=budget,
        verify_functions=verify_functions,
    )
    return Session(options)


def render(
    result: Any,
    path: str | PathLike[str] | None = None,
    *,
    max_nodes: int = 150,
    depth: int | None = None,
) -> Picture:
    """Draws the graph of one result; no backward is run and nothing of yours is changed.

    Args:
        result: A tensor that requires grad, or a list, tuple or mapping of such.
        path: Where to write; ``.svg``, ``.png``, ``.pdf`` or ``.dot`` chooses the format, and
            so do ``.html``, ``.md``, ``.txt`` and ``.json``. None: only give the picture back.
        max_nodes: Boxes of the picture, about; larger graphs are folded to fit.
        depth: Fold modules below this depth.

    Returns:
        The picture, which shows itself in a notebook.

    Raises:
        UsageError: There is no graph behind ``result``, or ``path`` is not usable.
        ImageError: Graphviz could not draw the picture.
    """
    from gradscope.capture.static import trace_result
    from gradscope.integrations.display import Picture
    from gradscope.model.finding import Report
    from gradscope.output import OutputOptions, check_target
    from gradscope.saving import save

    options = OutputOptions(depth=depth, max_nodes=max_nodes)
    report = Report(trace_result(result))
    if path is not None:
        check_target(Path(path))  # one result is one file
        save(report, path, options)
    return Picture(report, options)


def load_ipython_extension(shell: Any) -> None:
    """``%load_ext gradscope`` in a notebook: adds the cell magic ``%%gradscope``."""
    from gradscope.integrations.notebook import register

    register(shell)
