"""What leaves received in several backwards, added to their histories column by column."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, compress, groupby, repeat, starmap
from operator import attrgetter
from typing import Any, NamedTuple

from gradscope.capture.backward import BackwardRun
from gradscope.capture.leaves import Leaf
from gradscope.capture.reduce import UNMEASURED, Row, columns

_Addition = tuple[Any, Iterable[Any]]  # a column, and what is added to it
# In the order of ``reduce.columns``.
_COLUMNS = attrgetter("step", "arrived", "norm", "min", "max", "zero_fraction")


class Arrivals(NamedTuple):
    """What one backward brought to its leaves; lists of equal length."""

    step: int
    leaves: list[Leaf]
    arrived: list[bool]
    rows: list[Row]


def arrivals(step: int, run: BackwardRun) -> Arrivals:
    """What a run brought, once measured; leaves that it did not get to are left out."""
    slots = list(zip(run.leaves, repeat(0), strict=False))
    leaves = list(run.leaves.values())
    arrived = list(map(run.arrived.__contains__, run.leaves))
    rows: list[Any] = list(map(run.gradients.get, slots, repeat(UNMEASURED)))
    if None in rows or not all(arrived):
        reached = [a or slot in run.gradients for a, slot in zip(arrived, slots, strict=True)]
        leaves, arrived = list(compress(leaves, reached)), list(compress(arrived, reached))
        rows = [row or UNMEASURED for row in compress(rows, reached)]
    return Arrivals(step, leaves, arrived, rows)


def book(found: Sequence[Arrivals]) -> Iterator[None]:
    """Adds what backwards brought, given in their order, to the histories.

    Returns:
        What adds it when it is exhausted; for interrupts, that should be done in one call.
    """
    additions: list[_Addition] = []
    for leaves, same in groupby(found, attrgetter("leaves")):
        alike = list(same)
        if len(set(leaves)) == len(leaves):
            additions += _additions(leaves, alike)
        else:  # one has two nodes, whose rows stay together
            for one in alike:
                additions += _additions(leaves, [one])
    return starmap(array.extend, additions)


def _additions(leaves: Sequence[Leaf], found: Sequence[Arrivals]) -> list[_Addition]:
    """What several backwards brought to the same leaves."""
    steps, each_arrived, each_rows = zip(*((f.step, f.arrived, f.rows) for f in found), strict=True)
    arrived = list(chain.from_iterable(each_arrived))
    numbers = columns(chain.from_iterable(each_rows))
    additions: list[_Addition] = []
    for i, leaf in enumerate(leaves):
        its = slice(i, None, len(leaves))
        of_leaf = [steps, arrived[its], *[column[its] for column in numbers]]
        additions += zip(_COLUMNS(leaf.gradients), of_leaf, strict=True)
    return additions
