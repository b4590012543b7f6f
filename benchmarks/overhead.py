"""What tracing costs a training step: ``python -m benchmarks.overhead [CASE ...]``.

Plain and traced steps alternate in one process on one thread; the table shows medians of CPU time
and their ratio. Traced steps are steady ones: each round traces a few before it measures.
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

# How often each case is measured, and how many steps a measurement takes.
CASES: dict[str, tuple[Callable[[], models.Step], int, int]] = {
    "mlp": (models.mlp, 30, 60),
    "lstm": (models.lstm, 10, 3),
    "gpt2": (models.gpt2, 6, 2),
    "resnet": (models.resnet, 6, 2),
}
LEVELS: tuple[Level, ...] = ("params", "modules", "ops")


def main(names: list[str]) -> None:
    """Prints one row per case and level."""
    torch.set_num_threads(1)
    print("| case | level | plain ms | traced ms | ratio | told share | nodes | with line |")
    print("|---|---|---|---|---|---|---|---|")
    for name in names or CASES:
        make, rounds, steps = CASES[name]
        torch.manual_seed(0)
        step = make()
        for level in LEVELS:
            _row(name, level, step, rounds, steps)


def _row(name: str, level: Level, step: models.Step, rounds: int, steps: int) -> None:
    plain, traced, shares = [], [], []
    for _ in range(rounds):
        plain.append(_time(step, steps))
        tracer = Tracer(CaptureOptions(level=level, every=1))
        tracer.start()
        _time(step, 3)
        traced.append(_time(step, steps))
        trace = tracer.stop()
        shares.append(trace.overhead.share)
    ratio = median(t / p for t, p in zip(traced, plain, strict=True))
    nodes, lines = _attributed(trace)
    print(
        f"| {name} | {level} | {median(plain) * 1e3:.2f} | {median(traced) * 1e3:.2f} "
        f"| {ratio:.2f} | {median(shares):.0%} | {nodes} | {lines} |",
        flush=True,
    )


def _time(step: models.Step, steps: int) -> float:
    started = process_time()
    for _ in range(steps):
        step()
    return (process_time() - started) / steps


def _attributed(trace: Trace) -> tuple[int, int]:
    """Ops of the last graph, and how many of them have call, line and module or none to have."""
    graph = trace.graphs[-1][1] if trace.graphs else None
    ops = [n for n in graph.structure.nodes if n.order >= 0] if graph is not None else []
    return len(ops), sum(bool(node.call and node.source) for node in ops)


if __name__ == "__main__":
    main(sys.argv[1:])
