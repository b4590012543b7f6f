"""What a line computes while grad mode is off though parameters lead to it.

NOTE [Without a graph]
Two things are told apart from an evaluation. Library code that switches grad mode off by itself and
is given a tensor with a graph: the user's line calls ``sample()``, and nothing in it says that this
ends the graph. And what was computed from parameters alone in a block of the user's, if it then
goes, before the next backward, into a layer that is trained: so the block is a part of the forward
pass. For that the results of such a block are followed, by weak reference, until the next backward.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from types import CodeType, FrameType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from gradscope.capture.held import Ticket
from gradscope.capture.leaves import Leaf
from gradscope.capture.quiet import NO_FUNCTIONS
from gradscope.capture.source import UserCode, place
from gradscope.capture.stats import Collector
from gradscope.capture.switching import Switching
from gradscope.capture.upstream import Reference, indices, leaves_behind
from gradscope.model.events import Cut

MAX_LINES = 100
MAX_FOLLOWED = 256
MAX_WALKS = 4  # of the graph behind one line's tensors: a distribution has several
MAX_ITEMS = 8
MAX_LEARNING = 100_000
MAX_IN_VAIN = 5000  # uses of leaves
Line = tuple[CodeType, int]


class _Result(NamedTuple):
    """A tensor without a graph, and the leaves that it would have led to."""

    ref: Reference
    leaves: frozenset[Reference]
    switch: Line


class _Found:
    """One line of the user's, of either kind."""

    def __init__(self, line: Line, op: str, after_step: int) -> None:
        self.line = line
        self.op = op
        self.after_step = after_step
        self.count = 0
        self.steps = 0
        self.latest: int | None = None
        self.leaves: dict[int, Reference] = {}

    def add(self, leaves: Iterable[Reference]) -> None:
        self.leaves.update((id(leaf), leaf) for leaf in leaves)


class Ungraphed:
    """Notes such lines.

    Args:
        user: Tells the user's code.
        switching: Knows which line has switched grad mode off.
        collector: Measures the leaves, which may be gone at the end and are in no graph.

    Attributes:
        last_step: Index of the step that began last.
        followed: What is followed, by ``id``.
        values: Where the numbers of leaves arrive, by ``id`` of their reference.
    """

    def __init__(self, user: UserCode, switching: Switching, collector: Collector) -> None:
        self.last_step = -1
        self.followed: dict[int, _Result] = {}
        self.values: dict[int, Ticket] = {}
        self._since = -1
        self._in_vain = 0
        self._learning: dict[int, Reference] = {}
        self._collector = collector
        self._user = user
        self._switching = switching
        self._drawn: dict[tuple[int, int], _Found] = {}
        self._blocks: dict[tuple[int, int], _Found] = {}

    def wants(self, args: Sequence[Any]) -> bool:
        """Whether to look at a call that made no node: quick, since it is asked of every one."""
        if self.followed:
            return True
        if torch.is_grad_enabled():
            return False
        with NO_FUNCTIONS():
            return any(map(self._is_new, args))

    def _is_new(self, value: object) -> bool:
        """Whether it leads to parameters, but is none that is known to learn."""
        kind = type(value)
        if kind is nn.Parameter:
            known = self._learning.get(id(value))
            return known is None or known() is not value
        return kind is Tensor and value.requires_grad  # type: ignore[attr-defined]

    def saw(self, args: Sequence[Any], out: object, frame: FrameType) -> None:
        """After a call that made no node; what raises here is counted by the caller.

        Args:
            args: What it was given.
            out: Its result.
            frame: That made the call.
        """
        if issubclass(type(out), Tensor) or type(out) is tuple:
            self._saw(args, out, frame)

    def passed_on(self, args: Iterable[Any], out: object) -> None:
        """After a call such as ``z.to(device)``, which makes no node of what has no graph."""
        self._forget()
        self._follow(out, [found for t in _tensors(args) if (found := self._of(t)) is not None])

    def used(self, args: Iterable[Any], out: object) -> None:
        """After a call that made nodes; what raises here is counted by the caller."""
        given = [*_tensors(args)]
        self._forget()
        results = [found for tensor in given if (found := self._of(tensor)) is not None]
        if not results:
            return
        if any(_is_weight(tensor) for tensor in given):
            for result in results:
                self._count(result)
        else:
            self._follow(out, results)

    def freeze(self, leaves: Iterable[Leaf]) -> Iterator[Cut]:
        """The finished, torch-free form."""
        known = tuple(leaves)
        for found in (*self._drawn.values(), *self._blocks.values()):
            source = place(*found.line)
            op = found.op
            if not op:
                op = "set_grad_enabled" if "set_grad_enabled" in source.text else "no_grad"
            yield Cut(
                op,
                source,
                found.after_step,
                found.count,
                _receiver(source.expression),
                parameters=indices(found.leaves.values(), known),
                steps=found.steps,
            )

    def _saw(self, args: Sequence[Any], out: object, frame: FrameType) -> None:
        self._forget()
        given = [*_tensors(args)]
        if not torch.is_grad_enabled():
            switch = self._switching.line
            if switch is None or _requires_grad(out):
                return
            origins = [_origin(t) for t in given if t.requires_grad]
            if not all(t.is_leaf for t in origins):
                self._inside(switch, origins, frame)
                return
            leaves = frozenset(weakref.ref(t) for t in origins if not self._learns(t))
            if leaves:
                self._hold(out, _Result(weakref.ref(given[0]), leaves, switch))
        self.passed_on(given, out)

    def _learns(self, leaf: Tensor) -> bool:
        """Whether a backward has reached it: what is computed from it here is an evaluation.

        So is what many calls have computed without any of it going on into training.
        """
        known = self._learning.get(id(leaf))
        if known is not None and known() is leaf:
            return True
        self._in_vain += 1
        learns = leaf.grad is not None or self._in_vain > MAX_IN_VAIN
        if learns and len(self._learning) < MAX_LEARNING:
            self._learning[id(leaf)] = weakref.ref(leaf)
        return learns

    def _inside(self, switch: Line, origins: Sequence[Tensor], frame: FrameType) -> None:
        """Library code under its own ``no_grad`` was given a tensor that has a graph."""
        user = self._user.innermost(frame)
        if user is None or user is frame or (id(user.f_code), user.f_lasti) != _key(switch):
            return
        found = self._drawn.get(_key(switch))
        if found is None:
            if len(self._drawn) >= MAX_LINES:
                return
            op = _drawing(frame, user) or "no_grad"
            found = self._drawn[_key(switch)] = _Found(switch, op, self.last_step)
        found.count += 1
        if found.count <= MAX_WALKS:
            found.add(leaves_behind([origins]))

    def _follow(self, out: object, results: Sequence[_Result]) -> None:
        if results:
            leaves = frozenset().union(*(result.leaves for result in results))
            self._hold(out, results[0]._replace(leaves=leaves))

    def _hold(self, out: object, result: _Result) -> None:
        for tensor in _tensors((out,)):
            if len(self.followed) >= MAX_FOLLOWED:
                return
            known = self._of(tensor)
            leaves = result.leaves | known.leaves if known is not None else result.leaves
            ref = weakref.ref(tensor, partial(self._gone, id(tensor)))
            self.followed[id(tensor)] = _Result(ref, leaves, result.switch)

    def _gone(self, key: int, _: Reference) -> None:
        self.followed.pop(key, None)

    def _of(self, tensor: Tensor) -> _Result | None:
        found = self.followed.get(id(tensor))
        return found if found is not None and found.ref() is tensor else None

    def _count(self, result: _Result) -> None:
        self._in_vain = 0
        key = _key(result.switch)
        found = self._blocks.get(key)
        if found is None:
            if len(self._blocks) >= MAX_LINES:
                return
            found = self._blocks[key] = _Found(result.switch, "", self.last_step)
        found.count += 1
        if found.latest != self.last_step:
            found.latest = self.last_step
            found.steps += 1
            self._measure(ref for ref in result.leaves if id(ref) not in found.leaves)
            found.add(result.leaves)

    def _measure(self, leaves: Iterable[Reference]) -> None:
        for ref in leaves:
            leaf = ref()
            if leaf is not None and id(ref) not in self.values:
                self.values[id(ref)] = self._collector.add(leaf)

    def _forget(self) -> None:
        if self._since != self.last_step:
            self._since = self.last_step
            self.followed.clear()


def _key(line: Line) -> tuple[int, int]:
    """By the code's id, since equal code in two files is equal to Python."""
    return id(line[0]), line[1]


def _tensors(values: Iterable[Any]) -> Iterator[Tensor]:
    """The tensors among the arguments of a call, one level deep."""
    for value in values:
        kind = type(value)
        if kind in (list, tuple):
            yield from (v for v in value[:MAX_ITEMS] if issubclass(type(v), Tensor))
        elif issubclass(kind, Tensor):
            yield value


def _origin(tensor: Tensor) -> Tensor:
    """What a view was made of: views made while grad mode is off are leaves that require one."""
    base = tensor._base if tensor.is_leaf and tensor._is_view() else None
    return tensor if base is None else base


def _requires_grad(out: object) -> bool:
    return any(tensor.requires_grad for tensor in _tensors((out,)))


def _is_weight(tensor: Tensor) -> bool:
    return tensor.requires_grad and tensor.is_leaf and tensor.dim() > 1


def _drawing(frame: FrameType, user: FrameType) -> str:
    """``sample`` of a distribution that has an ``rsample``; of others with its name before it."""
    while frame.f_back is not None and frame.f_back is not user:
        frame = frame.f_back
    drawer = frame.f_locals.get("self")
    if frame.f_code.co_name == "decorate_context":
        drawer = next(iter(frame.f_locals.get("args", ())), None)
    if drawer is None or not callable(getattr(type(drawer), "rsample", None)):
        return ""
    has = getattr(drawer, "has_rsample", True)
    return "sample" if has else f"{type(drawer).__name__}.sample"


def _receiver(expression: str) -> str:
    """``q`` of ``q.sample()``; empty for other calls."""
    return expression.rpartition(".sample(")[0]
