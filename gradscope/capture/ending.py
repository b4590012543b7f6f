"""What is looked at once, when the run is over: names, forward-only graphs, the exception."""

from __future__ import annotations

import platform
import sys
import threading
import traceback
from collections.abc import Iterable
from types import TracebackType
from typing import Any

import torch

import gradscope
from gradscope.capture.backward import BackwardRun
from gradscope.capture.booking import Booking
from gradscope.capture.build import Builder
from gradscope.capture.forward import ForwardRecorder
from gradscope.capture.labels import name_results
from gradscope.capture.leaves import Leaves
from gradscope.capture.modules import ModuleTracker
from gradscope.capture.names import Names
from gradscope.capture.source import UserCode, is_own, place
from gradscope.capture.walk import root_edges
from gradscope.model.graph import Graph
from gradscope.model.trace import ScriptError

MAX_FORWARD_GRAPHS = 4


def never_reached(
    names: Names, forward: ForwardRecorder, booking: Booking, builder: Builder, runner: Any
) -> tuple[Graph, ...]:
    """Graphs of results that are alive and that no backward has used, newest first.

    Args:
        names: The variables to look in.
        forward: Knows which nodes were used.
        booking: Has the statistics.
        builder: Builds the graphs.
        runner: Makes a ``BackwardRun`` of a walked graph, without listening to it.
    """
    candidates = []
    for name, tensor in names.results:
        node = tensor.grad_fn
        if node is not None and forward.never_used(node._sequence_nr()):
            candidates.append((node._sequence_nr(), name, tensor))
    covered: set[int] = set()
    graphs: list[Graph] = []
    for number, _, tensor in sorted(candidates, key=lambda c: c[0], reverse=True):
        if number in covered or len(graphs) == MAX_FORWARD_GRAPHS:
            continue
        run: BackwardRun = runner(root_edges([tensor]))
        raw = run.raw(forward, all_shapes=True)
        raw.names, raw.module_names = name_results(names, run), names.modules
        run.close()
        covered.update(raw.sequence)
        raw.backward_ran = False
        booking.give_stats(raw, keep=True)
        graphs.append(builder.build(raw))
    return tuple(graphs)


def name_the_rest(names: Names, leaves: Leaves, modules: ModuleTracker) -> None:
    """Names leaves met before a name was found, and meets parameters no backward reached."""
    for name, tensor in names.leaves:
        leaf = leaves.known(tensor)
        if leaf is not None and not leaf.name:
            leaf.name = name
    for module in list(modules.roots):
        prefix = names.modules.get(id(module), type(module).__name__)
        for path, parameter in module.named_parameters():
            leaves.get(parameter, f"{prefix}.{path}")


def scopes(user: UserCode, frame: Any, error: BaseException | None) -> list[Iterable[Any]]:
    """The variables worth reading at the end: where the error was raised first, then outwards."""
    found = []
    trace = error.__traceback__ if error is not None else None
    while trace is not None:
        if user.owns(trace.tb_frame.f_code):
            found.append(trace.tb_frame)
        trace = trace.tb_next
    found.reverse()
    while frame is not None:
        if user.owns(frame.f_code):
            found.append(frame)
        frame = frame.f_back
    scopes: list[Iterable[Any]] = [
        list((f.f_globals if f.f_code.co_name == "<module>" else f.f_locals).items()) for f in found
    ]
    main = sys.modules.get("__main__")
    return [*scopes, list(vars(main).items())] if main is not None else scopes


def script_error(error: BaseException, user: UserCode) -> ScriptError:
    """The exception as data, without gradscope's own frames."""
    innermost = None
    trace = error.__traceback__
    while trace is not None:
        if user.owns(trace.tb_frame.f_code):
            innermost = trace
        trace = trace.tb_next
    source = place(innermost.tb_frame.f_code, innermost.tb_lasti) if innermost else None
    return ScriptError(type(error).__name__, _message(error), source, _formatted(error))


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return "<exception str() failed>"


def _formatted(error: BaseException) -> str:
    try:
        shown = traceback.TracebackException.from_exception(error)
        part: traceback.TracebackException | None = shown
        while part is not None:
            kept = [f for f in part.stack if not is_own(f.filename)]
            part.stack = traceback.StackSummary.from_list(kept)
            part = part.__cause__ or part.__context__
        return "".join(shown.format())
    except Exception:
        return ""


def strip_own_frames(trace: TracebackType | None) -> TracebackType | None:
    """The traceback without gradscope's own frames; entries are relinked, not copied."""
    kept = []
    while trace is not None:
        if not is_own(trace.tb_frame.f_code.co_filename):
            kept.append(trace)
        trace = trace.tb_next
    for entry, following in zip(kept, [*kept[1:], None], strict=True):
        entry.tb_next = following
    return kept[0] if kept else None


def environment() -> dict[str, str]:
    """Versions and machine, as a reader of the report needs them."""
    device = torch.cuda.get_device_name() if torch.cuda.is_initialized() else "cpu"
    return {
        "gradscope": gradscope.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": device,
        "threads": str(torch.get_num_threads()),
        "main_thread": str(threading.current_thread() is threading.main_thread()),
    }
