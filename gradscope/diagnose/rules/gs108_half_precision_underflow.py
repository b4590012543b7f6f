"""Gradients in float16 are so small that the type can hardly hold them, or scaled ones overflow.

What: More than one in twenty of the float16 gradients that are not zero are as small as float16
can be, 2**-24: as many again, or more, have been rounded to 0 on the way. Or a ``GradScaler`` has
skipped most steps of its optimizer, since the gradients it had multiplied were not finite.

Why it hurts: What is rounded away is lost for good: the layers far from the loss learn the
least. And a step that is skipped teaches nothing.

Example::

    model.half()
    criterion(model(x.half()), y).backward()

Instead::

    scaler = torch.amp.GradScaler()
    with torch.autocast("cuda"):                    # or dtype=torch.bfloat16, which needs no scaler
        loss = criterion(model(x), y)
    scaler.scale(loss).backward()
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

from gradscope.diagnose.optimizers import Optimizer, optimizers
from gradscope.diagnose.rule import Rule
from gradscope.diagnose.run import Run, Story
from gradscope.diagnose.words import count, op_in_line, percent, place
from gradscope.model.events import Call
from gradscope.model.finding import Finding, Where
from gradscope.model.graph import Graph, Node
from gradscope.model.trace import Step

RULE = Rule(
    "GS108", "half-precision-underflow", "float16 gradients underflow, or scaled ones overflow."
)

TINY = 0.05  # RULES: share of the elements that are not zero
SEEN = 3
MOST = 0.5
SKIPPED = 5  # calls of scaler.step at least


def check(run: Run) -> Iterator[Finding]:
    """One finding per kind of backward, and one per scaled optimizer."""
    for story in run.stories:
        judged = [(step, found) for step, graph in story.judged if (found := _halves(graph))]
        tiny = [(step, found) for step, found in judged if _share(found) > TINY]
        if len(tiny) >= SEEN and len(tiny) >= MOST * len(judged):
            yield _underflow(run, story, tiny, len(judged))
    for optimizer in optimizers(run):
        steps = [call for call in optimizer.calls if call.kind == "scaler_step"]
        skipped = [call for call in steps if call.value == 0]
        if len(steps) >= SKIPPED and len(skipped) > MOST * len(steps):
            yield _overflow(optimizer, skipped, len(steps))


class _Half:
    """The float16 gradient of one node."""

    def __init__(self, node: Node, tiny: float, alive: float) -> None:
        self.node = node
        self.tiny = tiny
        self.alive = alive  # elements that are not zero


def _halves(graph: Graph) -> list[_Half]:
    found = []
    for index, traits in graph.traits.items():
        stats = graph.gradient(index)
        if traits.tiny_fraction is not None and stats is not None and stats.count:
            alive = stats.count * (1.0 - (stats.zero_fraction or 0.0))
            found.append(_Half(graph.structure.nodes[index], traits.tiny_fraction, alive))
    return found


def _share(found: Sequence[_Half]) -> float:
    alive = sum(half.alive for half in found)
    return sum(half.tiny * half.alive for half in found) / alive if alive else 0.0


def _underflow(
    run: Run, story: Story, tiny: Sequence[tuple[Step, list[_Half]]], of: int
) -> Finding:
    step, found = tiny[-1]
    worst = max(found, key=lambda half: half.tiny * half.alive)
    share = median(_share(halves) for _, halves in tiny)
    scaled = any(call.kind == "scaler_step" for call in run.trace.calls)
    return RULE.finding(
        "warning",
        f"{percent(share)} of the float16 gradients are as small as float16 can be (6e-8), and "
        f"what is smaller has become 0; most at {op_in_line(worst.node)} "
        f"(in {len(tiny)} of {count(of, 'graph')})",
        where=Where(source=story.source, nodes=(worst.node.id,), step=step.index),
        steps=(tiny[0][0].index, step.index),
        seen=len(tiny),
        of=of,
        evidence={"tiny_fraction": share, "nodes": len(found), "scaler": int(scaled)},
        cause="The loss scale is too small."
        if scaled
        else "Gradients are mostly smaller than activations; float16 ends at 6e-8, where float32 "
        "and bfloat16 go down to 1e-38.",
        fix="scaler.scale(loss).backward(); scaler.step(optimizer)  # a torch.amp.GradScaler",
        silence="Loss scaling, bfloat16 or float32, or --ignore GS108.",
    )


def _overflow(optimizer: Optimizer, skipped: Sequence[Call], of: int) -> Finding:
    source = skipped[0].source
    return RULE.finding(
        "warning",
        f"the GradScaler skips {len(skipped)} of {count(of, 'step')} of {optimizer.label}"
        f"{place(source)}, since scaled gradients are not finite",
        where=Where(source=source),
        steps=(max(skipped[0].after_step, 0), max(skipped[-1].after_step, 0)),
        seen=len(skipped),
        of=of,
        evidence={"skipped": len(skipped), "optimizer": optimizer.label},
        cause="The scale is too large to begin with or grows too often, or the gradients are not "
        "finite before they are scaled.",
        fix="scaler = torch.amp.GradScaler(init_scale=2**10, growth_interval=2000)",
        silence="A scale that settles, or --ignore GS108.",
    )
