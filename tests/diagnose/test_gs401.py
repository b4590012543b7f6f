from __future__ import annotations

from array import array
from dataclasses import replace

import pytest

from gradscope.diagnose import diagnose
from gradscope.model.trace import Trace
from tests.builders import line
from tests.diagnose.traces import judge, parameter, update_trace, updates


def missing(count: int = 120) -> tuple[list[int], list[int]]:
    return [1] * count, list(range(count))


def test_a_missing_zero_grad_reads_as_the_answer() -> None:
    p = parameter(update=updates(*missing()))
    (finding,) = judge(update_trace(p, count=120), "GS401")
    assert finding.severity == "error"
    assert finding.message == (
        "`loss.backward()` (train.py:23) adds to gradients that `optimizer.step()` (train.py:24) "
        "already used: call optimizer.zero_grad() first (119 of 120 updates)"
    )
    assert finding.where.source is not None
    assert finding.where.source.line == 23
    assert finding.where.parameter == "net.0.weight"
    assert (finding.steps, finding.seen, finding.of) == ((1, 119), 119, 120)
    assert finding.evidence["most_summed"] == 120
    assert finding.fix.splitlines()[0] == "optimizer.zero_grad()"


def test_all_parameters_with_the_same_story_give_one_finding() -> None:
    many = [parameter(i, update=updates(*missing(9))) for i in range(50)]
    (finding,) = judge(update_trace(*many, count=9), "GS401")
    assert finding.evidence["parameters"] == 50
    assert finding.where.parameter == ""


def test_two_optimizers_give_two_findings() -> None:
    trace = update_trace(
        parameter(0, update=updates([1, 1, 1], [0, 1, 2])),
        parameter(1, update=updates([1, 1, 1], [0, 1, 2])),
        count=6,
    )
    second = trace.parameters[1].updates
    second.update[:] = array("i", [3, 4, 5])
    labels = [("SGD", "self.opt_g.step()")] * 3 + [("Adam", "opts['d'].step()")] * 3
    trace = Trace(
        steps=trace.steps,
        updates=tuple(
            type(u)(u.index, u.after_step, "optimizer", label, line(30, text))
            for u, (label, text) in zip(trace.updates, labels, strict=True)
        ),
        parameters=trace.parameters,
    )
    found = judge(trace, "GS401")
    assert {f.message.split("call ")[1].split(".zero")[0] for f in found} == {
        "self.opt_g",
        "opts['d']",
    }


def test_an_update_by_hand_is_told_to_clear_the_gradient() -> None:
    w = parameter(0, "w", update=updates(*missing(25)), optimizer="")
    b = parameter(1, "b", update=updates(*missing(25)), optimizer="")
    (finding,) = judge(update_trace(w, b, count=25), "GS401")
    assert "the update by hand already used: clear .grad of `w`, `b` after it" in finding.message
    assert finding.fix.startswith("w.grad = None")


@pytest.mark.parametrize(
    ("text", "call", "owner"),
    [
        ("opt.step()", "opt.step()", "opt"),
        ("self.trainer.optim.step()", "self.trainer.optim.step()", "self.trainer.optim"),
        ("opts[i].step()", "opts[i].step()", "opts[i]"),
        ("scaler.step(adam)", "scaler.step(adam)", "adam"),
        ("if i % 4: opt.step(); sched.step()", "opt.step()", "opt"),
        ("train_one()", "optimizer.step()", "optimizer"),
    ],
)
def test_the_optimizer_is_called_as_the_user_calls_it(text: str, call: str, owner: str) -> None:
    p = parameter(update=updates(*missing(4)))
    (finding,) = judge(update_trace(p, count=4, step=line(9, text)), "GS401")
    assert f"that `{call}` (train.py:9) already used" in finding.message
    assert f"call {owner}.zero_grad() first" in finding.message


def test_an_optimizer_that_updates_inside_its_step_needs_it_in_the_closure() -> None:
    p = parameter(update=updates(*missing(12)), optimizer="LBFGS")
    trace = update_trace(p, count=12)
    by_hand = tuple(replace(u, by="hand", optimizer="", source=None) for u in trace.updates)
    (finding,) = judge(replace(trace, updates=by_hand), "GS401")
    assert "LBFGS already used: call zero_grad() in the closure first" in finding.message
    assert finding.fix.startswith("def closure():")


def test_rows_of_updates_that_a_cut_recording_lost_are_left_out() -> None:
    p = parameter(update=updates(*missing(20)))
    trace = update_trace(p, count=20)
    (finding,) = judge(replace(trace, updates=trace.updates[:10]), "GS401")
    assert finding.seen == 9


def test_zero_grad_in_the_wrong_loop_is_told_apart_from_none() -> None:
    carried = [i % 6 for i in range(24)]
    p = parameter(update=updates([1] * 24, carried))
    (finding,) = judge(update_trace(p, count=24), "GS401")
    assert "before every backward, not now and then (20 of 24 updates)" in finding.message
    assert finding.evidence["clearings"] == 3
    assert "outside of the loop" in finding.cause


@pytest.mark.parametrize(
    ("fresh", "carried"),
    [
        ([1] * 50, [0] * 50),  # zero_grad before every backward
        ([8] * 20, [0] * 20),  # eight micro-batches per step
        ([20, 3, 25], [0, 0, 0]),  # LBFGS closures
        ([2] * 30, [0] * 30),  # two losses over one graph
        ([1, 0, 1, 0], [0, 1, 0, 1]),  # a second step() without a new backward
        ([], []),
    ],
)
def test_what_is_no_accumulation(fresh: list[int], carried: list[int]) -> None:
    p = parameter(update=updates(fresh, carried))
    assert judge(update_trace(p, count=len(fresh)), "GS401") == []


def test_a_single_slip_is_only_a_warning() -> None:
    p = parameter(update=updates([1] * 40, [0] * 39 + [1]))
    (finding,) = judge(update_trace(p, count=40), "GS401")
    assert finding.severity == "warning"
    assert finding.message.endswith("(1 of 40 updates)")


def test_parameters_that_are_cleared_are_not_named() -> None:
    clean = parameter(0, "encoder.weight", update=updates([1] * 9, [0] * 9))
    stale = parameter(1, "decoder.weight", update=updates(*missing(9)))
    (finding,) = judge(update_trace(clean, stale, count=9), "GS401")
    assert finding.where.parameter == "decoder.weight"
    assert finding.evidence["parameters"] == 1


def test_lines_that_are_not_known_are_left_out() -> None:
    p = parameter(update=updates(*missing(4)))
    (finding,) = judge(update_trace(p, count=4, backward=None, step=None), "GS401")
    assert finding.message.startswith("backward adds to gradients that `optimizer.step()` already")
    assert finding.where.source is None


def test_a_comment_behind_the_line_is_not_quoted() -> None:
    p = parameter(update=updates(*missing(4)))
    noisy = line(7, 'loss("#").backward()  # TODO: zero_grad?')
    (finding,) = judge(update_trace(p, count=4, backward=noisy), "GS401")
    assert finding.message.startswith('`loss("#").backward()` (train.py:7) adds')


def test_the_shape_of_the_loop_does_not_matter() -> None:
    """Three micro-batches per update and no zero_grad."""
    p = parameter(update=updates([3] * 10, [3 * i for i in range(10)]))
    report = diagnose(update_trace(p, count=10, per_update=3))
    (finding,) = report.findings
    assert finding.evidence["most_summed"] == 30
    assert finding.seen == 9
