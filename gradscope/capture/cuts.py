"""Calls that took a tensor with a graph and gave something without, each line once.

NOTE [Cuts]
A script cuts the graph all the time and rightly so: ``loss.item()`` for the log, ``argmax`` for the
accuracy. What was cut is told to the rules only to explain a loss that had no graph, so here calls
are merely counted. ``no_grad`` is not looked for while the program runs: when a loss had no graph,
the source tells which of its statements stand in such a block.
"""

from __future__ import annotations

import linecache
import sys
from collections.abc import Iterable, Iterator, Sequence
from time import perf_counter_ns
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gradscope.capture.build import function_name
from gradscope.capture.cells import shown_file
from gradscope.capture.dynamo import own_work
from gradscope.capture.known import GET_DATA
from gradscope.capture.leaves import Leaf
from gradscope.capture.losing import into_losses
from gradscope.capture.quiet import NO_FUNCTIONS, recover
from gradscope.capture.slicing import Place, Slice, Switch, behind
from gradscope.capture.source import UserCode, place
from gradscope.capture.subject import subject
from gradscope.capture.switching import Switching
from gradscope.capture.ungraphed import Ungraphed
from gradscope.capture.upstream import Reference, indices, leaves_behind
from gradscope.model.events import Cut
from gradscope.model.graph import Source

if TYPE_CHECKING:
    from gradscope.capture.calls import Calls
    from gradscope.capture.stats import Collector
    from gradscope.capture.windows import Windows

MAX_LINES = 500
MAX_LOSSES = 8  # without a graph whose source is read
MAX_FRAMES = 8
MAX_ITEMS = 8  # of a list that ``torch.tensor`` is given

GET_GRAD = vars(torch._C.TensorBase)["grad"].__get__
_NAMES = (
    *("detach", "argmax", "argmin", "item", "tolist", "numpy", "tensor", "as_tensor", "new_tensor"),
    *("__float__", "__int__", "__bool__", "__index__"),
    *("eq", "ne", "lt", "le", "gt", "ge", "less", "less_equal", "greater", "greater_equal"),
    *("__eq__", "__ne__", "isclose", "long", "int", "short", "bool", "byte", "char", "to", "type"),
    *("argsort", "bernoulli", "multinomial", "bucketize", "searchsorted", "logical_not"),
)


def _functions() -> frozenset[Any]:
    found = {getattr(owner, name, None) for owner in (torch, Tensor) for name in _NAMES}
    kept = {f for f in found if callable(f) and not isinstance(f, type | torch.dtype)}
    return frozenset({*kept, GET_GRAD, GET_DATA})


CUTTING = _functions()


class _Seen:
    """One call site: how often, and since when."""

    __slots__ = ("after_step", "code", "count", "function", "lasti", "latest", "leaves", "made")

    def __init__(self, function: Any, code: CodeType, lasti: int, after_step: int) -> None:
        self.function = function
        self.code = code
        self.lasti = lasti
        self.after_step = after_step
        self.count = 0
        self.latest = 0
        self.leaves: tuple[Reference, ...] = ()
        self.made: tuple[str, CodeType | None, int] = ("", None, 0)  # op and place of what went in


class Cuts:
    """Counts them, and remembers where a backward found no graph.

    Args:
        user: Tells the user's code.
        windows: Know where a node was made.
        collector: Measures tensors.

    Attributes:
        last_step: Index of the step that began last.
        failures: Calls that could not be looked at.
        dropped: Lines beyond the limit.
    """

    def __init__(self, user: UserCode, windows: Windows, collector: Collector) -> None:
        self.last_step = -1
        self.own_ns = 0
        self.failures = 0
        self.dropped = 0
        self._switching = Switching(user)
        self.ungraphed = Ungraphed(user, self._switching, collector)
        self._user = user
        self._windows = windows
        self._calls: Calls | None = None
        self._seen: dict[tuple[int, int, int], _Seen] = {}
        self._count = 0
        self._losses: dict[tuple[Place, ...], Cut | None] = {}
        self._starts: dict[tuple[CodeType, int], tuple[Place, ...]] = {}

    def tell(self, calls: Calls) -> None:
        """Has reads of ``.grad`` where none will ever be, and lost checkpoints, noted there."""
        self._calls = calls

    @own_work
    def saw(self, function: Any, args: Sequence[Any], out: object) -> None:
        """After a call that made no node, of ``CUTTING`` or for ``Ungraphed``; never raises."""
        started = perf_counter_ns()
        try:
            with NO_FUNCTIONS():
                if function == GET_GRAD:
                    self._grad(args[0], out, sys._getframe(2))
                elif function not in CUTTING:
                    self.ungraphed.saw(args, out, sys._getframe(2))
                elif _with_graph(args) and not _requires_grad(out):
                    self._add(function, sys._getframe(2), args)
                elif self.ungraphed.followed:
                    self.ungraphed.passed_on(args, out)
        except BaseException as error:
            recover(error)
            self.failures += 1
        self.own_ns += perf_counter_ns() - started

    def wants(self, args: Sequence[Any]) -> bool:
        """Whether a call that made no node is to be seen though it is none of ``CUTTING``."""
        try:
            return self.ungraphed.wants(args)
        except BaseException as error:
            recover(error)
            self.failures += 1
            return False

    @own_work
    def switches(self, on: object) -> None:
        """Before grad mode is switched on or off; never raises."""
        try:
            self._switching.before(on)
        except BaseException as error:
            recover(error)
            self.failures += 1

    @own_work
    def checkpointed(self, out: object) -> None:
        """After a reentrant checkpoint, whose result may have no graph; never raises."""
        try:
            with NO_FUNCTIONS():
                outs = out if type(out) is tuple else (out,)
                lost = torch.is_grad_enabled() and not any(map(_requires_grad, outs))
                if lost and self._calls is not None:
                    self._calls.note("checkpoint_without_grad", sys._getframe(2))
        except BaseException as error:
            recover(error)
            self.failures += 1

    def without_graph(self, frame: FrameType) -> None:
        """A backward is about to start from something that no graph leads to."""
        found = self._places(frame)
        if found and len(self._losses) < MAX_LOSSES:
            self._losses[found] = self._switching.off(self.last_step)

    def with_graph(self, line: tuple[CodeType, int] | None, frame: FrameType) -> None:
        """A backward is about to start, at a line, from something that has a graph."""
        if line is not None and line not in self._starts and len(self._starts) < MAX_LOSSES:
            self._starts[line] = self._places(frame)

    def _places(self, frame: FrameType) -> tuple[Place, ...]:
        found: list[Place] = []
        user = self._user.innermost(frame)
        while user is not None and len(found) < MAX_FRAMES:
            found.append((user.f_code.co_filename, place(user.f_code, user.f_lasti).line))
            user = self._user.innermost(user.f_back)
        return tuple(found)

    def freeze(self, leaves: Iterable[Leaf] = ()) -> tuple[Cut, ...]:
        """The finished, torch-free form, in the order in which each line was last seen."""
        known = tuple(leaves)
        sites = sorted(self._seen.values(), key=lambda seen: seen.latest)
        files = dict.fromkeys(seen.code.co_filename for seen in sites)
        slices = [behind(places, files) for places in self._losses]
        cuts = [_cut(seen, slices, known) for seen in sites]
        cuts = into_losses(cuts, self._starts.values(), files, known)
        cuts += self.ungraphed.freeze(known)
        switched = [*_switched(s for found in slices for s in found.switches)]
        shown = {cut.op for cut in switched}
        cuts += dict.fromkeys(c for c in self._losses.values() if c and c.op not in shown)
        if any(cut.depth is not None for cut in cuts):
            return (*cuts, *switched)
        # Where only parameters were recorded no call was seen.
        return (*cuts, *switched, *_switched(s for found in slices for s in found.written))

    def _grad(self, tensor: Tensor, out: object, frame: FrameType) -> None:
        if out is not None or not tensor.requires_grad or tensor.is_leaf:
            return
        if self._calls is None or tensor.retains_grad or self._user.innermost(frame) is not frame:
            return
        name = subject(place(frame.f_code, frame.f_lasti).expression)
        self._calls.note("nonleaf_grad", frame, label=name)

    def _add(self, function: Any, frame: FrameType, args: Sequence[Any]) -> None:
        user = self._user.innermost(frame)
        if user is None:
            return
        key = (hash(function), id(user.f_code), user.f_lasti)
        seen = self._seen.get(key)
        if seen is None:
            if len(self._seen) >= MAX_LINES:
                self.dropped += 1
                return
            seen = _Seen(function, user.f_code, user.f_lasti, self.last_step)
            seen.leaves = leaves_behind(args)
            seen.made = self._made(args[0])
            self._seen[key] = seen
        self._count += 1
        seen.count += 1
        seen.latest = self._count

    def _made(self, tensor: object) -> tuple[str, CodeType | None, int]:
        node = tensor.grad_fn if _requires_grad(tensor) else None  # type: ignore[attr-defined]
        if node is None:
            return ("", None, 0)
        window = self._windows.here.windows.get(node._sequence_nr())
        return (node.name(), window.code, window.lasti) if window is not None else ("", None, 0)


def _with_graph(args: Sequence[Any]) -> bool:
    if not args:
        return False
    first = args[0]
    if type(first) in (list, tuple):
        return any(map(_requires_grad, first[:MAX_ITEMS]))
    return _requires_grad(first) or (len(args) > 1 and _requires_grad(args[1]))


def _requires_grad(value: object) -> bool:
    return issubclass(type(value), Tensor) and value.requires_grad  # type: ignore[attr-defined]


def _cut(seen: _Seen, slices: Sequence[Slice], leaves: Sequence[Leaf]) -> Cut:
    source = place(seen.code, seen.lasti)
    key = (source.file, source.line)
    op, code, lasti = seen.made
    depths = [found.lines[key] for found in slices if key in found.lines]
    return Cut(
        op=function_name(seen.function),
        source=source,
        after_step=seen.after_step,
        count=seen.count,
        variable=subject(source.expression),
        depth=min(depths, default=None),
        parameters=indices(seen.leaves, leaves),
        made_by=op,
        made_at=place(code, lasti) if code is not None else None,
    )


def _switched(switches: Iterable[Switch]) -> Iterator[Cut]:
    depths: dict[tuple[str, str, int], int] = {}
    for switch in switches:
        key = switch[:3]
        depths[key] = min(switch.depth, depths.get(key, switch.depth))
    for (op, file, line), depth in depths.items():
        yield Cut(op, line_of(file, line), depth=depth)


def line_of(file: str, number: int) -> Source:
    """A line of a file that is no frame's."""
    return Source(shown_file(file), number, linecache.getline(file, number).strip())
