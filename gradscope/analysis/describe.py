"""What a folded box is called: its modules, its line, its ops."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from gradscope.analysis.blocks import Block, Item, ops_of
from gradscope.analysis.paths import op_base
from gradscope.analysis.repeats import first_op
from gradscope.model.graph import Source, Structure

_MOST_CONTENTS = 8


class Description(NamedTuple):
    """The words of ``FoldedNode``."""

    title: str = ""
    path: str = ""
    contents: tuple[str, ...] = ()
    turn_names: tuple[str, ...] = ()


def describe(block: Block, structure: Structure, around: str) -> Description:
    """What a folded block is called.

    Args:
        block: The block.
        structure: The graph it is of.
        around: Path of the module that is drawn around it; paths are told from there.
    """
    if block.kind == "module":
        path = relative(block.name, around)
        return Description(block.type, path, contents(block.children, structure))
    if block.kind == "loop":
        return _loop(block, structure, around)
    sources = [structure.nodes[op].source for op in ops_of(block)]
    title = _name(block, structure) if block.kind == "line" else f"{len(sources):,} ops"
    return Description(title, locations(sources), contents(block.children, structure))


def _loop(loop: Block, structure: Structure, around: str) -> Description:
    path = _loop_path(loop, structure, around)
    turn = next(loop.instances)
    names = _turn_names(loop)
    if len(turn) > 1:
        parts = contents(turn, structure)
    else:
        parts = contents(turn[0].children if isinstance(turn[0], Block) else [], structure)
    same_lines = _runs_the_same_lines(loop, structure)
    titles = (_name(item, structure) if same_lines else "" for item in turn)
    told = (
        title or _short_name(item, structure, with_names=False)
        for title, item in zip(titles, turn, strict=True)
    )
    return Description("; ".join(dict.fromkeys(told)), path, parts, names)


def _turn_names(loop: Block) -> tuple[str, ...]:
    """Last part of each turn's module name, from the loss on; empty where they are not distinct."""
    names = []
    for turn in loop.instances:
        modules = (c for c in turn if isinstance(c, Block) and c.kind == "module")
        module = next(modules, None)
        if module is None:
            return ()
        names.append(module.name.rpartition(".")[2])
    return tuple(reversed(names)) if len(set(names)) == len(names) else ()


def relative(path: str, around: str) -> str:
    """A module's path as told from a module around it."""
    return path.removeprefix(f"{around}.") if around else path


def contents(items: Sequence[Item], structure: Structure) -> tuple[str, ...]:
    """What consecutive items are, a few words each; equal neighbours once with their number."""
    names: list[list[str | int]] = []
    for item in items:
        name = _short_name(item, structure)
        if names and names[-1][0] == name:
            names[-1][1] = int(names[-1][1]) + 1
        else:
            names.append([name, 1])
    told = [f"{name} ×{n}" if int(n) > 1 else str(name) for name, n in names]
    if len(told) > _MOST_CONTENTS:
        rest = len(told) - _MOST_CONTENTS + 1
        told = [*told[: _MOST_CONTENTS - 1], f"{rest} more"]
    return tuple(told)


def op_counts(structure: Structure, ops: Sequence[int]) -> tuple[tuple[str, int], ...]:
    """Autograd names with their number, the commonest first."""
    return tuple(Counter(structure.nodes[op].op for op in ops).most_common())


def locations(sources: Sequence[Source | None]) -> str:
    """``train.py:12`` or ``train.py:12–40``; empty when unknown."""
    known = [source for source in sources if source is not None]
    if not known:
        return ""
    first = known[0].location
    if len({source.file for source in known}) > 1:
        return f"{first} … {known[-1].location}"
    low, high = min(s.line for s in known), max(s.line for s in known)
    name = first.rpartition(":")[0]
    return f"{name}:{low}" if low == high else f"{name}:{low}–{high}"


def _loop_path(loop: Block, structure: Structure, around: str) -> str:
    """``h.0 … h.11``; one name when it is always the same module; lines for other loops."""
    modules = [c for c in loop.children if isinstance(c, Block) and c.kind == "module"]
    if modules:
        first, last = (relative(module.name, around) for module in (modules[0], modules[-1]))
        return first if first == last else f"{first} … {last}"
    ends = (loop.children[0], loop.children[loop.period - 1], loop.children[-1])
    return locations([structure.nodes[first_op(item)].source for item in ends])


def _runs_the_same_lines(loop: Block, structure: Structure) -> bool:
    """Whether every turn of a loop starts at the same line."""
    sources = (structure.nodes[first_op(turn[0])].source for turn in loop.instances)
    return len({source and (source.file, source.line) for source in sources}) == 1


def _name(item: Item, structure: Structure) -> str:
    """The line's text where it tells what the item is."""
    if isinstance(item, Block) and item.kind != "line":
        return item.type
    source = structure.nodes[first_op(item)].source
    return (source.text if source else "") or _short_name(item, structure)


def _short_name(item: Item, structure: Structure, with_names: bool = True) -> str:
    if not isinstance(item, Block):
        return op_base(structure.nodes[item].op)
    if item.kind == "module":
        last = item.name.rpartition(".")[2]
        return f"{last} {item.type}" if with_names and last and not last.isdigit() else item.type
    if item.kind == "loop":
        inside = next(item.instances)[:4]
        turn = ", ".join(_short_name(child, structure, with_names) for child in inside)
        return f"({turn}) ×{item.count}" if item.period > 1 else f"{turn} ×{item.count}"
    return ", ".join(dict.fromkeys(op_base(structure.nodes[op].op) for op in ops_of(item)[:6]))
