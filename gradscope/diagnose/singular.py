"""Why an op gives NaN or Inf, and what to write instead."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gradscope.diagnose.nonfinite import Origin
from gradscope.model.stats import TensorStats


@dataclass(frozen=True, slots=True)
class Advice:
    """Cause and fix.

    Attributes:
        cause: One or two sentences.
        fix: As code.
        singular: Whether the op has no finite value or derivative there, so that large numbers
            before it are not to blame.
    """

    cause: str
    fix: str
    singular: bool


_AT_ZERO = {
    "Sqrt": ("The derivative of sqrt at 0 is 1/0.", "torch.sqrt(x + 1e-12)"),
    "Rsqrt": ("1/sqrt(x) and its derivative are infinite at 0.", "torch.rsqrt(x + 1e-12)"),
    "Log": ("log(0) is -Inf and its derivative 1/0.", "torch.log(x.clamp_min(1e-12))"),
    "Log2": ("log2(0) is -Inf and its derivative 1/0.", "torch.log2(x.clamp_min(1e-12))"),
    "Log10": ("log10(0) is -Inf and its derivative 1/0.", "torch.log10(x.clamp_min(1e-12))"),
    "Log1P": ("log1p(-1) is -Inf.", "torch.log1p(x.clamp_min(-1 + 1e-6))"),
    "Xlogy": ("The derivative of x log y at y = 0 is x/0.", "torch.xlogy(x, y.clamp_min(1e-12))"),
    "Div": ("A division by 0.", "a / b.clamp_min(1e-12)  # or a / (b + eps)"),
    "Reciprocal": ("1/0.", "1 / x.clamp_min(1e-12)"),
    "Pow": (
        "The derivative of x ** p at 0 is infinite for p < 1, and x ** p is for p < 0; "
        "a negative x has no real root.",
        "(x + 1e-12) ** p  # or x.clamp_min(1e-12) ** p",
    ),
    "Norm": ("The derivative of a norm at 0 is 0/0.", "torch.sqrt((x ** 2).sum() + 1e-12)"),
    "LinalgVectorNorm": (
        "The derivative of a norm at 0 is 0/0.",
        "torch.sqrt((x ** 2).sum() + 1e-12)",
    ),
    "Std": (
        "The derivative of a standard deviation of 0 is 0/0; of one element it is 0/0 as well.",
        "torch.sqrt(x.var(unbiased=False) + 1e-12)",
    ),
    "Var": ("The variance of one element divides by 0.", "x.var(unbiased=False)"),
    "Atan2": ("atan2(0, 0) has no derivative.", "torch.atan2(y, x + 1e-12)"),
    "Acos": (
        "The derivative of acos at ±1 is infinite.",
        "torch.acos(x.clamp(-1 + 1e-6, 1 - 1e-6))",
    ),
    "Asin": (
        "The derivative of asin at ±1 is infinite.",
        "torch.asin(x.clamp(-1 + 1e-6, 1 - 1e-6))",
    ),
    "Atanh": ("atanh is infinite at ±1.", "torch.atanh(x.clamp(-1 + 1e-6, 1 - 1e-6))"),
    "Softmax": (
        "A row whose entries are all -Inf has no softmax.",
        "scores = scores.masked_fill(mask, torch.finfo(scores.dtype).min)",
    ),
    "NllLoss": (
        "A log-probability is -Inf: the logarithm of a probability of 0.",
        "loss = F.cross_entropy(logits, y)  # on the logits: its own log-softmax is exact",
    ),
    "LogSoftmax": (
        "A row whose entries are all -Inf has no softmax.",
        "scores = scores.masked_fill(mask, torch.finfo(scores.dtype).min)",
    ),
}
_UNLESS_LARGE = frozenset(
    {"Div", "Pow", "Std", "Norm", "LinalgVectorNorm", "Softmax", "LogSoftmax"}
)
LARGE = 1e15  # from here on, squares and products overflow in float32
_OVERFLOWING = {
    "Exp": "torch.exp(x.clamp(max=80))  # or logsumexp, log_softmax",
    "Expm1": "torch.expm1(x.clamp(max=80))",
    "Sinh": "torch.sinh(x.clamp(-80, 80))",
    "Cosh": "torch.cosh(x.clamp(-80, 80))",
}
_OF_POSITIVE = {
    "Sqrt": "square root",
    "Rsqrt": "square root",
    "Log": "logarithm",
    "Log2": "logarithm",
    "Log10": "logarithm",
    "Pow": "power with that exponent",
}
_DATA = Advice(
    "Either its result overflows, or an input that needs no gradient (data, targets, a mask) held "
    "NaN or Inf.",
    "assert torch.isfinite(x).all()  # on the data that enters here",
    singular=False,
)
_OVERFLOW = Advice(
    "Numbers too large for the dtype: the values or the gradient before it are near its limit.",
    "torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)  # and a smaller learning rate",
    singular=False,
)
_PROBABILITIES = {
    "Sigmoid": Advice(
        "In floating point a sigmoid reaches 0 and 1 exactly, and log(0) is -Inf.",
        "loss = F.binary_cross_entropy_with_logits(z, y)  # on what goes into the sigmoid; or "
        "F.logsigmoid(z) for log(p) and F.logsigmoid(-z) for log(1 - p)",
        singular=True,
    ),
    "Softmax": Advice(
        "In floating point a softmax reaches 0 exactly, and log(0) is -Inf.",
        "log_p = F.log_softmax(z, dim=-1)  # on what goes into the softmax; or "
        "F.cross_entropy(z, y)",
        singular=True,
    ),
}
_MASK_FIX = "x = torch.where(mask, x, 1.0)  # make the masked values harmless before the op as well"
_MASKED = Advice(
    "Where the mask cuts off the result, the op has no finite derivative: 0 × Inf is NaN.",
    _MASK_FIX,
    singular=True,
)
_IGNORED = Advice(
    "No target counts in this batch: all are ignored or have weight 0, so that the mean is 0/0.",
    "if (y != -100).any(): loss = F.cross_entropy(x, y)  # skip a batch without a target",
    singular=True,
)
_NOTHING = Advice(
    "The mean is taken over no element at all, which is 0/0: a mask or an index selected nothing.",
    "loss = x.sum() / max(x.numel(), 1)  # or mask.sum().clamp_min(1) under a masked sum",
    singular=True,
)


def advice(
    base: str, origin: Origin, inputs: Sequence[TensorStats], masked: bool, squashed: str = ""
) -> Advice:
    """Explains what an op did.

    Args:
        base: The op without ``Backward0``.
        origin: Where finite turned into not finite.
        inputs: Forward values of its inputs, where they are known.
        masked: Whether a mask hid the result from the loss.
        squashed: The op that made the input of a logarithm, without ``Backward0``.
    """
    if base in ("Log", "Log2", "Log10") and squashed in _PROBABILITIES:
        return _PROBABILITIES[squashed]
    large = any(LARGE < (stats.abs_max or 0.0) < math.inf for stats in inputs)
    found = _of_the_inputs(base, origin, inputs)
    if found is None and base in _AT_ZERO and not (large and base in _UNLESS_LARGE):
        found = Advice(*_AT_ZERO[base], singular=True)
    if found is not None:
        return _with_mask(found) if masked else found
    if masked:
        return _MASKED
    return _DATA if origin.forward and not large else _OVERFLOW


def empty_advice(base: str) -> Advice:
    """Explains a mean over nothing."""
    return _IGNORED if base.startswith("NllLoss") else _NOTHING


def _of_the_inputs(base: str, origin: Origin, inputs: Sequence[TensorStats]) -> Advice | None:
    """What follows from the values that went in."""
    if base in _OVERFLOWING:
        cause = "The exponential overflows (float32: above 88)."
        return Advice(cause, _OVERFLOWING[base], singular=False)
    negative = any(stats.min is not None and stats.min < 0 for stats in inputs)
    if base in _OF_POSITIVE and negative and origin.is_nan:
        return Advice(
            f"A negative number has no real {_OF_POSITIVE[base]}.",
            "x.clamp_min(1e-12)  # before the op, or take the absolute value",
            singular=True,
        )
    return None


def _with_mask(found: Advice) -> Advice:
    return Advice(
        f"{found.cause} The mask behind it passes on a gradient of 0, and 0 × Inf is NaN.",
        f"{_MASK_FIX}: {found.fix}",
        found.singular,
    )
