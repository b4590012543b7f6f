"""What is wrong, told while the program runs: rarely looked at, and without a trace in the run."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from gradscope import findings_so_far
from gradscope.capture.booking import SETTLE_STEPS
from gradscope.capture.options import CaptureOptions
from gradscope.capture.so_far import SoFar
from gradscope.capture.tracer import Tracer
from gradscope.diagnose import diagnose
from gradscope.findings_so_far import FindingsSoFar
from gradscope.model.finding import Finding, Report, Severity, Where
from gradscope.model.trace import Trace
from gradscope.progress import ProgressLine
from tests.cli.test_progress import Clock, Terminal, shown_at, shown_by

STEPS = 64
BOOKED = list(range(SETTLE_STEPS, STEPS + 1, SETTLE_STEPS))  # steps after which nothing waits
EAGER = """
import sys
import gradscope.findings_so_far as so_far
so_far._FIRST_S = so_far._BASE_S = so_far._PER_NODE_S = so_far._SHARE = so_far._ENOUGH = 0
from gradscope.cli import main
sys.exit(main())
"""
FORGETFUL = """
import hashlib, random, sys, time
import torch
torch.manual_seed(0)
random.seed(0)
net = torch.nn.Linear(3, 1)
opt = torch.optim.SGD(net.parameters(), 1e-3)
for step in range(70):
    loss = (net(torch.randn(4, 3)) + random.random()).pow(2).mean()
    loss.backward()
    opt.step()  # and no zero_grad
    time.sleep(0.02 * (len(sys.argv) > 1))
told = [net.weight.tolist(), random.getstate(), torch.get_rng_state().tolist(), sorted(vars())]
print("bits", hashlib.sha256(repr(told).encode()).hexdigest())
"""


@dataclass
class Recorded:
    """A recording that is always the same."""

    found: Trace
    clock: Clock
    takes: float = 0.0
    is_ready: bool = True
    nodes: int = 0
    looks: int = 0

    def trace(self) -> Trace:
        self.looks += 1
        self.clock.now += self.takes
        return self.found


def recorded(
    body: Callable[[SoFar], None], on_step: Callable[[SoFar], object] = lambda _: None
) -> Trace:
    """The trace of what the body does, told everything at every step."""

    def step(_: int) -> None:
        on_step(so_far)

    tracer = Tracer(CaptureOptions(every=1, on_step=step))
    so_far = tracer.so_far
    tracer.start()
    try:
        body(so_far)
    finally:
        trace = tracer.stop()
    return trace


def forget(_: object) -> None:
    """Trains for several full bookings without ever clearing a gradient."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
    opt = torch.optim.SGD(net.parameters(), 1e-3)
    for _ in range(STEPS):
        net(torch.randn(5, 3)).pow(2).mean().backward()
        opt.step()


@pytest.fixture(scope="module")
def forgetful() -> Trace:
    return recorded(forget)


def test_the_cut_is_a_run_that_ended_there(forgetful: Trace) -> None:
    cuts: list[Trace] = []

    def look(so_far: SoFar) -> None:
        if so_far.is_ready:
            cuts.append(so_far.trace())
            told = [f.code for f in diagnose(cuts[-1]).findings if f.severity != "info"]
            assert told == ["GS401"]
            lengths.append([len(p.gradients) for p in cuts[-1].parameters])

    lengths: list[list[int]] = []
    recorded(forget, look)
    assert [len(cut.steps) for cut in cuts] == BOOKED
    assert lengths == [[steps] * 4 for steps in BOOKED]
    assert [len(cut.updates) for cut in cuts] == [steps - 1 for steps in BOOKED]
    assert cuts[0].graphs


def test_looking_changes_nothing_in_the_recording(forgetful: Trace) -> None:
    looks: list[Trace] = []
    seen = recorded(forget, lambda so_far: looks.append(so_far.trace()))
    assert len(looks) == STEPS

    def timeless(trace: Trace) -> str:
        steps = tuple(
            replace(step, backward_ns=0, made=None, root_made=None) for step in trace.steps
        )
        facts = (trace.parameters, trace.updates, trace.calls, trace.cuts, trace.mutations)
        return repr((steps, facts, trace.dropped, trace.notes))

    assert timeless(seen) == timeless(forgetful)


def test_it_draws_no_random_number() -> None:
    states = []
    for on_step in (lambda _: None, lambda so_far: diagnose(so_far.trace())):
        random.seed(0)
        recorded(forget, on_step)
        states.append((random.getstate(), torch.get_rng_state().tolist()))
    assert states[0] == states[1]


def test_no_look_while_something_waits() -> None:
    ready: list[bool] = []
    recorded(forget, lambda so_far: ready.append(so_far.is_ready))
    assert [i for i, is_ready in enumerate(ready, 1) if is_ready] == BOOKED
    assert len(ready) == STEPS > len(BOOKED) > 1


def test_all_looks_take_a_hundredth_of_the_time(forgetful: Trace) -> None:
    clock = Clock()
    recording = Recorded(forgetful, clock, takes=0.5, nodes=2_000)
    findings = FindingsSoFar(clock=clock)
    findings.attach(recording)
    spent = []
    for second in range(2_000):
        findings.look(100 + second, float(second))
        if recording.looks * 0.5 > 0.01 * second:
            spent.append(second)
    assert spent == []
    assert 12 <= recording.looks <= 39


def test_nothing_is_looked_at_too_soon(forgetful: Trace) -> None:
    recording = Recorded(forgetful, Clock())
    findings = FindingsSoFar()
    findings.look(1_000, 1e6)  # before torch is imported
    findings.attach(recording)
    findings.look(1_000, 9.9)
    findings.look(10, 1e6)
    recording.is_ready = False
    findings.look(1_000, 1e6)
    assert recording.looks == 0
    assert findings.text == ""


def _failing_in(file: str, found: Trace) -> FindingsSoFar:
    """A look that fails at a line of this file."""
    scope: dict[str, Any] = {}
    exec(compile("def trace():\n    raise RuntimeError('changed size')", file, "exec"), scope)
    recording = Recorded(found, Clock())
    recording.trace = scope["trace"]  # type: ignore[method-assign]
    findings = FindingsSoFar()
    findings.attach(recording)
    return findings


def test_a_judge_that_fails_says_nothing(forgetful: Trace) -> None:
    findings = _failing_in(findings_so_far.__file__, forgetful)
    findings.look(1_000, 1e6)
    assert findings.text == ""


def test_what_a_signal_handler_raises_during_a_look_comes_through(forgetful: Trace) -> None:
    findings = _failing_in("train.py", forgetful)
    with pytest.raises(RuntimeError, match="changed size"):
        findings.look(1_000, 1e6)


def test_the_worst_is_told_and_how_many_more_there_are(
    forgetful: Trace, monkeypatch: pytest.MonkeyPatch
) -> None:
    severities: list[Severity] = ["error", "warning", "warning", "info"]
    found = [Finding(f"GS{i}", "a-name", s, "", Where()) for i, s in enumerate(severities, 1)]
    report = Report(forgetful, findings=tuple(found))
    monkeypatch.setattr(findings_so_far, "diagnose", lambda *_, **__: report)
    findings = FindingsSoFar()
    findings.attach(Recorded(forgetful, Clock()))
    findings.look(1_000, 1e6)
    assert findings.text == "so far GS1 a-name, and 2 more"


def test_the_line_waits_for_the_first_look(
    forgetful: Trace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    clock, err = Clock(), Terminal()
    findings = FindingsSoFar(ignore=("GS401",))
    findings.attach(Recorded(forgetful, clock))
    line = ProgressLine(err, (), clock, findings)
    line(0)
    clock.now = 9.0
    line(450)
    assert shown_at(err.getvalue()) == "gradscope: 451 backwards, 50/s, 9 s"
    clock.now = 20.0
    line(1000)
    assert shown_at(err.getvalue()).endswith("1,001 backwards, 50/s, 20 s, so far nothing found")


def test_the_users_words_cannot_move_the_cursor(forgetful: Trace) -> None:
    step = forgetful.steps[0]
    assert step.source is not None
    clock = Clock()
    hostile = replace(step.source, file="/tmp/\x1b[2J\u202e.py")
    steps = tuple(replace(s, source=hostile) for s in forgetful.steps)
    updates = tuple(replace(u, source=hostile) for u in forgetful.updates)
    findings = FindingsSoFar()
    findings.attach(Recorded(replace(forgetful, steps=steps, updates=updates), clock))
    findings.look(1_000, 1e6)
    assert findings.text.startswith("so far GS401 accumulated-gradient at \\x1b[2J\\u202e.py:")


def test_on_a_real_terminal_and_the_run_is_the_same_to_the_bit(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(FORGETFUL)
    (tmp_path / "eager.py").write_text(EAGER)
    plain = subprocess.run(
        [sys.executable, "train.py"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    args = ("render", "-o", "out.json", "train.py", "slowly")
    shown = shown_by(tmp_path, "eager.py", *args, COLUMNS="120")
    assert "s, so far GS401 accumulated-gradient at train.py:" in shown.split("bits")[0]
    assert plain.stdout.strip() in shown
    assert shown_at(shown) == ""
