from __future__ import annotations

import time
from array import array
from collections.abc import Iterable
from dataclasses import replace

from gradscope.diagnose import diagnose
from gradscope.diagnose.run import GRAPHS_PER_STORY, NODES_PER_STORY, Run
from gradscope.model.trace import GradientHistory, Step, Trace, Update
from tests.builders import chain_graph, gpt2_like_graph, line
from tests.diagnose.traces import NAN, gradients, history_trace, parameter, updates


def reached(steps: Iterable[int]) -> GradientHistory:
    """Gradients of norm 1 in those steps only."""
    indices = list(steps)
    return replace(gradients([1.0] * len(indices)), step=array("i", indices))


def stories(*members: Iterable[int], backwards: int) -> list[list[int]]:
    """Step indices per story, with one parameter for every given range of steps."""
    trace = Trace(
        steps=tuple(Step(i, source=line(9)) for i in range(backwards)),
        parameters=tuple(parameter(i, gradient=reached(m)) for i, m in enumerate(members)),
    )
    return [[step.index for step in story.steps] for story in Run(trace).stories]


def test_two_players_on_one_line_are_two_stories() -> None:
    found = stories(range(0, 12, 2), range(1, 12, 2), backwards=12)
    assert found == [[0, 2, 4, 6, 8, 10], [1, 3, 5, 7, 9, 11]]


def test_one_network_is_one_story() -> None:
    assert stories(range(12), range(12), backwards=12) == [list(range(12))]


def test_experts_that_take_turns_stay_one_story() -> None:
    members = [range(i, 20, 5) for i in range(5)]
    assert stories(*members, backwards=20) == [list(range(20))]


def test_a_parameter_that_is_missing_once_splits_nothing() -> None:
    assert stories(range(12), [*range(5), *range(6, 12)], backwards=12) == [list(range(12))]


def test_other_lines_are_other_stories_and_other_names_are_not() -> None:
    steps = [Step(i, source=line(9 + i % 2), roots=(f"losses[{i}]",)) for i in range(8)]
    found = Run(Trace(steps=tuple(steps))).stories
    assert [[s.index for s in story.steps] for story in found] == [[0, 2, 4, 6], [1, 3, 5, 7]]


def test_the_first_and_the_last_graph_are_always_judged() -> None:
    graph = chain_graph(3)
    steps = tuple(Step(i, source=line(9), graph=graph) for i in range(100))
    (story,) = Run(Trace(steps=steps)).stories
    indices = [step.index for step, _ in story.judged]
    assert (indices[0], indices[-1], len(indices)) == (0, 99, GRAPHS_PER_STORY)


def test_large_graphs_are_judged_less_often() -> None:
    graph = chain_graph(NODES_PER_STORY // 4)
    steps = tuple(Step(i, source=line(9), graph=graph) for i in range(20))
    (story,) = Run(Trace(steps=steps)).stories
    assert [step.index for step, _ in story.judged] == [0, 9, 19]


def test_a_nan_without_other_measurements_is_believed_when_the_loss_is_lost() -> None:
    norms = [1.0] * 5 + [NAN] * 3
    doubtful = history_trace(norms, lambda i: 1.0)
    doubtful.parameters[0].gradients.zero_fraction[5:] = array("f", [NAN] * 3)
    assert Run(doubtful).nonfinite_steps == ()
    lost = tuple(replace(s, loss=NAN) if s.index > 5 else s for s in doubtful.steps)
    assert Run(replace(doubtful, steps=lost)).nonfinite_steps == (5, 6, 7)


def test_norms_are_over_all_parameters() -> None:
    trace = Trace(
        parameters=(
            parameter(0, gradient=gradients([3.0, 1.0])),
            parameter(1, gradient=gradients([4.0])),
        )
    )
    assert dict(Run(trace).norms) == {0: 5.0, 1: 1.0}


def test_2000_steps_of_a_large_model_are_judged_in_less_than_2_seconds() -> None:
    graph = gpt2_like_graph()
    history = gradients([1.0 + i % 7 for i in range(2000)])
    steps = tuple(
        Step(i, source=line(9), loss=3.0, graph=graph if i % 170 == 0 else None)
        for i in range(2000)
    )
    accumulated = updates([1] * 2000, list(range(2000)))
    trace = Trace(
        steps=steps,
        updates=tuple(Update(i, i, "optimizer", "AdamW") for i in range(2000)),
        parameters=tuple(parameter(i, gradient=history, update=accumulated) for i in range(148)),
    )
    began = time.process_time()
    report = diagnose(trace)
    assert time.process_time() - began < 2.0
    assert "GS401" in {f.code for f in report.findings}
