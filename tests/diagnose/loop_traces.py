"""Traces of training loops: optimizers, what they hold, and the calls around backward and step."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import replace

from gradscope.model.events import Call, CallKind, OptimizerFacts
from gradscope.model.trace import Parameter, Step, Trace, Update, UpdateHistory
from tests.builders import line
from tests.diagnose.traces import BACKWARD, STEP, gradients, parameter

MADE = line(5, "optimizer = SGD(net.parameters(), lr=0.1)")
CLEAR = line(22, "optimizer.zero_grad()")
CLIP = line(21, "clip_grad_norm_(net.parameters(), 1.0)")


def loop(
    n: int,
    *,
    per_update: int = 1,
    steps: bool = True,
    losses: Callable[[int], float] = lambda i: 1.0,
    size: Callable[[int], float] = lambda i: 1.0,
    change: Callable[[int], float] = lambda i: 1e-3,
    fresh: int = 1,
    norm: float = 1.0,
) -> Trace:
    """A loop over one parameter and one optimizer.

    Args:
        n: How many updates, also where none is made.
        per_update: Backwards before each.
        steps: Whether the optimizer steps.
        losses: The loss of each backward.
        size: RMS of the parameter before each update.
        change: RMS of its change.
        fresh: Contributions that each update finds.
        norm: Norm of every gradient.
    """
    made = n if steps else 0
    history = UpdateHistory(
        array("i", range(made)),
        array("i", [fresh] * made),
        array("i", [0] * made),
        array("d", [norm] * made),
        array("d", map(size, range(made))),
        array("d", map(change, range(made))),
        array("i", [0] * made),
    )
    owned = parameter(
        0,
        gradient=gradients([norm] * n * per_update),
        update=history,
        optimizer="SGD" if steps else "",
    )
    return Trace(
        steps=tuple(
            Step(index=i, loss=losses(i), source=BACKWARD, roots=("loss",), level="params")
            for i in range(n * per_update)
        ),
        updates=tuple(
            Update(i, (i + 1) * per_update - 1, "optimizer", "SGD", STEP, 1, lr=0.1)
            for i in range(made)
        ),
        parameters=(owned,),
        optimizers=(OptimizerFacts("SGD", MADE, -1, (0,), made),),
    )


def called(
    trace: Trace, kind: CallKind, places: Sequence[tuple[int, int]], **facts: object
) -> Trace:
    """The trace with calls added, each after that step and that update."""
    source = CLEAR if kind == "zero_grad" else CLIP
    calls = tuple(
        replace(Call(kind, step, update, source, "SGD"), **facts)  # type: ignore[arg-type]
        for step, update in places
    )
    both = [*trace.calls, *calls]
    return replace(trace, calls=tuple(sorted(both, key=lambda c: (c.after_step, c.after_update))))


def starved(trace: Trace, updates: Sequence[int]) -> Trace:
    """The trace with some updates that found their gradients cleared."""
    (owned,) = trace.parameters
    history = owned.updates
    fresh = array("i", [0 if i in updates else n for i, n in enumerate(history.fresh)])
    lost = array("i", [1 if i in updates else 0 for i in range(len(history))])
    changed = replace(owned, updates=replace(history, fresh=fresh, lost=lost))
    return replace(
        trace,
        parameters=(changed,),
        updates=tuple(replace(u, starved=int(u.index in updates)) for u in trace.updates),
    )


def with_parameter(trace: Trace, added: Parameter, *, held: bool) -> Trace:
    """The trace with another parameter, which its optimizer holds or not."""
    (facts,) = trace.optimizers
    index = len(trace.parameters)
    owners = ("SGD",) if held else ()
    new = replace(added, index=index, optimizers=owners)
    indices = (*facts.parameters, index) if held else facts.parameters
    return replace(
        trace,
        parameters=(*trace.parameters, new),
        optimizers=(replace(facts, parameters=indices),),
    )
