"""Forward values that only autograd kept: results and operands of a composite call's inner ops.

A torch function shows its result, not what it computed on the way. Autograd saved some of that
for the backward; it is read here for its statistics and not kept. Where the user's saved-tensor
hooks were active nothing is read, since reading would run them (and, under checkpoint, the forward
again).
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from gradscope.capture.raw import RawGraph
from gradscope.capture.stats import Collector

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


def read_saved(raw: RawGraph, nodes: list[Any], collector: Collector) -> None:
    """Gives tickets to values that no torch function returned, where autograd saved them.

    Args:
        raw: The graph; its ``tickets`` grow.
        nodes: Its nodes, before their backward.
        collector: Measures the values.
    """
    edges = {(source, slot): (target, nr) for source, slot, target, nr in raw.edges}
    known = {slot for slot, ticket in raw.value_tickets().items() if ticket is not None}
    for i, node in enumerate(nodes):
        window = raw.windows[i]
        if window is None or window.hooked:
            continue
        if (i, 0) not in known and _measure(raw, (i, 0), node, _RESULTS, collector):
            known.add((i, 0))
        operands = _ADDMM if raw.ops[i] == "AddmmBackward0" else _OPERANDS
        for attribute, slot in operands.items():
            producer = edges.get((i, slot))
            if (
                producer is not None
                and producer not in raw.tickets
                and producer[0] not in raw.leaves
            ):
                _measure(raw, producer, node, (attribute,), collector)


def _measure(
    raw: RawGraph,
    slot: tuple[int, int],
    node: Any,
    attributes: tuple[str, ...],
    collector: Collector,
) -> bool:
    """Whether one of the attributes held a tensor to measure."""
    for attribute in attributes:
        try:
            saved = getattr(node, attribute, None)
        except RuntimeError:  # freed, or changed in place since
            return False
        if isinstance(saved, Tensor) and (saved.is_floating_point() or saved.is_complex()):
            raw.tickets[slot] = collector.add(saved, copy=True)
            return True
    return False
