"""What is looked at once, when the run is over: names, forward-only graphs, values."""

from __future__ import annotations

import platform
import sys
import threading
from types import FrameType
from typing import Any

import torch

import gradscope
from gradscope.capture.backward import BackwardRun
from gradscope.capture.build import Builder
from gradscope.capture.forward import ForwardRecorder
from gradscope.capture.labels import MAX_FRAMES, name_results, user_frames
from gradscope.capture.leaves import Leaves
from gradscope.capture.lists import raw_graph
from gradscope.capture.modules import ModuleTracker
from gradscope.capture.names import Names
from gradscope.capture.raised import entries
from gradscope.capture.reduce import measured
from gradscope.capture.source import UserCode
from gradscope.capture.stats import Collector
from gradscope.capture.tree import named_parameters
from gradscope.capture.walk import root_edges
from gradscope.model.graph import Graph

MAX_FORWARD_GRAPHS = 4


def never_reached(
    names: Names, forward: ForwardRecorder, builder: Builder, runner: Any
) -> tuple[Graph, ...]:
    """Graphs of results that are alive and that no backward has used, newest first.

    Args:
        names: The variables to look in.
        forward: Knows which nodes were used.
        builder: Builds the graphs.
        runner: Makes a ``BackwardRun`` of a walked graph, without listening to it.
    """
    candidates = []
    for name, tensor in names.results:
        node = tensor.grad_fn
        if node is not None and forward.windows.never_used(node._sequence_nr()):
            candidates.append((node._sequence_nr(), name, tensor))
    covered: set[int] = set()
    graphs: list[Graph] = []
    for number, _, tensor in sorted(candidates, key=lambda c: c[0], reverse=True):
        if number in covered or len(graphs) == MAX_FORWARD_GRAPHS:
            continue
        run: BackwardRun = runner(root_edges([tensor]))
        raw = raw_graph(run, forward, all_shapes=True)
        raw.names, raw.module_names = name_results(names, run), names.modules
        run.close()
        covered.update(raw.sequence)
        raw.backward_ran = False
        graphs.append(builder.build(raw))
    return tuple(graphs)


def name_the_rest(names: Names, leaves: Leaves, modules: ModuleTracker) -> None:
    """Names leaves met before a name was found, and meets parameters no backward reached."""
    for name, tensor in names.leaves:
        leaf = leaves.known(tensor)
        if leaf is not None and not leaf.name:
            leaf.name = name
    for name, root in modules.roots():
        prefix = names.modules.get(id(root), name)
        for path, parameter in named_parameters(root):
            leaves.get(parameter, f"{prefix}.{path}")
        modules.holders.read(prefix, root)


def measure_leaves(leaves: Leaves, collector: Collector, forward: ForwardRecorder) -> None:
    """Takes the values that the leaves have now; of those the user let go the last seen stay."""
    earlier = forward.ungraphed.values
    living = [(leaf, tensor) for leaf in leaves if (tensor := leaf.ref()) is not None]
    tickets = [collector.add(tensor) for _, tensor in living]
    collector.settle()
    for (leaf, _), ticket in zip(living, tickets, strict=True):
        if ticket:
            leaf.value = measured(ticket).stats()
    for leaf in leaves:
        if leaf.value is None and (seen := earlier.get(id(leaf.ref))):
            leaf.value = measured(seen).stats()


def frames_at_end(
    user: UserCode, frame: FrameType | None, error: BaseException | None
) -> list[FrameType]:
    """The frames worth reading at the end: where the error was raised first, then outwards."""
    trace = error.__traceback__ if error is not None else None
    found = [each.tb_frame for each in entries(trace) if user.owns(each.tb_frame.f_code)]
    found = found[: -MAX_FRAMES - 1 : -1]
    return found + user_frames(user, frame)


def main_variables() -> list[tuple[str, Any]]:
    """The program's global variables, for when its frame is gone."""
    main = sys.modules.get("__main__")
    return [v for v in vars(main).items() if not v[0].startswith("_")] if main else []


def environment() -> dict[str, str]:
    """Versions and machine, as a reader of the report needs them."""
    device = torch.cuda.get_device_name() if torch.cuda.is_initialized() else "cpu"
    return {
        "gradscope": gradscope.__version__,
        "torch": str(torch.__version__),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": device,
        "threads": str(torch.get_num_threads()),
        "main_thread": str(threading.current_thread() is threading.main_thread()),
    }
