"""Calls of the training step in the wrong order: clipping, unscaling, the learning rate schedule.

What: One of three habits. Gradients are clipped before the backward that fills them, or after the
step that has used them, and never in between, so that no update is clipped. Gradients that a
``GradScaler`` has multiplied are clipped before ``unscale_`` divides them again, so that the
threshold means something else in every step. Or a schedule in the loop steps before its optimizer
ever has, so that the first learning rate is never used.

Why it hurts: The call is there and everybody believes that it works.

Example::

    optimizer.zero_grad()
    clip_grad_norm_(model.parameters(), 1.0)
    loss.backward()
    optimizer.step()

Instead::

    optimizer.zero_grad()
    loss.backward()
    clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from gradscope.diagnose.optimizers import Optimizer, optimizers
from gradscope.diagnose.rule import Rule
from gradscope.diagnose.run import Run
from gradscope.diagnose.words import code, count, name, place
from gradscope.model.events import Call
from gradscope.model.finding import Finding, Where

RULE = Rule("GS407", "clip-before-backward", "Clipping, unscaling or schedule in the wrong order.")

SEEN = 3
MOST = 0.5  # share of the updates with a clip
CLIPS = ("clip", "clip_value")


def check(run: Run) -> Iterator[Finding]:
    """One finding per optimizer and habit."""
    for optimizer in optimizers(run):
        clips = [c for c in optimizer.calls if c.kind in CLIPS and c.limit != math.inf]
        yield from _in_vain(optimizer, clips)
        yield from _scaled(optimizer)
        yield from _scheduled_first(optimizer)


def _in_vain(optimizer: Optimizer, clips: Sequence[Call]) -> Iterator[Finding]:
    """Clips that no update ever saw."""
    windows: dict[int, list[Call]] = {}
    for clip in clips:
        update = optimizer.behind(clip)
        if update is not None:
            windows.setdefault(update.index, []).append(clip)
    vain = [found[0] for found in windows.values() if all(_is_early(optimizer, c) for c in found)]
    if len(vain) >= SEEN and len(vain) >= MOST * len(windows):
        yield _finding_in_vain(vain, len(windows))


def _is_early(optimizer: Optimizer, clip: Call) -> bool:
    """Whether nothing has arrived since the step before it, but does until the next one."""
    before, behind = optimizer.before(clip), optimizer.behind(clip)
    if behind is None:
        return False
    since = before.after_step if before is not None else -1
    arrives = optimizer.reached_between(clip.after_step, behind.after_step)
    return arrives > 0 and not optimizer.reached_between(since, clip.after_step)


def _finding_in_vain(vain: Sequence[Call], of: int) -> Finding:
    clip = vain[len(vain) // 2]
    empty = sum(c.value == 0 for c in vain)
    what = "gradients that are still empty" if empty * 2 > len(vain) else "gradients of the past"
    return RULE.finding(
        "warning",
        f"{_call(clip)} clips {what}: no backward has run since the step before, and the next "
        f"step uses what the next backward adds, unclipped ({len(vain)} of {count(of, 'update')})",
        where=Where(source=clip.source),
        steps=(max(vain[0].after_step, 0), max(vain[-1].after_step, 0)),
        seen=len(vain),
        of=of,
        evidence={"empty": empty, "order": "before backward"},
        cause="Clipping stands before backward, or behind the optimizer's step.",
        fix="loss.backward(); clip_grad_norm_(model.parameters(), max_norm); optimizer.step()",
        silence="Clipping between backward and step.",
    )


def _scaled(optimizer: Optimizer) -> Iterator[Finding]:
    """Clips of gradients that are still multiplied by the scaler's factor."""
    early: list[Call] = []
    windows = 0
    clip: Call | None = None
    unscaled = False
    for call in optimizer.calls:
        if call.kind in CLIPS and call.limit != math.inf:
            clip = clip if unscaled or clip else call
        elif call.kind == "unscale":
            unscaled = True
        elif call.kind == "scaler_step":
            windows += 1
            early += [clip] if clip else []
            clip, unscaled = None, False
    if len(early) >= SEEN and len(early) >= MOST * windows:
        yield _finding_scaled(optimizer, early, windows)


def _finding_scaled(optimizer: Optimizer, early: Sequence[Call], of: int) -> Finding:
    clip = early[-1]
    return RULE.finding(
        "warning",
        f"{_call(clip)} clips gradients that the GradScaler has multiplied and not yet divided "
        f"again ({len(early)} of {count(of, 'scaled step')})",
        where=Where(source=clip.source),
        steps=(max(early[0].after_step, 0), max(early[-1].after_step, 0)),
        seen=len(early),
        of=of,
        evidence={"order": "before unscale_", "optimizer": optimizer.label, "limit": clip.limit},
        cause="backward() of a scaled loss fills .grad with gradients times the scale, often "
        "65536, which scaler.step() divides out only later.",
        fix="scaler.unscale_(optimizer); clip_grad_norm_(model.parameters(), max_norm)",
        silence="scaler.unscale_(optimizer) before clipping.",
    )


def _scheduled_first(optimizer: Optimizer) -> Iterator[Finding]:
    """A schedule in the loop whose first step comes before the optimizer's."""
    calls = optimizer.calls
    steps = [call for call in calls if call.kind == "scheduler_step"]
    if not steps or not optimizer.updates:
        return
    first = steps[0]
    early = optimizer.before(first) is None and first.count == 1
    # A line that runs only before training fast-forwards to where an earlier run has stopped.
    again = [c for c in steps if c.source == first.source and optimizer.before(c) is not None]
    skipped = any(call.kind == "scaler_step" for call in calls[: calls.index(first)])
    if early and not skipped and len(again) >= SEEN - 1:
        yield _finding_scheduled(optimizer, first, len(again) + 1)


def _finding_scheduled(optimizer: Optimizer, first: Call, seen: int) -> Finding:
    step = optimizer.updates[0]
    return RULE.finding(
        "warning",
        f"{_call(first)} runs before {optimizer.label} has stepped for the first time"
        f"{place(step.source)}: the first learning rate of the schedule is never used",
        where=Where(source=first.source),
        steps=(max(first.after_step, 0), max(step.after_step, 0)),
        seen=seen,
        of=seen,
        evidence={"order": "schedule before step", "optimizer": optimizer.label},
        cause="The schedule steps at the beginning of the loop, as before PyTorch 1.1.",
        fix="optimizer.step(); scheduler.step()  # in this order, the schedule last",
        silence="The schedule's step behind the optimizer's.",
    )


def _call(call: Call) -> str:
    if call.source is None:
        return name(call.kind)
    return f"{name(code(call.source))}{place(call.source)}"
