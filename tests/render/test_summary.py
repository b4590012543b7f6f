from __future__ import annotations

from dataclasses import replace

import pytest

from gradscope.model.finding import Finding, Report, Skipped, Where
from gradscope.model.trace import FAILED_CAPTURES, ScriptError, Step, Trace, Update
from gradscope.render.facts import finding_facts, run_facts
from gradscope.render.summary import (
    checked,
    chosen_graph,
    more_findings,
    plural,
    target_name,
    verdict,
)
from gradscope.render.unseen import unseen
from tests.builders import scalar_graph
from tests.graph_builder import line
from tests.render import reports


def test_verdict_of_a_healthy_run() -> None:
    answer = verdict(reports.regression_report())
    assert answer.kind == "clean"
    assert answer.text == "No problem found in 1,000 backwards of train.py."


def test_a_note_is_no_problem() -> None:
    note = Finding("GS603", "summed-loss", "info", "The loss is a sum.")
    answer = verdict(replace(reports.scalar_report(), findings=(note,)))
    assert answer.text == "No problem found in 1 backward of scalar.py (1 note below)."


def test_the_exception_comes_before_any_finding() -> None:
    report = replace(reports.crash_report(), findings=reports.accumulated_report().findings)
    answer = verdict(report)
    assert (answer.kind, answer.location) == ("crash", "train.py:31")
    assert answer.text.startswith("raised RuntimeError: mat1 and mat2")
    assert "hint" not in answer.text


def test_an_exception_without_message_or_line() -> None:
    error = ScriptError("KeyboardInterrupt", "")
    answer = verdict(Report(Trace(target="-m pkg.train", script_error=error)))
    assert (answer.location, answer.text) == ("", "-m pkg.train raised KeyboardInterrupt")


def test_a_failed_backward_is_never_called_clean() -> None:
    steps = (Step(0), Step(1, source=line(9), error="RuntimeError: freed"))
    answer = verdict(Report(Trace(target="a.py", steps=steps)))
    assert answer.kind == "problem"
    assert answer.location == "train.py:9"
    assert answer.text == "1 of 2 backwards failed: RuntimeError: freed"


@pytest.mark.parametrize(
    ("trace", "ending"),
    [
        (Trace(target="a.py"), "it built no graph either."),
        (Trace(target="a.py", unused_forwards=3), "the graph it built was gone at the end."),
        (Trace(target="a.py", forward_graphs=(scalar_graph(),)), "only forward graphs were built."),
    ],
)
def test_no_backward_is_said_in_one_sentence(trace: Trace, ending: str) -> None:
    text = verdict(Report(trace)).text
    assert text.startswith("a.py ran no backward, so there are no gradients; ")
    assert text.endswith(ending)


@pytest.mark.parametrize(
    ("trace", "though"),
    [
        (Trace(updates=(Update(0, -1), Update(1, -1))), ", though 2 updates ran"),
        (Trace(dropped={"failed": 1}), ""),
    ],
)
def test_a_backward_that_may_have_been_missed_is_not_denied(trace: Trace, though: str) -> None:
    text = verdict(Report(replace(trace, target="a.py"))).text
    assert text == f"No backward of a.py was seen{though}, so there are no gradients to show."


def test_what_was_found_is_not_listed_as_clean() -> None:
    report = reports.accumulated_report()
    assert checked(report) == "exploding gradient, nonfinite gradient"
    assert more_findings(report) == "1 warning"


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("/home/u/train.py", "train.py"),
        (r"C:\u\train.py", "train.py"),
        ("-m pkg.train", "-m pkg.train"),
        ("trace()", "the traced block"),
    ],
)
def test_target_name(target: str, name: str) -> None:
    assert target_name(Trace(target=target)) == name


def test_run_facts_of_a_training() -> None:
    facts = dict(run_facts(reports.regression_report().trace))
    assert facts == {
        "ran": "train.py --epochs 10 (torch 2.13.0, python 3.11.9, cpu)",
        "backwards": "1,000, graph of 5 nodes, 410 µs each (median)",
        "updates": "1,000 by SGD",
        "loss": "9 → 0.00999 (steps 0 to 999)",
        "gradscope": "took 3.1% of the run's 1.9 s",
    }


def test_players_have_a_loss_each_and_nested_runs_are_not_counted() -> None:
    steps = []
    for i in range(0, 9, 3):
        steps += [
            Step(i, source=line(5), roots=("loss_d",), loss=1.0 + i, node_count=4),
            Step(i + 1, source=line(9), roots=("loss_g",), loss=2.0 + i, node_count=6),
            Step(i + 2, kind="grad", nested_in=i + 1, error="RuntimeError: x" if i else None),
        ]
    updates = tuple(
        Update(i, i, "optimizer" if i else "hand", "Adam" if i else "") for i in range(3)
    )
    facts = run_facts(Trace(target="gan.py", steps=tuple(steps), updates=updates))
    assert facts == [
        ("ran", "gan.py"),
        ("backwards", "6, graphs of 4 to 6 nodes, 3 more ran inside them"),
        ("failed", "2 with RuntimeError: x"),
        ("updates", "2 by Adam, 1 by hand"),
        ("loss", "loss_d: 1 → 7 (steps 0 to 6)"),
        ("loss", "loss_g: 2 → 8 (steps 1 to 7)"),
    ]


def test_many_losses_are_counted() -> None:
    steps = tuple(Step(i, source=line(i), roots=(f"l{i}",), loss=1.0) for i in range(7))
    losses = [text for label, text in run_facts(Trace(steps=steps)) if label == "loss"]
    assert losses == ["l0: 1", "l1: 1", "l2: 1", "l3: 1", "and from 3 other places"]


def test_the_shown_graph_is_the_worst_findings() -> None:
    report = reports.regression_report()
    found = Finding("GS101", "a", "warning", "m", Where(step=500))
    gone = Finding("GS102", "b", "error", "m", Where(step=123))
    chosen = chosen_graph(replace(report, findings=(gone, found)))
    assert chosen is not None
    assert chosen.step == 500
    last = chosen_graph(report)
    assert last is not None
    assert last.step == 999
    assert chosen_graph(Report(Trace())) is None


def test_finding_facts() -> None:
    facts = dict(finding_facts(reports.accumulated_report().findings[0]))
    assert facts["where"] == "parameter `net.0.weight`"
    assert facts["seen"] == "119 of 120, steps 1 to 119"
    assert facts["numbers"] == "parameters 4, largest sum 120, norm ratio 61.2"
    assert list(facts) == ["cause", "where", "seen", "numbers", "silence"]


def test_a_backtick_in_a_name_does_not_end_its_code() -> None:
    found = Finding("GS101", "a", "info", "m", Where(op="a`b"), evidence={"op": "", "x_y": 1})
    assert finding_facts(found) == [
        ("where", "op `a'b`"),
        ("seen", "step 0"),
        ("numbers", "x y 1"),
    ]


@pytest.mark.parametrize(
    ("count", "noun", "text"),
    [(1, "node", "1 node"), (0, "node", "0 nodes"), (2000, "pass", "2,000 passes")],
)
def test_plural(count: int, noun: str, text: str) -> None:
    assert plural(count, noun) == text


def test_unseen_names_every_gap() -> None:
    graph = scalar_graph()
    cut = replace(graph, structure=replace(graph.structure, truncated=7))
    steps = (Step(0, graph=cut), Step(1, level="params"), Step(2, level="ops"))
    trace = Trace(
        steps=steps,
        forward_graphs=(graph,),
        unused_forwards=1,
        dropped={"tensors of a function transform": 4},
        notes=("A note.",),
    )
    skipped = (Skipped("GS1", "no x."), Skipped("GS2", "no x."), Skipped("GS3", "boom", True))
    assert unseen(Report(trace, skipped=skipped)) == (
        "A note.",
        "Whole graphs: kept for 1 of 3 backwards (step 0); 1 was seen at its parameters only.",
        "The graph of step 0 is cut: 7 nodes were not walked.",
        "1 forward graph (5 nodes) had no backward: values are known, gradients are not.",
        "1 torch call built graph that no backward used.",
        "tensors of a function transform: 4.",
        "GS1, GS2 did not run: no x.",
        "GS3 failed inside gradscope: boom",
    )


def test_a_run_seen_whole_has_nothing_unseen() -> None:
    assert unseen(reports.scalar_report()) == ()


def test_many_kept_graphs_are_not_all_named() -> None:
    graph = scalar_graph()
    steps = tuple(Step(i, graph=graph if i % 2 == 0 else None) for i in range(20))
    (sentence,) = unseen(Report(Trace(steps=steps)))
    assert sentence == "Whole graphs: kept for 10 of 20 backwards (steps 0, 2, 4, 6, 8, 10 … 18)."


def test_steps_seen_at_the_parameters_only_belong_to_the_named_loss() -> None:
    steps = tuple(
        Step(i, source=line(5), roots=("loss",) if i < 3 else (), loss=9.0 - i) for i in range(9)
    )
    losses = [text for label, text in run_facts(Trace(steps=steps)) if label == "loss"]
    assert losses == ["9 → 1 (steps 0 to 8)"]


def test_losses_of_one_shared_line_are_told_apart_by_name() -> None:
    steps = tuple(Step(i, source=line(5), roots=("dg"[i % 2],), loss=1.0 + i) for i in range(4))
    losses = [text for label, text in run_facts(Trace(steps=steps)) if label == "loss"]
    assert losses == ["d: 1 → 3 (steps 0 to 2)", "g: 2 → 4 (steps 1 to 3)"]


def test_the_place_is_not_said_twice() -> None:
    found = Finding(
        "GS401", "a", "error", "`x` (train.py:8) adds to `y` (b.py:9)", Where(source=line(8))
    )
    answer = verdict(Report(Trace(steps=(Step(0),)), (found,)))
    assert (answer.location, answer.text) == ("train.py:8", "`x` adds to `y` (b.py:9)")


def test_captures_that_failed_are_not_called_no_backward() -> None:
    text = verdict(Report(Trace(target="a.py", dropped={FAILED_CAPTURES: 4}))).text
    assert text == "No backward of a.py could be captured: that failed 4 times."
