"""Forward values that only autograd kept: results and operands of a composite call's inner ops.

A torch function shows its result, not what it computed on the way. Autograd saved some of that
for the backward; it is read here for its statistics and not kept. Where the user's saved-tensor
hooks were active nothing is read, since reading would run them (and, under checkpoint, the forward
again).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from torch import Tensor

from gradscope.capture.plan import Saved
from gradscope.capture.raw import RawGraph, Slot
from gradscope.capture.stats import Collector
from gradscope.capture.walk import PLUMBING

_RESULTS = ("_saved_result", "_saved_out", "_saved_output")
_OPERANDS = {
    "_saved_self": 0,
    "_saved_input": 0,
    "_saved_other": 1,
    "_saved_mat2": 1,
    "_saved_query": 0,
    "_saved_key": 1,
    "_saved_value": 2,
}
_ADDMM = {"_saved_mat1": 1, "_saved_mat2": 2}
_READ = (*_RESULTS, *_OPERANDS, *_ADDMM)


def read_saved(raw: RawGraph, nodes: list[Any], collector: Collector) -> None:
    """Gives tickets to values that no torch function returned, where autograd saved them.

    Args:
        raw: The graph; its ``tickets`` grow.
        nodes: Its nodes, before their backward.
        collector: Measures the values.
    """
    plan = raw.plan
    if plan.saved is None:
        plan.saved = _saved_by(raw, nodes)
    known = {slot for slot, ticket in raw.value_tickets().items() if ticket is not None}
    for i, attribute, slot, source in plan.saved:
        window = raw.windows[i] if slot not in known and source not in known else None
        if window is None or window.hooked:
            continue
        if _measure(raw, slot, nodes[i], attribute, collector):
            known.add(slot)


def _saved_by(raw: RawGraph, nodes: list[Any]) -> list[Saved]:
    """Which attribute of which node may hold which value; leaves' values are known already."""
    edges = {(source, slot): (target, nr) for source, slot, target, nr in raw.edges}
    found: list[Saved] = []
    for i, node in enumerate(nodes):
        kind: type = type(node)
        has = _attributes(kind)
        slots = [(name, (i, 0)) for name in _RESULTS if name in has]
        operands = _ADDMM if raw.ops[i] == "AddmmBackward0" else _OPERANDS
        slots += [(n, edges[i, k]) for n, k in operands.items() if n in has and (i, k) in edges]
        for attribute, slot in slots:
            source = _source(slot, raw, edges)
            if source[0] not in raw.leaves:
                found.append((i, attribute, slot, source))
    return found


def _source(slot: Slot, raw: RawGraph, edges: dict[Slot, Slot]) -> Slot:
    """Where the same numbers come from: views repeat them."""
    while raw.ops[slot[0]] in PLUMBING and (slot[0], 0) in edges:
        slot = edges[slot[0], 0]
    return slot


@lru_cache(maxsize=1024)
def _attributes(kind: type) -> frozenset[str]:
    return frozenset(name for name in _READ if hasattr(kind, name))


def _measure(raw: RawGraph, slot: Slot, node: Any, attribute: str, collector: Collector) -> bool:
    """Whether the attribute held a tensor to measure."""
    try:
        saved = getattr(node, attribute, None)
    except RuntimeError:  # freed, or changed in place since
        return False
    if isinstance(saved, Tensor) and (saved.is_floating_point() or saved.is_complex()):
        raw.tickets[slot] = collector.add(saved)
        return True
    return False
