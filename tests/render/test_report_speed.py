"""A report is there soon: CPU time of this process and of Graphviz, with room for slow machines."""

from __future__ import annotations

import math
import os
from pathlib import Path

from gradscope.model.finding import Report
from gradscope.model.trace import Trace, Update
from gradscope.saving import save
from tests.model_graphs import gpt2_like_graph
from tests.render import reports

_STEPS = 200
_LIMITS = {"index.html": 6.0, "graph.svg": 2.0, "report.md": 6.0}  # seconds
_LARGEST_PAGE = 5_000_000  # bytes


def cpu_seconds() -> float:
    told = os.times()
    return told.user + told.system + told.children_user + told.children_system


def decoder_report() -> Report:
    """Two hundred steps of a decoder with 148 parameters, graphs of three of them kept."""
    graph = gpt2_like_graph()
    steps = tuple(
        reports.training_step(i, 6.0 * math.exp(-0.01 * i), graph if i in (0, 99, 199) else None)
        for i in range(_STEPS)
    )
    trace = Trace(
        target="/home/user/gpt2.py",
        environment=reports.ENVIRONMENT,
        steps=steps,
        updates=tuple(Update(i, i, optimizer="AdamW") for i in range(_STEPS)),
        parameters=reports.leaves_of(graph, steps=_STEPS, decay=lambda i: math.exp(-0.01 * i)),
    )
    return Report(trace, checked=reports.RULES)


def test_a_decoder_of_200_steps(tmp_path: Path) -> None:
    report = decoder_report()
    for name, limit in _LIMITS.items():
        before = cpu_seconds()
        save(report, tmp_path / name)
        assert cpu_seconds() - before < limit, name
    assert (tmp_path / "index.html").stat().st_size < _LARGEST_PAGE


def test_a_small_script(tmp_path: Path) -> None:
    report = reports.accumulated_report()
    before = cpu_seconds()
    save(report, tmp_path / "index.html")
    assert cpu_seconds() - before < 2.0
    assert (tmp_path / "index.html").stat().st_size < 2_000_000
