"""Large graphs: ``python -m benchmarks.scale``. Seconds from a finished step to its picture."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

import torch

import gradscope
from benchmarks import models
from gradscope.diagnose.engine import diagnose
from gradscope.output import OutputOptions, render

CASES: dict[str, Callable[[], models.Step]] = {
    "ResNet-18 layout": models.resnet,
    "GPT-2 small, 12 layers": lambda: models.gpt2(12, 768, 32, 1),
    "LSTM cell x 200": models.lstm,
    "chain of 5,000 ops": lambda: models.chain(5_000),
    "chain of 50,000 ops": lambda: models.chain(50_000),
    "chain of 200,000 ops": lambda: models.chain(200_000),
    "1,000 Linear layers": models.deep_linear,
}


def main() -> None:
    """Prints one row per case."""
    torch.set_num_threads(1)
    print("| case | nodes | traced step s | end of trace s | diagnosis s | SVG s | SVG KB |")
    print("|---|---|---|---|---|---|---|")
    for name, make in CASES.items():
        step = make()
        started = perf_counter()
        with gradscope.trace() as t:
            step()
            stepped = perf_counter()
        ended = perf_counter()
        report = diagnose(t.trace)
        diagnosed = perf_counter()
        svg = render(report, "svg", OutputOptions())
        drawn = perf_counter()
        print(
            f"| {name} | {t.trace.steps[0].node_count} | {stepped - started:.2f} "
            f"| {ended - stepped:.2f} | {diagnosed - ended:.2f} | {drawn - diagnosed:.2f} "
            f"| {len(svg) / 1e3:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
