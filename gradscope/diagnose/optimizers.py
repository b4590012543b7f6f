"""What the optimizers of a run hold, what they did, and when gradients reached what they hold."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property

from gradscope.diagnose.run import Run
from gradscope.model.events import Call, OptimizerFacts
from gradscope.model.trace import Parameter, Update


@dataclass(frozen=True)
class Optimizer:
    """One optimizer with its share of the run.

    Attributes:
        facts: Who it is.
        held: Its parameters that require a gradient.
        updates: Its steps, in order.
        calls: The calls that belong to it, in order; those that nothing tells belong to the only
            optimizer of a run.
    """

    facts: OptimizerFacts
    held: tuple[Parameter, ...]
    updates: tuple[Update, ...]
    calls: tuple[Call, ...]

    @property
    def label(self) -> str:
        """As in the trace."""
        return self.facts.label

    @cached_property
    def reached(self) -> tuple[int, ...]:
        """Indices of the steps in which a gradient arrived at what it holds, ascending.

        One that is zero in all elements counts as none.
        """
        return tuple(sorted({step for parameter in self.held for step in arrivals(parameter)}))

    def reached_between(self, after: int, until: int) -> int:
        """In how many steps later than ``after`` and not later than ``until`` one arrived."""
        return bisect_right(self.reached, until) - bisect_right(self.reached, after)

    def ends_reached(self, after: int, until: int) -> bool:
        """Whether the last gradient that arrived in these steps was not all zero."""
        position = bisect_right(self._touched, until)
        last = self._touched[position - 1] if position else after
        return last > after and self.reached_between(last - 1, last) > 0

    @cached_property
    def _touched(self) -> list[int]:
        """The steps in which any gradient arrived, an exact zero as well."""
        rows = [(p.gradients.step, p.gradients.arrived) for p in self.held]
        return sorted({s for row in rows for s, arrived in zip(*row, strict=True) if arrived})

    def before(self, call: Call) -> Update | None:
        """Its last step before the call."""
        position = bisect_right(self._indices, call.after_update)
        return self.updates[position - 1] if position else None

    def behind(self, call: Call) -> Update | None:
        """Its first step after the call."""
        position = bisect_right(self._indices, call.after_update)
        return self.updates[position] if position < len(self.updates) else None

    @cached_property
    def _indices(self) -> list[int]:
        return [update.index for update in self.updates]


def optimizers(run: Run) -> tuple[Optimizer, ...]:
    """Every optimizer that was made or stepped."""
    updates: dict[str, list[Update]] = {}
    for update in run.trace.updates:
        if update.by == "optimizer":
            updates.setdefault(update.optimizer, []).append(update)
    calls: dict[str, list[Call]] = {}
    alone = run.trace.optimizers[0].label if len(run.trace.optimizers) == 1 else ""
    for call in run.trace.calls:
        calls.setdefault(call.label or alone, []).append(call)
    parameters = run.trace.parameters
    return tuple(
        Optimizer(
            facts,
            tuple(parameters[i] for i in facts.parameters if parameters[i].requires_grad),
            tuple(updates.get(facts.label, ())),
            tuple(calls.get(facts.label, ())),
        )
        for facts in run.trace.optimizers
    )


def arrivals(parameter: Parameter) -> list[int]:
    """Indices of the steps in which a gradient that is not all zero arrived."""
    history = parameter.gradients
    rows = zip(history.step, history.norm, history.arrived, strict=True)
    return [step for step, norm, arrived in rows if arrived and norm != 0]
