"""Seconds that each output of a finished trace takes: ``python -m benchmarks.reports``."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import gradscope
from benchmarks.models import Step, gpt2, lstm, mlp, resnet
from gradscope.diagnose.engine import diagnose
from gradscope.model.finding import Report
from gradscope.output import OutputOptions
from gradscope.saving import save

CASES: dict[str, tuple[Callable[[], Step], int]] = {
    "mlp, 20 steps": (mlp, 20),
    "ResNet-18 layout, 10 steps": (resnet, 10),
    "LSTM cell x 200, 10 steps": (lstm, 10),
    "GPT-2, 12 layers, 200 steps": (lambda: gpt2(12, 64, 16, 1, vocab_size=1000), 200),
}
OUTPUTS = ("index.html", "graph.svg", "report.md", "report/")


def cpu_seconds() -> float:
    """CPU time of this process and of the children it waited for (Graphviz)."""
    told = os.times()
    return told.user + told.system + told.children_user + told.children_system


def traced(make: Callable[[], Step], steps: int) -> Report:
    """The report of a run."""
    step = make()
    with gradscope.trace() as session:
        for _ in range(steps):
            step()
    return diagnose(session.trace)


def timings(report: Report, folder: Path) -> Iterator[tuple[str, float, float, int]]:
    """Output, seconds, CPU seconds and KB."""
    for name in OUTPUTS:
        wall, cpu = time.perf_counter(), cpu_seconds()
        save(report, f"{folder}/{name}", OutputOptions())
        target = folder / name
        files = [target] if target.is_file() else list(target.rglob("*.*"))
        size = sum(file.stat().st_size for file in files if file.is_file())
        yield name, time.perf_counter() - wall, cpu_seconds() - cpu, size // 1024


def main() -> None:
    """Prints the table."""
    print("| case | output | s | CPU s | KB |\n|---|---|---|---|---|")
    for case, (make, steps) in CASES.items():
        report = traced(make, steps)
        with tempfile.TemporaryDirectory() as folder:
            for name, wall, cpu, size in timings(report, Path(folder)):
                print(f"| {case} | {name} | {wall:.2f} | {cpu:.2f} | {size} |", flush=True)


if __name__ == "__main__":
    main()
