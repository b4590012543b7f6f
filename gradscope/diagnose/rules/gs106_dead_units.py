"""Units of a layer are switched off for every sample.

What: Over the later half of the graphs that were kept (three at least), the same units of a ReLU
gave 0 for every sample, and these are more of the layer's units than chance explains: half of them
and more. That about half of the elements are 0 in each sample is how a ReLU works; these units are
0 in all. If all units of the layer are off, GS105 says so.

Why it hurts: A unit that is off for every sample gets no gradient and never wakes up. The layer is
as good as one with so many units fewer, and slower.

Example::

    optimizer = torch.optim.SGD(net.parameters(), lr=5.0)     # one large step switches units off

Instead::

    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    h = torch.nn.functional.leaky_relu(layer(x))              # has a way back
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gradscope.diagnose.flat import is_hinge
from gradscope.diagnose.rule import CannotJudgeError, Rule
from gradscope.diagnose.run import Run
from gradscope.diagnose.sites import Reading, readings_by_site, steps_of, trained_in
from gradscope.diagnose.words import count, name, op_in_line, percent
from gradscope.model.finding import Finding, Where

RULE = Rule("GS106", "dead-units", "Units that are off for every sample.")

GRAPHS = 3  # RULES: over at least so many batches
SHARE = 0.5  # RULES: of a layer's units
UNITS = 8  # in fewer, a few dead ones are many
BATCH = 16  # samples in the largest batch, or else units look dead by accident
SAMPLES = 100  # over all batches judged


@dataclass(frozen=True)
class Dead:
    """A layer with dead units.

    Attributes:
        readings: In every graph judged.
        units: Units of the layer.
        dead: How many of them were off in the later half of the graphs.
        at_first: How many were off in the first graph.
        samples: Samples per unit in the later half.
    """

    readings: tuple[Reading, ...]
    units: int
    dead: int
    at_first: int
    samples: int

    @property
    def share(self) -> float:
        """Dead units of all."""
        return self.dead / self.units

    @property
    def is_chance(self) -> bool:
        """Whether random signs explain it: with all samples alike, each unit is off or on."""
        return self.dead < self.units / 2 + math.sqrt(self.units)


def check(run: Run) -> Iterator[Finding]:
    """One finding per kind of backward, about the layer with the largest share."""
    if run.trace.steps and not run.trace.graphs:
        raise CannotJudgeError("no graph was recorded, only parameters: record at level ops")
    for story in run.stories:
        trained = trained_in(run, story)
        sites = readings_by_site(story, "dead").values()
        found = [dead for site in sites if (dead := _judged(site, trained)) is not None]
        if found:
            yield _finding(run, sorted(found, key=_badness))


def _judged(site: Sequence[Reading], trained: frozenset[int]) -> Dead | None:
    steps = steps_of(site)
    units = site[0].traits.units or 0
    if len(steps) < GRAPHS or units < UNITS or any(r.traits.units != units for r in site):
        return None
    if not site[0].layer & trained or is_hinge(site[-1].graph.structure, site[-1].node.id):
        return None
    late = steps[-max(GRAPHS, math.ceil(len(steps) / 2)) :]
    judged = [reading for reading in site if reading.step.index >= late[0]]
    dead = _off(judged)
    if dead < SHARE * units or not _enough(judged):
        return None
    at_first = _off([reading for reading in site if reading.step.index == steps[0]])
    samples = sum(reading.traits.samples or 0 for reading in judged)
    return Dead(tuple(site), units, dead, at_first, samples)


def _off(readings: Sequence[Reading]) -> int:
    """How many units were off in all of them."""
    off = -1
    for reading in readings:
        off &= reading.traits.dead or 0
    return off.bit_count()


def _enough(readings: Sequence[Reading]) -> bool:
    """Whether there were samples enough to call a unit dead."""
    batches: dict[int, int] = {}
    for reading in readings:
        step = reading.step.index
        batches[step] = batches.get(step, 0) + _samples(reading)
    return max(batches.values()) >= BATCH and sum(batches.values()) >= SAMPLES


def _samples(reading: Reading) -> int:
    """Samples of the batch: the places of one image are much alike."""
    shape, units = reading.node.shape or (), reading.traits.units
    if len(shape) > 3 or (len(shape) == 3 and shape[1] == units != shape[2]):
        return 4 * shape[0]
    return reading.traits.samples or 0


def _badness(dead: Dead) -> tuple[bool, float, int]:
    return (dead.is_chance, -dead.share, dead.readings[-1].node.order)


def _finding(run: Run, found: Sequence[Dead]) -> Finding:
    worst = found[0]
    last = worst.readings[-1]
    steps = steps_of(worst.readings)
    others = len(found) - 1
    more = f"; and so in {count(others, 'other layer')}" if others else ""
    weight = _weight(run, last)
    layer = f" of the layer of {name(weight)}" if weight else ""
    return RULE.finding(
        "info" if worst.is_chance else "warning",
        f"{worst.dead} of {worst.units} units{layer} are 0 for every sample "
        f"({percent(worst.share)}; {worst.samples} samples): {op_in_line(last.node)}{more}",
        where=Where(
            parameter=weight,
            op=last.node.op,
            module=last.node.module,
            variable=last.node.label,
            source=last.node.source or last.step.source,
            nodes=(last.node.id,),
            step=last.step.index,
        ),
        steps=(steps[0], steps[-1]),
        seen=max(GRAPHS, math.ceil(len(steps) / 2)),
        of=len(steps),
        evidence={
            "dead": worst.dead,
            "units": worst.units,
            "dead_at_first": worst.at_first,
            "samples": worst.samples,
            "layers": len(found),
        },
        cause=_cause(worst, steps),
        fix="nn.init.kaiming_normal_(layer.weight, nonlinearity='relu'); "
        "nn.init.zeros_(layer.bias)  # a smaller learning rate, inputs with mean 0, or leaky_relu",
        silence="Units that fire for some sample, or --ignore GS106.",
    )


def _weight(run: Run, reading: Reading) -> str:
    parameters = [p for p in run.trace.parameters if p.index in reading.layer]
    parameters.sort(key=lambda p: (-len(p.shape), p.index))
    return parameters[0].name if parameters else ""


def _cause(dead: Dead, steps: Sequence[int]) -> str:
    if dead.at_first * 2 < dead.dead:
        return (
            f"In step {steps[0]} only {dead.at_first} were off: updates switched the others off. "
            "The learning rate is too large, or one batch was far out."
        )
    return (
        "They were off from the start: a bias far below 0, weights drawn on one side, or inputs "
        "that are far from 0 on average."
    )
