"""Gradients are cleared between backward and step, so that the step finds none.

What: At most steps of an optimizer every gradient that arrived at its parameters since its step
before was cleared again, by ``zero_grad``, ``p.grad = None`` or ``p.grad.zero_()``, and nothing
new arrived. So does a loop over micro-batches that clears at every one of them and steps after
several: only the last one counts. Any other gradient that is cleared before another backward (the
other player's of a GAN, a probe of its size, an evaluation) is none of this.

Why it hurts: The parameters stay where they are, or drift with momentum and weight decay alone,
and no error tells. Of micro-batches, most of the work is for nothing, and the batch is smaller
than it was meant to be.

Example::

    loss.backward()
    optimizer.zero_grad()
    optimizer.step()

Instead::

    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from gradscope.diagnose.optimizers import Optimizer, optimizers
from gradscope.diagnose.rule import Rule
from gradscope.diagnose.run import Run
from gradscope.diagnose.thrown import Thrown, thrown
from gradscope.diagnose.words import code, count, name, place
from gradscope.model.events import Call
from gradscope.model.finding import Finding, Where
from gradscope.model.graph import Source
from gradscope.model.trace import Update

RULE = Rule("GS402", "zeroed-before-step", "Gradients are cleared before the step that needs them.")

STEPS = 3
MOST = 0.5  # share of the optimizer's steps


def check(run: Run) -> Iterator[Finding]:
    """One finding per optimizer."""
    fed = _fed(run)
    for optimizer in optimizers(run):
        starved = [u for u in _starved(optimizer) if u.index not in fed]
        if len(starved) >= STEPS and len(starved) >= MOST * len(optimizer.updates):
            yield _finding(run, optimizer, starved)
        few = _regular(thrown(run, optimizer))
        lines = Counter(some.cleared for some in few if some.cleared)
        if len(few) >= MOST * len(optimizer.updates) and max(lines.values(), default=0) >= STEPS:
            yield _thrown_finding(optimizer, few, lines.most_common(1)[0][0])


def _regular(few: Iterable[Thrown]) -> list[Thrown]:
    """Those with the usual number of backwards; none where the data seem to be the same."""
    some = list(few)
    if not some or sum(one.wanders for one in some) < MOST * len(some):
        return []
    every = Counter(one.backwards for one in some).most_common(1)[0][0]
    return [one for one in some if one.backwards == every]


def _starved(optimizer: Optimizer) -> Iterator[Update]:
    """Its steps before which the last gradient that arrived was cleared.

    One that was exactly 0, as in an underflow or behind a satisfied hinge, only looks cleared.
    """
    after = -1
    for update in optimizer.updates:
        if update.starved and optimizer.ends_reached(after, update.after_step):
            yield update
        after = update.after_step


def _fed(run: Run) -> set[int]:
    """Updates that found a gradient in some parameter."""
    return {
        update
        for parameter in run.trace.parameters
        for update, fresh, carried in zip(
            parameter.updates.update,
            parameter.updates.fresh,
            parameter.updates.carried,
            strict=True,
        )
        if fresh or carried
    }


def _finding(run: Run, optimizer: Optimizer, starved: Sequence[Update]) -> Finding:
    cleared = _clearing_line(run, optimizer, starved)
    first, last = starved[0], starved[-1]
    how = f"{name(code(cleared))}{place(cleared)} clears" if cleared else "something clears"
    return RULE.finding(
        "error" if len(starved) == len(optimizer.updates) else "warning",
        f"{how} the gradients of {count(first.starved, 'parameter')} after backward and before "
        f"{optimizer.label}.step(){place(first.source)}, which finds none "
        f"({len(starved)} of {count(len(optimizer.updates), 'step')})",
        where=Where(source=cleared or first.source),
        steps=(max(first.after_step, 0), max(last.after_step, 0)),
        seen=len(starved),
        of=len(optimizer.updates),
        evidence={
            "parameters": first.starved,
            "optimizer": optimizer.label,
            "step_line": place(first.source).strip(" ()"),
        },
        cause="The gradients are set to zero or None after backward has filled them.",
        fix="optimizer.zero_grad(); loss.backward(); optimizer.step()  # in this order",
        silence="Clearing before backward or after step().",
    )


def _thrown_finding(optimizer: Optimizer, few: Sequence[Thrown], cleared: Source) -> Finding:
    first, last, of = few[0], few[-1].update, len(optimizer.updates)
    every = few[0].backwards
    step = first.update.source
    return RULE.finding(
        "warning",
        f"{name(code(cleared))}{place(cleared)} clears the gradients at every one of {every} "
        f"backwards, so that {optimizer.label}.step(){place(step)} finds the last one only "
        f"({len(few)} of {count(of, 'step')})",
        where=Where(source=cleared),
        steps=(first.update.after_step, last.after_step),
        seen=len(few),
        of=of,
        evidence={
            "backwards_per_step": every,
            "optimizer": optimizer.label,
            "backward_line": first.backward.location,
            "step_line": place(step).strip(" ()"),
        },
        cause=f"{every - 1} of {every} backwards are thrown away: gradients add up only if "
        "nothing clears them between two steps.",
        fix="if (i + 1) % accumulation_steps == 0:\n"
        "    optimizer.step()\n"
        "    optimizer.zero_grad()  # here, not at every micro-batch",
        silence="zero_grad() once per step, or a step for every backward.",
    )


def _clearing_line(run: Run, optimizer: Optimizer, starved: Sequence[Update]) -> Source | None:
    """The line of the ``zero_grad`` that most often comes first after the backward."""
    calls: dict[int, list[Call]] = {}
    for call in run.trace.calls:
        if call.kind == "zero_grad":
            calls.setdefault(call.after_step, []).append(call)
    others = {facts.label for facts in run.trace.optimizers} - {optimizer.label}
    lines: Counter[Source] = Counter()
    for update in starved:
        found = [
            call.source
            for call in calls.get(update.after_step, ())
            if call.after_update < update.index and call.label not in others and call.source
        ]
        lines.update(found[:1])
    return lines.most_common(1)[0][0] if lines else None
