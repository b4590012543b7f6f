"""The graph of one result without a backward: no run to listen to, only what can be read."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from gradscope.capture.backward import BackwardRun
from gradscope.capture.build import Builder
from gradscope.capture.ending import environment
from gradscope.capture.forward import ForwardRecorder
from gradscope.capture.labels import name_results, user_frames
from gradscope.capture.leaves import Leaves
from gradscope.capture.lists import raw_graph
from gradscope.capture.modules import ModuleTracker
from gradscope.capture.names import Names
from gradscope.capture.quiet import quiet
from gradscope.capture.source import UserCode
from gradscope.capture.stack import DeepStack, walk_limit
from gradscope.capture.stats import Collector
from gradscope.capture.updates import Ledger
from gradscope.capture.walk import root_edges, walk
from gradscope.errors import UsageError
from gradscope.model.trace import Trace

MAX_NODES = 2_000_000
_DEEP = (
    "The soft stack limit was raised: the graph is very deep, and freeing it within the old limit "
    "could crash the interpreter."
)


def trace_result(result: Any) -> Trace:
    """A trace whose only graph is the one behind ``result``; values of what is named are read.

    Args:
        result: A tensor with a graph, or a list, tuple or mapping of such.

    Raises:
        UsageError: ``result`` holds no tensor with a graph.
    """
    outputs = _tensors(result)
    with quiet():
        roots = root_edges(outputs)
    if not roots:
        raise UsageError(
            "There is no graph to draw: the result does not require grad. Compute it from tensors "
            "with requires_grad=True, outside torch.no_grad()."
        )
    user = UserCode()
    collector, leaves = Collector(), Leaves()
    forward = ForwardRecorder(user, ModuleTracker(user.owns), collector)
    ledger = Ledger(leaves, lambda: None, lambda _: None)
    deep = DeepStack()
    with quiet():
        names = Names(user.owns).scan(user_frames(user, sys._getframe(1)))
        walked = walk(roots, walk_limit(MAX_NODES), deep.raise_limit)
        run = BackwardRun(walked, collector, ledger, fills_grad=False)
        run.find_leaves(leaves, names.tensors)
        raw = raw_graph(run, forward, all_shapes=True)
        raw.names, raw.module_names = name_results(names, run), names.modules
        index = {node: i for i, node in enumerate(walked.nodes)}
        for tensor in [t for _, t in names.results] + outputs:
            node = index.get(tensor.grad_fn)
            if node is not None:
                raw.tickets[node, tensor.output_nr] = collector.add(tensor)
        for node, leaf in run.leaves.items():
            tensor_or_none = leaf.ref()
            if tensor_or_none is not None:
                raw.tickets[node, 0] = collector.add(tensor_or_none)
        index.clear()
        run.close()
        collector.settle()
    raw.backward_ran = False
    graph = Builder().build(raw)
    return Trace(
        target="render()",
        environment=environment(),
        parameters=tuple(leaf.freeze() for leaf in leaves),
        forward_graphs=(graph,),
        dropped=collector.dropped,
        notes=(_DEEP,) if deep.raised else (),
    )


def _tensors(result: Any) -> list[Tensor]:
    """The tensors in a result, in its order; what else containers hold is left out."""
    found: list[Tensor] = []
    waiting, seen = [result], {id(result)}
    while waiting:
        value = waiting.pop()
        if isinstance(value, Tensor):
            found.append(value)
            continue
        inner = list(value.values()) if isinstance(value, Mapping) else value
        if isinstance(inner, list | tuple):
            new = [v for v in inner if id(v) not in seen]
            seen.update(map(id, new))
            waiting += reversed(new)
    if not found:
        raise UsageError(
            f"render() draws the graph of a tensor, not of {type(result).__name__!r}; pass the "
            "loss or the model's output."
        )
    return found
