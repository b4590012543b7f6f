"""Backward after backward, and an optimizer that never steps.

What: An optimizer was made, gradients arrive at its parameters and are cleared again and again, or
pile up over many backwards, but its ``step()`` is never called and nobody else changes the
parameters either. It is an error where nothing at all is updated in the run. Where no optimizer
was made, the same is only told, and only of a loop whose losses repeat to the last digit: a
program that computes gradients for their own sake (saliency maps, Fisher information) is none of
this.

Why it hurts: The model stays as it was initialised. The loss changes from batch to batch, which
looks like noise.

Example::

    optimizer.zero_grad()
    loss.backward()
    scheduler.step()            # not optimizer.step()

Instead::

    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

from gradscope.diagnose.optimizers import Optimizer, arrivals, optimizers
from gradscope.diagnose.rule import Rule
from gradscope.diagnose.run import Run, Story
from gradscope.diagnose.words import count, number, place
from gradscope.model.events import Call
from gradscope.model.finding import Finding, Where

RULE = Rule("GS405", "missing-step", "An optimizer was made but never steps.")

ROUNDS = 3  # of backward and clearing
PILED = 20  # backwards that are never cleared: more micro-batches than anybody sums
REPEATED = 10  # backwards of a loop without optimizer
DISTINCT = 0.5  # share of different losses among them


def check(run: Run) -> Iterator[Finding]:
    """One finding per optimizer, or one for the loop without any."""
    known = optimizers(run)
    idle = [optimizer for optimizer in known if _never_steps(optimizer, known)]
    for optimizer in idle:
        calls = [c for c in run.trace.calls if c.label == optimizer.label]
        rounds = _rounds(run, optimizer)
        alone = not run.trace.updates
        if rounds >= ROUNDS and (alone or _rounds_of(calls) >= ROUNDS):
            yield _finding(run, optimizer, rounds, alone, calls)
        elif alone and len(optimizer.reached) >= PILED:
            yield _finding(run, optimizer, 0, alone, calls)
    if not known and not run.trace.updates:
        yield from _without_optimizer(run)


def _never_steps(optimizer: Optimizer, known: Sequence[Optimizer]) -> bool:
    """Whether it and all that hold the same parameters stand still, and nobody else moves them."""
    if optimizer.facts.steps or not optimizer.reached:
        return False
    held = set(optimizer.facts.parameters)
    if any(other.facts.steps and held & set(other.facts.parameters) for other in known):
        return False
    return not any(len(parameter.updates) for parameter in optimizer.held)


def _rounds(run: Run, optimizer: Optimizer) -> int:
    """How often its gradients were cleared, by any zero_grad, after a backward had reached it.

    Backwards of another player may lie between the two.
    """
    others = {facts.label for facts in run.trace.optimizers} - {optimizer.label}
    calls = [c for c in run.trace.calls if c.label not in others]
    ends = sorted({c.after_step for c in calls if c.kind == "zero_grad"})
    return sum(
        optimizer.reached_between(after, until) > 0 for after, until in pairwise([-1, *ends])
    )


def _rounds_of(calls: Sequence[Call]) -> int:
    return len({c.after_step for c in calls if c.kind == "zero_grad" and c.after_step >= 0})


def _finding(
    run: Run, optimizer: Optimizer, rounds: int, alone: bool, calls: Sequence[Call]
) -> Finding:
    reached = optimizer.reached
    backward = run.step(reached[-1])
    skipped = [c for c in calls if c.kind == "scaler_step"]
    scheduled = any(c.kind == "scheduler_step" for c in calls)
    made = optimizer.facts.source
    then = f"cleared {count(rounds, 'time')}" if rounds else "never used"
    return RULE.finding(
        "error" if alone and not skipped else "warning",
        f"{optimizer.label}{place(made)} never steps: gradients arrive at "
        f"{count(len(optimizer.held), 'parameter')} in {count(len(reached), 'backward')} and are "
        f"{then}" + (", while its learning rate schedule advances" if scheduled else ""),
        where=Where(
            parameter=optimizer.held[0].name,
            source=(backward.source if backward else None) or made,
        ),
        steps=(reached[0], reached[-1]),
        seen=len(reached),
        of=len(reached),
        evidence={
            "optimizer": optimizer.label,
            "parameters": len(optimizer.held),
            "cleared": rounds,
            "skipped_by_scaler": sum(c.count for c in skipped if c.value == 0),
        },
        cause="Every step was skipped, since the scaled gradients were not finite."
        if skipped
        else "optimizer.step() is missing in the loop, or under a condition that never holds.",
        fix="optimizer.step()  # after loss.backward()",
        silence="No optimizer, where the gradients are wanted for their own sake.",
    )


def _without_optimizer(run: Run) -> Iterator[Finding]:
    """A loop that goes round the same data and gets the same losses every time."""
    for story in run.stories:
        losses = [s.loss for s in story.steps if s.loss is not None and math.isfinite(s.loss)]
        repeats = len(losses) >= REPEATED and len(set(losses)) <= DISTINCT * len(losses)
        alive = any(run.norms.get(step.index, 0.0) > 0 for step in story.steps)
        if story.steps[0].kind == "backward" and repeats and alive:
            yield _repeating(run, story, losses)


def _repeating(run: Run, story: Story, losses: Sequence[float]) -> Finding:
    steps = {step.index for step in story.steps}
    trained = [p for p in run.trace.parameters if len(steps.intersection(arrivals(p))) >= ROUNDS]
    return RULE.finding(
        "info",
        f"nothing is updated: {count(len(losses), 'backward')} give "
        f"{count(len(set(losses)), 'loss', 'losses')} in all (the last is {number(losses[-1])})",
        where=Where(parameter=trained[0].name if trained else "", source=story.source),
        steps=(story.steps[0].index, story.steps[-1].index),
        seen=len(losses),
        of=len(losses),
        evidence={"losses": len(set(losses)), "parameters": len(trained)},
        cause="The parameters are never changed in place: an assignment such as w = w - lr * g "
        "makes a new tensor.",
        fix="with torch.no_grad(): w -= lr * w.grad",
        silence="Gradients that are wanted for their own sake, or --ignore GS405.",
    )
