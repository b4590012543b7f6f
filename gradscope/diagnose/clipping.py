"""What happened to gradients between backward and update."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gradscope.diagnose.run import Run
from gradscope.model.trace import Parameter, Update

SAME = 1e-3  # relative; the same factor up to rounding


@dataclass(frozen=True, slots=True)
class Clipped:
    """One update of one optimizer, over all parameters whose gradients can be compared.

    Attributes:
        update: Which.
        before: Norm of what arrived since the update before.
        after: Norm of what the update used.
        change: RMS of the change of the weights over the RMS of the weights; None where unknown.
        relative: ``after`` over the norm of the weights; None where unknown.
    """

    update: Update
    before: float
    after: float
    change: float | None
    relative: float | None

    @property
    def kept(self) -> float:
        """Share of the gradient that is left."""
        return self.after / self.before


@dataclass
class _Sums:
    before: float = 0.0
    after: float = 0.0
    values: float = 0.0
    changes: float = 0.0


def clipped_updates(run: Run) -> Mapping[str, list[Clipped]]:
    """Per optimizer its updates, in order, that consumed the gradients of one backward each.

    Sums of several backwards are left out: the norm of a sum is not the sum of the norms.
    """
    steps = {u.index: u.after_step for u in run.trace.updates if u.by == "optimizer"}
    sums: dict[int, _Sums] = {}
    for parameter in run.trace.parameters:
        _add(parameter, steps, sums)
    found: dict[str, list[Clipped]] = {}
    for index, of in sorted(sums.items()):
        if of.before > 0 and math.isfinite(of.before + of.after):
            update = run.trace.updates[index]
            known = of.values > 0
            change = math.sqrt(of.changes / of.values) if known else None
            relative = math.sqrt(of.after / of.values) if known else None
            row = Clipped(update, math.sqrt(of.before), math.sqrt(of.after), change, relative)
            found.setdefault(update.optimizer, []).append(row)
    return found


def _add(parameter: Parameter, steps: Mapping[int, int], sums: dict[int, _Sums]) -> None:
    arrived = dict(zip(parameter.gradients.step, parameter.gradients.norm, strict=True))
    history = parameter.updates
    rows = zip(
        history.update,
        history.fresh,
        history.carried,
        history.grad_norm,
        history.value_rms,
        history.update_rms,
        strict=True,
    )
    for update, fresh, carried, norm, value, change in rows:
        before = arrived.get(steps.get(update, -1))
        if before is None or fresh != 1 or carried or math.isnan(norm) or math.isnan(before):
            continue
        of = sums.setdefault(update, _Sums())
        of.before += before * before
        of.after += norm * norm
        if math.isfinite(value) and math.isfinite(change):
            of.values += parameter.count * value * value
            of.changes += parameter.count * change * change


def is_constant_factor(rows: Sequence[Clipped]) -> bool:
    """Whether every gradient was divided by the same number, or by powers of two.

    A scaler of mixed precision halves and doubles its factor now and then.
    """
    shares = [row.kept for row in rows]
    if max(shares) <= (1 + SAME) * min(shares):
        return True
    return all(_is_power_of_two(share) for share in shares)


def _is_power_of_two(share: float) -> bool:
    if share <= 0:
        return False
    exponent = math.log2(share)
    return abs(exponent - round(exponent)) < SAME
