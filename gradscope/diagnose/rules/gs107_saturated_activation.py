"""A tanh or sigmoid inside the network is flat nearly everywhere, and starves the layers below.

What: In at least half of the graphs judged, and in the last one, more than half of an activation's
elements are where it is flat (|tanh| > 0.99, or a sigmoid whose derivative is below 0.01), the
gradient that it passes on is less than 0.3 of what it would pass on around 0, and trained layers
lie on both sides of it. Gates, the output of the network, and networks that saturate while they
converge are left alone.

Why it hurts: Where an activation is flat its derivative is near 0. The layers below learn many
times more slowly than those above, or not at all.

Example::

    h = torch.tanh(layer(pixels))           # pixels from 0 to 255: every unit at -1 or 1

Instead::

    h = torch.tanh(layer((pixels - pixels.mean()) / pixels.std()))
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from gradscope.analysis.paths import direct_leaves, edge_norm, op_base, received_norm
from gradscope.diagnose.around import towards_loss
from gradscope.diagnose.rule import CannotJudgeError, Rule
from gradscope.diagnose.run import Run, Story
from gradscope.diagnose.sites import Reading, is_gate, readings_by_site, steps_of, trained_in
from gradscope.diagnose.words import count, number, op_in_line, percent
from gradscope.model.finding import Finding, Where

RULE = Rule("GS107", "saturated-activation", "A tanh or sigmoid that is flat nearly everywhere.")

GRAPHS = 3  # RULES: a statistical rule speaks after so many
HABIT = 0.5  # RULES: and in at least this share of those seen
SHARE = 0.5  # RULES: of the elements
STARVES = 0.3  # of the slope around 0: 77 % flat and the rest steep
SLOPES = {"Sigmoid": 0.25, "Tanh": 1.0}
SOLVED = 0.05  # of the first loss: who gets there learns in spite of it
CONVERGING = 0.5  # of the first loss, where the activation was not flat from the start


@dataclass(frozen=True)
class Flat:
    """A site that starves what is behind it.

    Attributes:
        readings: Where it was flat.
        share: Flat elements, 0 to 1, in the last graph.
        gain: Gradient passed on for gradient received, in the last graph.
        seen: Steps in which it was flat.
        of: Steps in which it was asked.
    """

    readings: tuple[Reading, ...]
    share: float
    gain: float
    seen: tuple[int, ...]
    of: tuple[int, ...]


def check(run: Run) -> Iterator[Finding]:
    """One finding per kind of backward, about the first such activation in forward order."""
    if run.trace.steps and not run.trace.graphs:
        raise CannotJudgeError("no graph was recorded, only parameters: record at level ops")
    for story in run.stories:
        trained = trained_in(run, story)
        sites = readings_by_site(story, "saturated_fraction").values()
        found = [flat for site in sites if (flat := _judged(site, story, trained)) is not None]
        if found:
            found.sort(key=lambda flat: flat.readings[-1].node.order)
            yield _finding(found)


def _judged(site: Sequence[Reading], story: Story, trained: frozenset[int]) -> Flat | None:
    by_step: dict[int, list[Reading]] = {}
    for reading in site:
        by_step.setdefault(reading.step.index, []).append(reading)
    measured = {step: _measured(readings) for step, readings in by_step.items()}
    op = op_base(site[0].node.op)
    flat = [s for s, (share, gain) in measured.items() if _is_flat(op, share, gain)]
    steps = steps_of(site)
    if len(flat) < max(GRAPHS, HABIT * len(steps)) or flat[-1] != steps[-1]:
        return None
    if not _is_inside(by_step[steps[-1]], trained) or _converges(story, flat[0] == steps[0]):
        return None
    readings = tuple(reading for step in flat for reading in by_step[step])
    return Flat(readings, *measured[steps[-1]], tuple(flat), tuple(steps))


def _measured(readings: Sequence[Reading]) -> tuple[float, float]:
    """Share of flat elements and gain over all uses of the site in one graph."""
    share = fmean(reading.traits.saturated_fraction or 0.0 for reading in readings)
    received = math.hypot(*(received_norm(r.graph, r.node.id) or 0.0 for r in readings))
    sent = math.hypot(*(_sent(r) for r in readings))
    return share, sent / received if received > 0 else math.inf


def _sent(reading: Reading) -> float:
    edges = reading.graph.structure.outgoing[reading.node.id]
    norm = edge_norm(reading.graph, edges[0]) if edges else None
    return math.inf if norm is None else norm


def _is_flat(op: str, share: float, gain: float) -> bool:
    return share > SHARE and gain < STARVES * SLOPES.get(op, 0.0)


def _is_inside(readings: Sequence[Reading], trained: frozenset[int]) -> bool:
    """Whether trained layers lie on both sides, and it is no gate."""
    structure, node = readings[-1].graph.structure, readings[-1].node.id
    if not readings[-1].layer & trained or is_gate(structure, node):
        return False
    above = towards_loss(structure, [node])
    leaves = {leaf for i in above for leaf in direct_leaves(structure, i)}
    own = readings[-1].layer
    owned = {structure.nodes[leaf].parameter for leaf in leaves}
    return any(i in trained and i not in own for i in owned if i is not None)


def _converges(story: Story, from_the_start: bool) -> bool:
    """Whether the loss falls so far that the network learns all the same."""
    losses = [s.loss for s in story.steps if s.loss is not None and math.isfinite(s.loss)]
    part = max(1, len(losses) // 4)
    if len(losses) < 2 or median(losses[:part]) <= 0:
        return False
    fallen = median(losses[-part:]) / median(losses[:part])
    return fallen < (SOLVED if from_the_start else CONVERGING)


def _finding(found: Sequence[Flat]) -> Finding:
    flat = found[0]
    last = flat.readings[-1]
    others = len(found) - 1
    more = f"; and so in {count(others, 'other layer')}" if others else ""
    return RULE.finding(
        "warning",
        f"{percent(flat.share)} of the elements are where {op_in_line(last.node)} is flat, so that "
        f"it passes on ×{number(flat.gain)} of the gradient{more}",
        where=Where(
            op=last.node.op,
            module=last.node.module,
            variable=last.node.label,
            source=last.node.source or last.step.source,
            nodes=tuple(r.node.id for r in flat.readings if r.step.index == last.step.index),
            step=last.step.index,
        ),
        steps=(flat.seen[0], flat.seen[-1]),
        seen=len(flat.seen),
        of=len(flat.of),
        evidence={
            "saturated_fraction": round(flat.share, 4),
            "gain": flat.gain,
            "layers": len(found),
        },
        cause=_cause(flat),
        fix="x = (x - x.mean(0)) / x.std(0)  # and nn.init.xavier_uniform_(layer.weight), a "
        "normalisation layer before the activation, or ReLU",
        silence="Values around 0 before the activation, or --ignore GS107.",
    )


def _cause(flat: Flat) -> str:
    if flat.seen[0] == flat.of[0]:
        return (
            "It was flat from the start: inputs that are not normalised, weights that are too "
            "large, or a bias far from 0."
        )
    return (
        f"It was not flat in step {flat.of[0]}: updates have driven the values out, as a learning "
        "rate that is too large does."
    )
