"""Deep graphs: no RecursionError, no crash when they are freed, the stack limit put back."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import gradscope
from tests.capture.reading import last_graph, named, unattributed

SCRIPT = Path(__file__).with_name("deep_chain.py")
Found = dict[str, dict[str, Any]]


def _start(length: int, *ways: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(SCRIPT), str(length), *ways]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _finish(process: subprocess.Popen[str]) -> Found:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, f"exit code {process.returncode} after {out}\n{err}"
    assert err == ""
    lines = [json.loads(line) for line in out.splitlines()]
    return {line.pop("way"): line for line in lines}


@pytest.fixture(scope="module")
def found() -> Found:
    """Two processes at a time, for they take long."""
    first, second = _start(200_000, "released"), _start(200_000, "held")
    results = _finish(first) | _finish(second)
    first = _start(60_000, "released", "five_steps", "in_a_thread", "raises", "forward_only")
    second = _start(60_000, "held_half_way")
    shallow = {f"{way}, shorter": line for way, line in (_finish(first) | _finish(second)).items()}
    return results | shallow | _finish(_start(60_000, "without_room"))


@pytest.mark.parametrize("way", ["released", "released, shorter", "five_steps, shorter"])
def test_a_deep_graph_that_is_gone(way: str, found: Found) -> None:
    line = found[way]
    assert line["restored"]
    assert (line["notes"], line["dropped"], line["unused"]) == (0, {}, 0)
    assert sum(line["nodes"]) in (200_002, 60_002, 60_010)


@pytest.mark.parametrize("way", ["held", "held_half_way, shorter", "raises, shorter"])
def test_a_deep_graph_that_is_still_held(way: str, found: Found) -> None:
    line = found[way]
    assert not line["restored"]
    assert line["notes"] == 1, "said so"
    assert line["nodes"][0] > 60_000


def test_a_deep_graph_without_a_backward(found: Found) -> None:
    line = found["forward_only, shorter"]
    assert line["forward_graphs"] == 1
    assert line["unused"] == 60_000


@pytest.mark.parametrize("way", ["in_a_thread, shorter", "without_room"])
def test_where_the_stack_cannot_grow_the_walk_stops(way: str, found: Found) -> None:
    line = found[way]
    assert line["restored"]
    assert line["dropped"] == {"graphs that were not walked to their end": 1}
    assert line["nodes"][0] < 25_000
    assert line["unused"] == 0


def test_a_thousand_layers() -> None:
    net = nn.Sequential(*(nn.Linear(2, 2) for _ in range(1000)))
    with gradscope.trace() as t:
        loss = net(torch.ones(1, 2)).sum()
        loss.backward()
    graph = last_graph(t)
    assert [n.module for n in named(graph, "Addmm")] == [f"net.{i}" for i in range(1000)]
    assert unattributed(graph) == []
    assert len(t.trace.parameters) == 2000


def test_modules_nested_very_deep() -> None:
    net: nn.Module = nn.Linear(2, 2)
    for _ in range(150):
        net = nn.Sequential(net)
    with gradscope.trace() as t:
        net(torch.ones(1, 2)).sum().backward()
    assert named(last_graph(t), "Addmm")[0].module == "net" + ".0" * 150
