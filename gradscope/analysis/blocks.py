"""The tree of blocks behind folding: modules within modules, lines, and repeats.

NOTE [Intervals] Every block covers an unbroken stretch of the forward order. Whichever blocks a
picture shows, they cut that order into stretches, and an edge only ever leads from a later
stretch to an earlier one: the folded graph has no cycle, however it was folded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple, TypeAlias

from gradscope.model.graph import Node, Structure

BlockKind = Literal["root", "module", "line", "loop", "span"]
Place = tuple[str, int, str, int]  # file, line, expression and iteration
_CONTAINERS = frozenset({"ModuleList", "ModuleDict"})  # they never run


@dataclass(slots=True, eq=False)
class Block:
    """A stretch of the forward order that belongs together.

    Attributes:
        kind: ``module`` for one call of a module, ``line`` for one execution of a line, ``loop``
            for a repeat, ``span`` for any other stretch.
        children: Ops (node ids) and blocks, in forward order.
        name: Path of the module.
        type: Class name of the module.
        depth: Level of the module, 0 for the outermost; of whatever else, of what surrounds it.
        period: Children of one instance of a loop.
    """

    kind: BlockKind
    children: list[Item]
    name: str = ""
    type: str = ""
    depth: int = -1
    period: int = 0

    @property
    def count(self) -> int:
        """How often a loop repeats; 1 for other blocks."""
        return len(self.children) // self.period if self.period else 1

    @property
    def instances(self) -> Iterator[list[Item]]:
        """The children of each turn of a loop."""
        step = self.period or len(self.children)
        return (self.children[i : i + step] for i in range(0, len(self.children), step))


Item: TypeAlias = int | Block


class Frame(NamedTuple):
    """One module call on the way to a node; ``call`` is 0 where unknown."""

    path: str
    type: str
    call: int


def module_tree(structure: Structure, ops: Iterable[int]) -> Block:
    """The ops (in forward order) as a tree of module calls."""
    root = Block("root", [])
    stack: list[tuple[Frame, Block]] = []
    for op in ops:
        frames = _frames_of(structure.nodes[op])
        shared = _shared(stack, frames)
        del stack[shared:]
        for frame in frames[shared:]:
            parent = stack[-1][1] if stack else root
            block = Block("module", [], frame.path, frame.type, depth=parent.depth + 1)
            parent.children.append(block)
            stack.append((frame, block))
        (stack[-1][1] if stack else root).children.append(op)
    return root


def _shared(stack: list[tuple[Frame, Block]], frames: Sequence[Frame]) -> int:
    """How many of the open module calls the next op is in as well."""
    for level, ((known, block), frame) in enumerate(zip(stack, frames, strict=False)):
        same = known[:2] == frame[:2]
        if not same or (known.call and frame.call and known.call != frame.call):
            return level
        if frame.call:
            stack[level] = (frame, block)
    return min(len(stack), len(frames))


def _frames_of(node: Node) -> tuple[Frame, ...]:
    calls = node.module_calls or (node.module_call,)
    return _frames(node.module, node.module_types or (node.module_type,), calls)


@lru_cache(maxsize=16384)
def _frames(path: str, types: tuple[str, ...], calls: tuple[int, ...]) -> tuple[Frame, ...]:
    """Path, type and call of each module, outermost first, without mere containers.

    The outermost module may have a name with dots in it (``trainer.net``) or none at all.
    """
    if not path and not any(types):
        return ()
    parts = path.rsplit(".", len(types) - 1) if path else []
    parts = [""] * (len(types) - len(parts)) + parts
    frames = []
    above: list[str] = []
    for part, type_name in zip(parts, types, strict=True):
        above += [part] if part else []
        if type_name not in _CONTAINERS:
            frames.append(Frame(".".join(above), type_name, 0))
    if len(calls) != len(frames):
        calls = (0,) * (len(frames) - 1) + calls[-1:]
    return tuple(f._replace(call=call) for f, call in zip(frames, calls, strict=False))


def place_of(node: Node) -> Place | None:
    """The user's expression that ran, and for which time."""
    source = node.source
    if source is None:
        return None
    return (source.file, source.line, source.expression, node.iteration)


def call_sites(structure: Structure) -> frozenset[Place]:
    """Places in the code that only call a model, and so tell nothing about single ops.

    ``out = net(x)`` is the user's line of all ops that library modules inside ``net`` ran.
    """
    modules: dict[Place, str] = {}
    shared = set()
    for node in structure.nodes:
        place = place_of(node)
        if place is None or node.kind not in ("op", "loss"):
            continue
        if modules.setdefault(place, node.module) != node.module:
            shared.add(place)
    return frozenset(shared)


def group_lines(root: Block, structure: Structure) -> None:
    """Puts consecutive ops of one execution of a line into a block, all over the tree."""
    ignored = call_sites(structure)
    for block in walk(root):
        keys = [_line_key(child, structure, ignored) for child in block.children]
        # A block that is one single line gains nothing from another box around it.
        if len(set(keys)) > 1:
            block.children = _grouped(block, keys)


def _line_key(
    child: Item, structure: Structure, ignored: frozenset[Place]
) -> tuple[str, int, int] | None:
    if isinstance(child, Block):
        return None
    place = place_of(structure.nodes[child])
    if place is None or place in ignored:
        return None
    file, line, _, iteration = place
    return (file, line, iteration)


def _grouped(block: Block, keys: Sequence[tuple[str, int, int] | None]) -> list[Item]:
    grouped: list[Item] = []
    start = 0
    for stop in range(1, len(keys) + 1):
        if stop < len(keys) and keys[stop] == keys[start]:
            continue
        run = block.children[start:stop]
        if keys[start] is None or len(run) == 1:
            grouped.extend(run)
        else:
            grouped.append(Block("line", run, depth=block.depth))
        start = stop
    return grouped


def walk(root: Block) -> list[Block]:
    """Every block, parents before children."""
    found = [root]
    for block in found:  # grows while it is read
        found.extend(child for child in block.children if isinstance(child, Block))
    return found


def ops_of(item: Item) -> list[int]:
    """Every op inside, in forward order."""
    ops: list[int] = []
    stack: list[Item] = [item]
    while stack:
        top = stack.pop()
        if isinstance(top, Block):
            stack.extend(reversed(top.children))
        else:
            ops.append(top)
    return ops
