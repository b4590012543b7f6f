"""What leaves received in several backwards, added to their histories column by column."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from itertools import chain, compress, groupby, repeat
from operator import attrgetter
from typing import Any, NamedTuple

from gradscope.capture.backward import BackwardRun
from gradscope.capture.leaves import Leaf
from gradscope.capture.reduce import UNMEASURED, Row, columns

_EXTEND: Callable[[Any, Any], None] = array.extend


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


def book(found: Sequence[Arrivals]) -> None:
    """Adds what backwards brought, given in their order, to the histories."""
    for leaves, same in groupby(found, attrgetter("leaves")):
        alike = list(same)
        if len(set(leaves)) == len(leaves):
            _extend(leaves, alike)
        else:  # one has two nodes, whose rows stay together
            for one in alike:
                _extend(leaves, [one])


def _extend(leaves: Sequence[Leaf], found: Sequence[Arrivals]) -> None:
    """Adds what several backwards brought to the same leaves."""
    steps, each_arrived, each_rows = zip(*((f.step, f.arrived, f.rows) for f in found), strict=True)
    arrived = list(chain.from_iterable(each_arrived))
    norms, lows, highs, zeros = columns(chain.from_iterable(each_rows))
    for i, leaf in enumerate(leaves):
        row, its = leaf.gradients, slice(i, None, len(leaves))
        into = [row.step, row.arrived, row.norm, row.min, row.max, row.zero_fraction]
        added = [steps, arrived[its], norms[its], lows[its], highs[its], zeros[its]]
        list(map(_EXTEND, into, added))  # all columns at once, for interrupts
