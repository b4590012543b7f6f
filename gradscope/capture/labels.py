"""The user's names for the nodes of a graph; looked up once per shape of graph.

Reading the user's variables takes as long as a small training step. A graph of the same shape,
made at the same places of the code by the same modules, gets the names found the first time.
"""

from __future__ import annotations

from types import FrameType
from typing import NamedTuple

from torch import Tensor

from gradscope.capture.backward import BackwardRun
from gradscope.capture.leaves import Leaves
from gradscope.capture.modules import ModuleTracker
from gradscope.capture.names import Names
from gradscope.capture.plan import Plan
from gradscope.capture.raw import RawGraph, Slot
from gradscope.capture.source import UserCode

MAX_FRAMES = 16
MAX_KNOWN = 1000


class _Known(NamedTuple):
    names: dict[Slot, str]
    modules: dict[int, str]
    sought: set[int]  # ids of the outermost modules, named or not
    roots: tuple[str, ...]


class Labels:
    """Names graphs and leaves from the variables of the user's frames."""

    def __init__(self, user: UserCode, leaves: Leaves, modules: ModuleTracker) -> None:
        self._user = user
        self._leaves = leaves
        self._modules = modules
        self._known: dict[tuple[Plan, int], _Known] = {}

    def scan(self, frame: FrameType) -> Names:
        """Reads the variables of the user's frames from ``frame`` outwards.

        Modules whose frames have returned keep the names they were called by.
        """
        return Names(self._user.owns).scan(user_frames(self._user, frame), self._modules.names())

    def label(
        self,
        raw: RawGraph,
        run: BackwardRun,
        outputs: list[Tensor],
        names: Names | None,
        frame: FrameType,
    ) -> tuple[str, ...]:
        """Names the graph's results and modules; returns the names of its roots.

        Args:
            raw: The graph to name.
            run: Holds its nodes.
            outputs: What backward was called on.
            names: The user's names when they were read already.
            frame: Where to read them otherwise.
        """
        places: list[int] = []
        modules: set[int] = set()
        for window in filter(None, raw.windows):
            places += (id(window.code), window.lasti)
            if window.call is not None:
                modules.add(window.call.site.root.id)
        key = raw.plan, hash(tuple(places))
        known = self._known.get(key)
        if known is None or not modules <= known.sought:
            names = names or self.scan(frame)
            roots = tuple(names.tensors.get(id(o), "") for o in outputs)
            known = _Known(name_results(names, run), names.modules, modules, roots)
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            self._known[key] = known
        raw.names, raw.module_names = known.names, known.modules
        return known.roots


def name_results(names: Names, run: BackwardRun) -> dict[Slot, str]:
    """Which node of the graph made each named tensor."""
    index = run.walked.ids
    found: dict[Slot, str] = {}
    for name, tensor in names.results:
        node = index.get(tensor.grad_fn)
        if node is not None:
            found.setdefault((node, tensor.output_nr), name)
    return found


def user_frames(user: UserCode, frame: FrameType | None) -> list[FrameType]:
    """The user's frames from ``frame`` outwards, innermost first."""
    found: list[FrameType] = []
    while frame is not None and len(found) < MAX_FRAMES:
        frame = user.innermost(frame)
        if frame is not None:
            found.append(frame)
            frame = frame.f_back
    return found
