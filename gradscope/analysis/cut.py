"""Which blocks a picture opens, so that what it shows fits the number of nodes it may have."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from gradscope.analysis.blocks import Block, Item, walk

_PAGE = 24
_COMFORT = 4
"""Blocks are opened up to one ``_COMFORT``-th of the nodes (but a ``_PAGE``): a person has to
read it. All of them are for what must be seen, or is asked for with ``depth``."""
_SCANT = 8
"""Where fewer boxes than that would be shown, anything that fits is opened."""
_PLAIN_LAYER = 12  # ops
_SHORT_LOOP = 8  # children of all turns
_ORDER = {"root": 0, "module": 1, "line": 2, "loop": 3, "span": 4}

Class = tuple[int, int, str]


class Cut:
    """The blocks that are open. What is shown are the closed children of open blocks.

    Args:
        root: The tree; stretches around kept ops become blocks of their own in it.
        leaves_at: Op or block to the number of leaves that show once it is open or shown.
        budget: Number of nodes to stay within.
        depth: Open modules down to this level only, and repeats as well.
    """

    def __init__(
        self, root: Block, leaves_at: Mapping[Item, int], budget: int, depth: int | None = None
    ) -> None:
        self.root = root
        self.opened: set[Block] = set()
        self.closed: list[Block] = [root]
        self.total = 1
        self._leaves_at = leaves_at
        self._budget = budget
        self._comfort = min(budget, max(_PAGE, budget // _COMFORT))
        self._depth = depth
        self._blocked: set[Class] = set()

    def shown(self) -> list[Item]:
        """What is shown, in forward order."""
        items: list[Item] = []
        stack: list[Item] = [self.root]
        while stack:
            item = stack.pop()
            if isinstance(item, Block) and item in self.opened:
                stack.extend(reversed(item.children))
            else:
                items.append(item)
        return items

    def open_kept(self, kept: frozenset[int]) -> None:
        """Opens every block around the kept ops; stretches between them stay closed."""
        must: set[Item] = set(kept)
        for block in reversed(walk(self.root)):
            if any(child in must for child in block.children):
                must.add(block)
        for block in walk(self.root):
            if block in must:
                _condense(block, must)
                self._open(block)

    def open_all_that_fits(self) -> None:
        """Opens blocks of one kind and level together, outer levels first, as long as it fits."""
        while True:
            classes = self._classes()
            chosen = next((c for c in sorted(classes) if self._fits(c, classes[c])), None)
            if chosen is not None:
                for block in classes[chosen]:
                    self._open(block)
            elif self.total >= self._comfort // 2 or not self._open_widest():
                return

    def _classes(self) -> dict[Class, list[Block]]:
        classes = defaultdict(list)
        for block in self.closed:
            if self._may_open(block):
                level = block.depth + (block.kind != "module")
                classes[level, _ORDER[block.kind], block.type].append(block)
        return {c: blocks for c, blocks in classes.items() if c not in self._blocked}

    def _may_open(self, block: Block) -> bool:
        if block.kind == "loop":
            return self._depth is not None or len(block.children) <= _SHORT_LOOP
        return block.kind != "module" or self._depth is None or block.depth < self._depth

    def _fits(self, key: Class, blocks: list[Block]) -> bool:
        total = self.total + sum(self._cost(block) - 1 for block in blocks)
        fits = total <= self._budget
        if self._depth is None and self.total >= _SCANT:
            fits = total <= self._comfort and not any(map(_is_plain_layer, blocks))
        if not fits:
            self._blocked.add(key)
        return fits

    def _cost(self, block: Block) -> int:
        """What opening the block shows: children, and leaves that only they use."""
        leaves_at = self._leaves_at
        beside = sum(leaves_at.get(c, 0) for c in block.children if not isinstance(c, Block))
        return len(block.children) + beside + leaves_at.get(block, 0)

    def _open(self, block: Block) -> None:
        self.total += self._cost(block) - 1
        self.opened.add(block)
        self.closed.remove(block)
        self.closed.extend(child for child in block.children if isinstance(child, Block))

    def _open_widest(self) -> bool:
        """Opens the largest block that did not fit, with its children in a few stretches."""
        parts = self._comfort // 2
        able = (b for b in self.closed if self._may_open(b) and b.kind != "loop")
        wide = [block for block in able if len(block.children) > parts >= 2]
        if not wide:
            return False
        block = max(wide, key=lambda b: len(b.children))
        size = -(-len(block.children) // parts)
        runs = (block.children[i : i + size] for i in range(0, len(block.children), size))
        block.children = [_span(run, block) for run in runs]
        self._open(block)
        self._blocked = {key for key in self._blocked if key[1] != _ORDER["span"]}
        return True


def _is_plain_layer(block: Block) -> bool:
    """Whether it is a small module with no module inside, as good to read closed as open."""
    inside = (child for child in block.children if isinstance(child, Block))
    return (
        block.kind == "module"
        and len(block.children) <= _PLAIN_LAYER
        and not any(child.kind in ("module", "loop") for child in inside)
    )


def _condense(block: Block, must: set[Item]) -> None:
    """Joins the children that need not be seen, run by run; a loop by whole turns."""
    condensed: list[Item] = []
    run: list[list[Item]] = []
    units = list(block.instances) if block.kind == "loop" else [[c] for c in block.children]
    for unit in units:
        if any(item in must for item in unit):
            condensed.extend(_joined(run, block))
            condensed.extend(unit)
            run = []
        else:
            run.append(unit)
    condensed.extend(_joined(run, block))
    block.children = condensed
    # What is left of an open loop no longer divides into turns.
    block.period = 0


def _joined(units: list[list[Item]], parent: Block) -> list[Item]:
    children = [child for unit in units for child in unit]
    if len(children) < 2:
        return children
    if parent.kind == "loop" and len(units) > 1:
        period = len(units[0])
        return [Block("loop", children, depth=parent.depth, period=period)]
    return [_span(children, parent)]


def _span(children: list[Item], parent: Block) -> Item:
    if len(children) == 1:
        return children[0]
    return Block("span", children, depth=parent.depth)


def merge_neighbours(items: list[Item], excess: int, kept: frozenset[int]) -> list[Item]:
    """Joins ``excess`` pairs of neighbours, the least telling first; never a kept op."""
    items = list(items)
    weights = [_weight(item) for item in items]
    for _ in range(excess):
        pairs = [
            (weights[i] + weights[i + 1], i)
            for i in range(len(items) - 1)
            if items[i] not in kept and items[i + 1] not in kept
        ]
        if not pairs:
            break
        weight, i = min(pairs)
        children = [c for item in items[i : i + 2] for c in _unwrapped(item)]
        items[i : i + 2] = [Block("span", children)]
        weights[i : i + 2] = [weight]
    return items


def _unwrapped(item: Item) -> list[Item]:
    return item.children if isinstance(item, Block) and item.kind == "span" else [item]


def _weight(item: Item) -> int:
    if not isinstance(item, Block):
        return 1
    return {"line": 4, "span": len(item.children)}.get(item.kind, 50)
