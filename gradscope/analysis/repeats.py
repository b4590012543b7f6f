"""Finding what repeats: equal sibling modules, unrolled loops, long chains of one op."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable

from gradscope.analysis.blocks import Block, Item, walk
from gradscope.model.graph import Structure

MIN_REPEATS = 3
_MAX_PERIOD = 4096
_PERIODS_TRIED = 12
_ROUNDS = 16


class _Symbols:
    """Small numbers for equal things, so that comparing two blocks is comparing two ints."""

    def __init__(self, structure: Structure) -> None:
        self._nodes = structure.nodes
        self._known: dict[Hashable, int] = {}
        self.inner: dict[Block, int] = {}

    def of(self, key: Hashable) -> int:
        """The number of a key, new or known."""
        return self._known.setdefault(key, len(self._known))

    def structural(self, item: Item) -> int:
        """Equal for what was computed alike, wherever it is written."""
        return self.inner[item] if isinstance(item, Block) else self.of(self._nodes[item].op)

    def placed(self, item: Item) -> int:
        """Equal for what was computed alike by the same line; modules need not share one."""
        if isinstance(item, Block) and item.kind == "module":
            return self.inner[item]
        first = first_op(item)
        source = self._nodes[first].source
        place = None if source is None else (source.file, source.line)
        return self.of((self.structural(item), place))

    def close(self, block: Block) -> None:
        """Gives a block its number; its children have theirs."""
        inside = block.children[: block.period] if block.period else block.children
        alike = tuple(map(self.structural, inside))
        self.inner[block] = self.of((block.kind, block.type, block.count, alike))


def first_op(item: Item) -> int:
    """The op of an item that ran first."""
    while isinstance(item, Block):
        item = item.children[0]
    return item


def find_repeats(root: Block, structure: Structure) -> None:
    """Puts whatever repeats at least three times in a row into loops, all over the tree.

    What the same lines did first; after that what is alike on different lines.
    """
    symbols = _Symbols(structure)
    for block in reversed(walk(root)):
        if len(block.children) >= MIN_REPEATS:
            _collapse_all(block, structure, symbols)
        symbols.close(block)


def _collapse_all(block: Block, structure: Structure, symbols: _Symbols) -> None:
    """Loops within loops come out inside first: shorter periods are tried first."""
    for by_place in (True, False):
        symbol_of = symbols.placed if by_place else symbols.structural
        for _ in range(_ROUNDS):
            word = list(map(symbol_of, block.children))
            if not any(_collapse(block, word, p, structure, symbols) for p in _periods(word)):
                break


def _periods(word: list[int]) -> list[int]:
    """Likely periods: the commonest distances between neighbouring equal symbols."""
    last: dict[int, int] = {}
    distances: Counter[int] = Counter()
    for i, symbol in enumerate(word):
        if symbol in last:
            distances[i - last[symbol]] += 1
        last[symbol] = i
    longest = min(_MAX_PERIOD, len(word) // MIN_REPEATS)
    likely = ((p, n) for p, n in distances.most_common() if p <= longest and n >= MIN_REPEATS - 1)
    return sorted(p for p, _ in list(likely)[:_PERIODS_TRIED])


def _collapse(
    block: Block, word: list[int], period: int, structure: Structure, symbols: _Symbols
) -> bool:
    """Replaces runs with that period by loops; returns whether there were any."""
    children = block.children
    result: list[Item] = []
    done = 0
    for run_start, run_stop in _runs(word, period):
        start = max(run_start, done)
        count, slack = divmod(run_stop - start, period)
        if count < MIN_REPEATS:
            continue
        start = _aligned(children, start, slack, structure)
        stop = start + count * period
        loop = Block("loop", children[start:stop], depth=block.depth, period=period)
        symbols.close(loop)
        result.extend(children[done:start])
        result.append(loop)
        done = stop
    if not done:
        return False
    block.children = result + children[done:]
    return True


def _runs(word: list[int], period: int) -> Iterable[tuple[int, int]]:
    """Start and stop of each longest stretch in which everything recurs after ``period``."""
    start = None
    for i in range(len(word) - period + 1):
        recurs = i < len(word) - period and word[i] == word[i + period]
        if recurs and start is None:
            start = i
        elif not recurs and start is not None:
            yield start, i + period
            start = None


def _aligned(children: list[Item], start: int, slack: int, structure: Structure) -> int:
    """Where in a run that is a little longer than its repeats the loop's body begins.

    The body of a loop most likely begins at its first line.
    """

    def line(offset: int) -> int:
        source = structure.nodes[first_op(children[start + offset])].source
        return source.line if source else 0

    return start + min(range(slack + 1), key=line)
