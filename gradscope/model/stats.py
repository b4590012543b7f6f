"""Statistics of one tensor, as plain numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TensorStats:
    """What was measured about one tensor. ``None`` means not measured, never zero.

    Attributes:
        shape: Sizes, outermost first; ``()`` for a scalar.
        dtype: The dtype without the ``torch.`` prefix, such as ``float32``.
        device: Such as ``cpu`` or ``cuda:0``.
        count: Number of elements.
        l2_norm: Euclidean norm over all elements; NaN or Inf when an element is.
        min: Smallest element (of the real part's magnitude for complex tensors: None).
        max: Largest element.
        zero_fraction: Share of elements that are exactly zero, 0 to 1.
        zero_sampled: True when ``zero_fraction`` was estimated on a sample.
        nan_count: Number of NaN elements; counted only when the norm or range is not finite,
            otherwise 0.
        inf_count: Number of +Inf and -Inf elements; same rule.
        value: The element itself when there is exactly one (real dtypes only).
    """

    shape: tuple[int, ...]
    dtype: str
    device: str
    count: int
    l2_norm: float | None = None
    min: float | None = None
    max: float | None = None
    zero_fraction: float | None = None
    zero_sampled: bool = False
    nan_count: int | None = None
    inf_count: int | None = None
    value: float | None = None

    @property
    def rms(self) -> float | None:
        """Root mean square, ``l2_norm / sqrt(count)``; None when unmeasured or empty."""
        if self.l2_norm is None or self.count == 0:
            return None
        return self.l2_norm / math.sqrt(self.count)

    @property
    def abs_max(self) -> float | None:
        """Largest magnitude, from ``min`` and ``max``."""
        if self.min is None or self.max is None:
            return None
        return max(abs(self.min), abs(self.max))

    @property
    def is_finite(self) -> bool | None:
        """Whether every element is finite; None when that was not measured."""
        measured = [v for v in (self.l2_norm, self.min, self.max) if v is not None]
        if self.nan_count or self.inf_count:
            return False
        if not measured:
            return None
        if self.nan_count == 0 and self.inf_count == 0:
            return True
        return all(math.isfinite(v) for v in measured)
