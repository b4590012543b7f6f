"""What tracing costs a training step: ``python -m benchmarks.overhead [CASE ...]``.

Runs of plain and of traced steps alternate in one process on one thread; the table shows medians
of CPU time per step and the median of the rounds' ratios. Of the first steps of a run whole graphs
are kept, later of ever fewer, and such steps cost more: ``first`` is the ratio of the first ones,
``ratio`` that of the steps after them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from statistics import median
from time import process_time

import torch

from benchmarks import models
from gradscope.capture.options import CaptureOptions
from gradscope.capture.tracer import Tracer
from gradscope.model.trace import Level, Trace

FIRST = 12  # steps whose graphs are all kept
THEN = 20  # steps of which a half is, not shown
# How often each case is measured, and on how many steps.
CASES: dict[str, tuple[Callable[[], models.Step], int, int]] = {
    "mlp": (models.mlp, 20, 100),
    "lstm": (models.lstm, 5, 10),
    "gpt2": (models.gpt2, 3, 6),
    "resnet": (models.resnet, 3, 6),
}
LEVELS: tuple[Level, ...] = ("params", "modules", "ops")


def main(names: list[str]) -> None:
    """Prints one row per case and level."""
    torch.set_num_threads(1)
    print(
        "| case | level | plain ms | traced ms | ratio | first | told share | nodes | with line |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for name in names or CASES:
        make, rounds, steps = CASES[name]
        torch.manual_seed(0)
        step = make()
        for level in LEVELS:
            _row(name, level, step, rounds, steps)


def _row(name: str, level: Level, step: models.Step, rounds: int, steps: int) -> None:
    plain, traced, first, shares = [], [], [], []
    _time(step, THEN)
    for _ in range(rounds):
        plain.append(_time(step, steps))
        tracer = Tracer(CaptureOptions(level=level, every=1))
        tracer.start()
        first.append(_time(step, FIRST))
        _time(step, THEN)
        traced.append(_time(step, steps))
        trace = tracer.stop()
        shares.append(trace.overhead.share)
    nodes, lines = _attributed(trace)
    print(
        f"| {name} | {level} | {median(plain) * 1e3:.2f} | {median(traced) * 1e3:.2f} "
        f"| {_ratio(traced, plain):.2f} | {_ratio(first, plain):.2f} | {median(shares):.0%} "
        f"| {nodes} | {lines} |",
        flush=True,
    )


def _ratio(traced: list[float], plain: list[float]) -> float:
    return median(t / p for t, p in zip(traced, plain, strict=True))


def _time(step: models.Step, steps: int) -> float:
    """Median of the steps' CPU times."""
    times = []
    for _ in range(steps):
        started = process_time()
        step()
        times.append(process_time() - started)
    return median(times)


def _attributed(trace: Trace) -> tuple[int, int]:
    """Ops of the last graph, and how many of them have call, line and module or none to have."""
    graph = trace.graphs[-1][1] if trace.graphs else None
    ops = [n for n in graph.structure.nodes if n.order >= 0] if graph is not None else []
    return len(ops), sum(bool(node.call and node.source) for node in ops)


if __name__ == "__main__":
    main(sys.argv[1:])
