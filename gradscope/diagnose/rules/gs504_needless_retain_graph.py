"""The graph is kept after backward and never used again.

What: Backwards started by the same line keep their graph (``retain_graph=True``, without
``create_graph``), and no later backward runs into any of it.

Why it hurts: What the graph has saved stays in memory until the next forward overwrites its last
name, so that two steps are held at a time. And the flag hides the error that would tell of a tensor
carried over by accident.

Example::

    loss.backward(retain_graph=True)

Instead::

    loss.backward()
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from gradscope.diagnose.rule import Rule
from gradscope.diagnose.run import Run, Story
from gradscope.diagnose.words import code, count, name, place
from gradscope.model.finding import Finding, Where
from gradscope.model.trace import Step

RULE = Rule("GS504", "needless-retain-graph", "A graph is retained and never used again.")

BACKWARDS = 3  # that are followed by others


def check(run: Run) -> Iterator[Finding]:
    """One finding per kind of backward that keeps its graphs for nothing."""
    reused = _reused(run.trace.steps)
    for story in run.stories:
        keeping = [s for s in story.steps if _keeps(s)]
        judged = [s for s in keeping if s.index in reused]
        if len(judged) < BACKWARDS or 2 * len(keeping) < len(story.steps):
            continue
        if not any(reused[s.index] for s in judged):
            yield _finding(story, judged)


def _keeps(step: Step) -> bool:
    plain = step.kind == "backward" and step.nested_in is None and step.error is None
    return plain and step.keep_graph and not step.create_graph and step.made is not None


def _reused(steps: Sequence[Step]) -> Mapping[int, bool]:
    """Whether a later graph of the thread reaches back into each one.

    Numbers rise as nodes are made, so a later graph that begins behind the end of an earlier one
    has nothing of it. The last graph of a thread, and one after which the next was not walked, are
    not judged.
    """
    lowest: dict[str, int] = {}  # of all later graphs, by thread
    unknown: set[str] = set()  # threads whose next graph was not walked
    found: dict[int, bool] = {}
    for step in reversed(steps):
        thread, made = step.thread, step.made
        if made is None:
            unknown.add(thread)
            continue
        if thread in lowest and thread not in unknown:
            found[step.index] = lowest[thread] <= made[1]
        lowest[thread] = min(made[0], lowest.get(thread, made[0]))
        unknown.discard(thread)
    return found


def _finding(story: Story, judged: Sequence[Step]) -> Finding:
    source = story.source
    line = name(code(source)) if source is not None and source.text else "backward"
    return RULE.finding(
        "info",
        f"{line}{place(source)} keeps its graph in {count(len(judged), 'backward')}, and none of "
        "them is ever used again",
        where=Where(variable=next(filter(None, judged[0].roots), ""), source=source),
        steps=(judged[0].index, judged[-1].index),
        seen=len(judged),
        of=len(story.steps),
        evidence={"backwards": len(judged)},
        cause="retain_graph=True is needed only where another backward runs through the graph.",
        fix="loss.backward()  # without retain_graph",
        silence="--ignore GS504.",
    )
