"""How the size of all gradients together develops from backward to backward."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

GROWTH = 10.0  # RULES: times the trailing median
ROBUST_Z = 6.0  # RULES
HISTORY = 10  # RULES: after so many backwards
LASTING = 0.8  # share of the later backwards that must stay as large; a spike does not
EARLY_GROWTH = 1e4  # in fewer backwards than HISTORY, if they only rise up to the end
EARLY = 4  # backwards; two are enough before an overflow


@dataclass(frozen=True, slots=True)
class Row:
    """One backward: its step index, the norm over all gradients, and the loss."""

    step: int
    norm: float
    loss: float


@dataclass(frozen=True, slots=True)
class Growth:
    """Where the gradients took off.

    Attributes:
        first: Position of the row with which the climb begins.
        before: Median norm before it.
        peak: Largest finite norm from there on.
        loss_before: Median loss before it.
        loss_after: The last loss; NaN or Inf when it is no number any more.
        overflowed: Whether a norm or loss that is not finite follows.
    """

    first: int
    before: float
    peak: float
    loss_before: float
    loss_after: float
    overflowed: bool

    @property
    def factor(self) -> float:
        """How many times larger the norm became."""
        return self.peak / self.before if self.before > 0 else math.inf


def find_growth(rows: Sequence[Row]) -> Growth | None:
    """The place from which on gradients are out of proportion for good, with a rising loss.

    Only a norm beyond everything seen before counts, so that noise around a minimum, however
    much larger than the minimum itself, is none.
    """
    end = next((i for i, row in enumerate(rows) if not _finite(row)), len(rows))
    highest = -math.inf
    for position in range(end):
        norm = rows[position].norm
        if norm <= highest:
            continue
        highest = norm
        if (
            position >= HISTORY
            and _stands_out(rows, position)
            and _lasts(rows, position, end)
            and _loss_rises(rows, position, end)
        ):
            return _growth(rows, _foot(rows, position), end)
    start = _last_climb(rows, end)
    return _growth(rows, start + 1, end) if _diverges_at_once(rows, start, end) else None


def _finite(row: Row) -> bool:
    return math.isfinite(row.norm) and math.isfinite(row.loss)


def _stands_out(rows: Sequence[Row], position: int) -> bool:
    norm = rows[position].norm
    before = [row.norm for row in rows[:position]]
    middle = median(before)
    if middle <= 0 or norm <= GROWTH * middle:
        return False
    # 1.4826 makes the median absolute deviation comparable with a standard deviation.
    spread = 1.4826 * median(abs(value - middle) for value in before)
    return norm - middle > ROBUST_Z * spread


def _lasts(rows: Sequence[Row], position: int, end: int) -> bool:
    """Whether the norm stays up; shortly before an overflow two rows are enough."""
    after = rows[position:end]
    if len(after) < (2 if end < len(rows) else 3):
        return False
    bar = GROWTH * median(row.norm for row in rows[:position])
    return sum(row.norm > bar for row in after) >= LASTING * len(after)


def _loss_rises(rows: Sequence[Row], position: int, end: int) -> bool:
    """Whether the loss got worse than at any time before; one that is no number any more did."""
    worst = max(row.loss for row in rows[:position])
    return end < len(rows) or median(row.loss for row in rows[position:]) > worst


def _foot(rows: Sequence[Row], position: int) -> int:
    """Where the climb past ``position`` begins: the first row larger than the one before it."""
    while position > 1 and rows[position - 2].norm < rows[position - 1].norm:
        position -= 1
    return position


def _last_climb(rows: Sequence[Row], end: int) -> int:
    """Position from which on norm and loss only rise, up to the end of what is finite."""
    position = max(end - 1, 0)
    while (
        position
        and rows[position - 1].norm < rows[position].norm
        and rows[position - 1].loss < rows[position].loss
    ):
        position -= 1
    return position


def _diverges_at_once(rows: Sequence[Row], start: int, end: int) -> bool:
    """Whether that climb is a divergence that needs no history to be told."""
    if end - start < (2 if end < len(rows) else EARLY):
        return False
    highest_before = max(row.norm for row in rows[: start + 1])
    return 0 < highest_before * EARLY_GROWTH < rows[end - 1].norm


def _growth(rows: Sequence[Row], first: int, end: int) -> Growth:
    overflowed = end < len(rows)
    return Growth(
        first=first,
        before=median(row.norm for row in rows[:first]),
        peak=max(row.norm for row in rows[first:end]),
        loss_before=median(row.loss for row in rows[:first]),
        loss_after=rows[end].loss if overflowed else rows[-1].loss,
        overflowed=overflowed,
    )
