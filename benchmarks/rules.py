"""What judging a long recording costs: ``python -m benchmarks.rules [STEPS ...]``.

The recording is made up from one captured step of a small GPT-2 with all twelve layers: as many
steps as asked for, every parameter followed through all of them, whole graphs kept of 30.
"""

from __future__ import annotations

import random
import sys
from array import array
from dataclasses import replace
from time import process_time

import torch

from benchmarks import models
from gradscope.capture.options import CaptureOptions
from gradscope.capture.tracer import Tracer
from gradscope.diagnose import diagnose
from gradscope.diagnose.registry import choose_rules, registered_rules
from gradscope.model.trace import GradientHistory, Parameter, Step, Trace, Update, UpdateHistory

KEPT = 30


def long_recording(steps: int, layers: int = 12) -> Trace:
    """A trace as a run of so many steps of GPT-2 leaves it."""
    torch.manual_seed(0)
    step = models.gpt2(
        layers=layers, width=64, tokens=16, batch=2, vocab_size=300, eos_token_id=0, bos_token_id=0
    )
    tracer = Tracer(CaptureOptions(every=1))
    tracer.start()
    step()
    step()
    trace = tracer.stop()
    chance = random.Random(0)
    return replace(
        trace,
        steps=tuple(_step(trace, index, steps, chance) for index in range(steps)),
        updates=tuple(_update(trace, index) for index in range(steps)),
        parameters=tuple(_parameter(p, steps, chance) for p in trace.parameters),
    )


def _step(trace: Trace, index: int, steps: int, chance: random.Random) -> Step:
    like = trace.steps[-1]
    kept = index % max(1, steps // KEPT) == 0
    return replace(
        like,
        index=index,
        loss=5.0 * 0.999**index + chance.random() * 0.1,
        graph=like.graph if kept else None,
        level="ops" if kept else "params",
    )


def _update(trace: Trace, index: int) -> Update:
    return replace(trace.updates[-1], index=index, after_step=index)


def _parameter(parameter: Parameter, steps: int, chance: random.Random) -> Parameter:
    norms = array("d", [chance.lognormvariate(0.0, 0.3) for _ in range(steps)])
    numbers, ones = array("i", range(steps)), array("d", [1.0]) * steps
    return replace(
        parameter,
        gradients=GradientHistory(
            step=numbers,
            norm=norms,
            min=array("d", [-norm for norm in norms]),
            max=norms,
            zero_fraction=array("f", [0.0]) * steps,
            arrived=array("b", [1]) * steps,
        ),
        updates=UpdateHistory(
            update=numbers,
            fresh=array("i", [1]) * steps,
            carried=array("i", [0]) * steps,
            grad_norm=norms,
            value_rms=ones,
            update_rms=array("d", [1e-3]) * steps,
            lost=array("i", [0]) * steps,
        ),
    )


def main(arguments: list[str]) -> None:
    """Prints one row per length, and the slowest rules of the last one."""
    registered_rules()
    print("| steps | parameters | graphs | nodes each | diagnosis CPU s | findings |")
    print("|---|---|---|---|---|---|")
    for steps in [int(argument) for argument in arguments] or [200, 2000]:
        trace = long_recording(steps)
        started = process_time()
        report = diagnose(trace)
        spent = process_time() - started
        nodes = len(trace.graphs[-1][1].structure.nodes)
        print(
            f"| {steps} | {len(trace.parameters)} | {len(trace.graphs)} | {nodes} "
            f"| {spent:.2f} | {len(report.findings)} |",
            flush=True,
        )
    for seconds, code in sorted(_by_rule(trace), reverse=True)[:5]:
        print(f"{code}: {seconds:.2f} s alone")


def _by_rule(trace: Trace) -> list[tuple[float, str]]:
    spent = []
    for rule in choose_rules():
        started = process_time()
        diagnose(trace, select=[rule.code])
        spent.append((process_time() - started, rule.code))
    return spent


if __name__ == "__main__":
    main(sys.argv[1:])
