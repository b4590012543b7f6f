"""Memory: ``python -m benchmarks.memory [steps] [ops]``, Linux only.

Peak resident memory of a GPT-2 small step, plain and traced, each in a process of its own; and
how resident memory grows over a long run of graphs with many ops.
"""

from __future__ import annotations

import gc
import os
import resource
import subprocess
import sys
from pathlib import Path

import torch

import gradscope
from benchmarks import models

# Freed memory goes back at once: what malloc keeps for later differs by 20 MB from run to run.
_EXACT = {"MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072"}
_PEAK = "from benchmarks.memory import peak; print(peak({traced}))"


def peak(traced: bool) -> float:
    """Peak resident MB of three training steps of GPT-2 small."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    step = models.gpt2(12, 768, 64, 1)
    if traced:
        with gradscope.trace(every=1):
            for _ in range(3):
                step()
    else:
        for _ in range(3):
            step()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def growth(steps: int, ops: int) -> float:
    """Resident MB that ``steps`` traced backwards of ``ops`` nodes leave behind."""
    torch.set_num_threads(1)
    step = models.chain(ops)
    step()
    with gradscope.trace() as t:
        for _ in range(50):
            step()
        before = _resident()
        for _ in range(steps):
            step()
        gc.collect()
        after = _resident()
    assert len(t.trace.steps) == steps + 50
    return after - before


def _resident() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def main(arguments: list[str]) -> None:
    """Prints both measurements."""
    peaks = []
    for traced in (False, True):
        code = _PEAK.format(traced=traced)
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, check=True, env=os.environ | _EXACT
        )
        peaks.append(float(done.stdout.split()[-1]))
    print(f"GPT-2 small, peak: plain {peaks[0]:.0f} MB, traced {peaks[1]:.0f} MB")
    steps, ops = (int(a) for a in (*arguments, *("10000", "1000")[len(arguments) :]))
    print(f"{steps} backwards of {ops} nodes: +{growth(steps, ops):.1f} MB")


if __name__ == "__main__":
    main(sys.argv[1:])
