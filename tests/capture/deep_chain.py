"""Runs as a process of its own: traces deep graphs in the ways named on the command line.

Prints one line per way; what follows a crash of the interpreter is missing.
"""

from __future__ import annotations

import json
import resource
import sys
import threading
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

import gradscope
from gradscope.session import Session

STACK = resource.RLIMIT_STACK
kept: list[Any] = []  # until the interpreter ends


def chain(length: int) -> Tensor:
    y = torch.ones(1, requires_grad=True)
    for _ in range(length):
        y = y * 1.0
    return y


def released(length: int) -> Session:
    with gradscope.trace() as t:
        chain(length).sum().backward()
    return t


def held(length: int) -> Session:
    with gradscope.trace() as t:
        loss = chain(length).sum()
        loss.backward()
    kept.append(loss)
    return t


def held_half_way(length: int) -> Session:
    """The loop's variable outlives the block, in a place that nobody looks into."""
    results = iter([chain(length)])
    with gradscope.trace() as t:
        y = next(results)
        (y * 2).sum().backward()
    kept.append(lambda: y)
    return t


def raises(length: int) -> Session:
    session = gradscope.trace()
    try:
        with session:
            y = chain(length)
            y.register_hook(lambda g: 1 / 0)
            y.sum().backward()
    except ZeroDivisionError:
        pass
    return session


def forward_only(length: int) -> Session:
    with gradscope.trace() as t:
        y = chain(length)
    del y
    return t


def five_steps(length: int) -> Session:
    with gradscope.trace() as t:
        for _ in range(5):
            loss = chain(length // 5).sum()
            loss.backward()
            del loss
    return t


def in_a_thread(length: int) -> Session:
    def work() -> None:
        chain(length).sum().backward()

    with gradscope.trace() as t:
        worker = threading.Thread(target=work)
        worker.start()
        worker.join()
    return t


WAYS: list[Callable[[int], Session]] = [
    *(released, held, held_half_way, raises, forward_only, five_steps, in_a_thread),
]


def main() -> None:
    ways = {way.__name__: way for way in WAYS} | {"without_room": held}
    for name in sys.argv[2:]:
        if name == "without_room":
            resource.setrlimit(STACK, (8 << 20, 8 << 20))
        before = resource.getrlimit(STACK)
        trace = ways[name](int(sys.argv[1])).trace
        after = resource.getrlimit(STACK)
        found = {
            "way": name,
            "restored": before == after,
            "notes": len(trace.notes),
            "dropped": dict(trace.dropped),
            "nodes": [step.node_count for step in trace.steps],
            "forward_graphs": len(trace.forward_graphs),
            "unused": trace.unused_forwards,
        }
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
