"""Local derivatives of ops on single numbers: the links of the chain rule.

Each rule gives the derivative of the op's result by its input at one slot, with the names and
numbers of that input, the other input and the result. Sources: the derivative formulas of
``tools/autograd/derivatives.yaml`` in PyTorch, for tensors of one element.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gradscope.analysis.symbols import Sym, function, number

Rule = Callable[["Local"], Sym | None]
_ONE, _TWO = number(1.0), number(2.0)


@dataclass(frozen=True, slots=True)
class Local:
    """An op with its numbers, asked for its derivative by the input at ``slot``.

    Attributes:
        slot: Position of that input among autograd's ``next_functions``.
        operands: Inputs by slot, as far as their values are known.
        result: The op's result; None where its value is not known.
        constants: Other numbers of the op, such as ``alpha``.
    """

    slot: int
    operands: Mapping[int, Sym]
    result: Sym | None
    constants: Mapping[str, float]

    @property
    def x(self) -> Sym:
        """The input that the derivative is taken by."""
        return self.operands[self.slot]

    @property
    def y(self) -> Sym:
        """The result.

        Raises:
            KeyError: Its value is not known.
        """
        if self.result is None:
            raise KeyError("result")
        return self.result

    def constant(self, name: str, default: float = 1.0) -> Sym:
        """A number of the op."""
        return number(self.constants.get(name, default))


def derivative(op: str, local: Local) -> Sym | None:
    """The derivative; None where there is no rule, or a number that it needs is not known.

    Args:
        op: Autograd's name, such as ``MulBackward0``.
        local: The op's numbers.
    """
    rule = _RULES.get(op) or _RULES.get(op.rstrip("0123456789").removesuffix("Backward"))
    if rule is None:
        return None
    try:
        found = rule(local)
    except (KeyError, ValueError, ZeroDivisionError, OverflowError, TypeError):
        return None
    return found if found is not None and math.isfinite(found.value) else None


def _add(at: Local) -> Sym:
    return at.constant("alpha") if at.slot else _ONE


def _sub(at: Local) -> Sym:
    return -at.constant("alpha") if at.slot else _ONE


def _rsub(at: Local) -> Sym:
    return _ONE if at.slot else -at.constant("alpha")


def _mul(at: Local) -> Sym:
    return at.operands[1 - at.slot]


def _div(at: Local) -> Sym:
    if at.slot:
        return -at.operands[0] / at.x**_TWO
    return _ONE / at.operands[1]


def _pow_number(at: Local) -> Sym:
    exponent = number(at.constants["exponent"])
    return exponent * at.x ** (exponent - _ONE)


def _pow(at: Local) -> Sym:
    base, exponent = at.operands[0], at.operands[1]
    if at.slot:
        return at.y * function("ln", base, math.log)
    return exponent * base ** (exponent - _ONE)


def _pow_of_number(at: Local) -> Sym:
    return at.y * function("ln", number(at.constants["self"]), math.log)


def _addmm(at: Local) -> Sym:
    if at.slot == 0:
        return at.constant("beta")
    return at.constant("alpha") * at.operands[3 - at.slot]


def _relu(at: Local) -> Sym:
    return _case(at.x, "1", 1.0) if at.x.value > 0 else _case(at.x, "0", 0.0)


def _leaky_relu(at: Local) -> Sym:
    slope = at.constants["negative_slope"]
    if at.x.value > 0:
        return _case(at.x, "1", 1.0)
    return _case(at.x, number(slope).text, slope)


def _abs(at: Local) -> Sym | None:
    if at.x.value == 0:
        return _case(at.x, "0", 0.0)
    return _case(at.x, "1", 1.0) if at.x.value > 0 else _case(at.x, "−1", -1.0)


def _case(x: Sym, result: str, value: float) -> Sym:
    """A number that follows from the sign of ``x``: ``1 [u > 0]``."""
    sign = ">" if x.value > 0 else ("<" if x.value < 0 else "=")
    return Sym(f"{result} [{x.text} {sign} 0]", result, value, number(value).level)


def _mse(at: Local) -> Sym:
    error = _TWO * (at.operands[0] - at.operands[1])
    return -error if at.slot else error


def _bce(at: Local) -> Sym | None:
    if at.slot:
        return None
    p, t = at.operands[0], at.operands[1]
    return (p - t) / (p * (_ONE - p))


def _bce_with_logits(at: Local) -> Sym | None:
    return None if at.slot else function("sigmoid", at.x, _sigmoid) - at.operands[1]


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def _identity(_: Local) -> Sym:
    return _ONE


def _other_factor(at: Local) -> Sym:
    return at.operands[1 - at.slot]


_RULES: dict[str, Rule] = {
    "Add": _add,
    "Sub": _sub,
    "Rsub": _rsub,
    "Mul": _mul,
    "Div": _div,
    "Neg": lambda at: -_ONE,
    "PowBackward0": _pow_number,
    "PowBackward1": _pow,
    "PowBackward2": _pow_of_number,
    "Reciprocal": lambda at: -(at.y**_TWO),
    "Exp": lambda at: at.y,
    "Exp2": lambda at: at.y * function("ln", _TWO, math.log),
    "Expm1": lambda at: at.y + _ONE,
    "Log": lambda at: _ONE / at.x,
    "Log1P": lambda at: _ONE / (_ONE + at.x),
    "Log2": lambda at: _ONE / (at.x * function("ln", _TWO, math.log)),
    "Log10": lambda at: _ONE / (at.x * function("ln", number(10.0), math.log)),
    "Sqrt": lambda at: _ONE / (_TWO * at.y),
    "Rsqrt": lambda at: -(at.y ** number(3.0)) / _TWO,
    "Sin": lambda at: function("cos", at.x, math.cos),
    "Cos": lambda at: -function("sin", at.x, math.sin),
    "Tan": lambda at: _ONE + at.y**_TWO,
    "Sinh": lambda at: function("cosh", at.x, math.cosh),
    "Cosh": lambda at: function("sinh", at.x, math.sinh),
    "Atan": lambda at: _ONE / (_ONE + at.x**_TWO),
    "Tanh": lambda at: _ONE - at.y**_TWO,
    "Sigmoid": lambda at: at.y * (_ONE - at.y),
    "Softplus": lambda at: function("sigmoid", at.x, _sigmoid),
    "LogSigmoid": lambda at: function("sigmoid", -at.x, _sigmoid),
    "Relu": _relu,
    "LeakyRelu": _leaky_relu,
    "Abs": _abs,
    "Addmm": _addmm,
    "Mm": _other_factor,
    "Bmm": _other_factor,
    "Mv": _other_factor,
    "Dot": _other_factor,
    "MseLoss": _mse,
    "BinaryCrossEntropy": _bce,
    "BinaryCrossEntropyWithLogits": _bce_with_logits,
    **dict.fromkeys(
        (
            *("Sum", "Mean", "Clone", "Alias", "View", "UnsafeView", "ReshapeAlias", "Reshape"),
            *("T", "Transpose", "Permute", "Squeeze", "Unsqueeze", "Expand", "ToCopy", "Max"),
            *("Min", "Prod", "Flatten"),
        ),
        _identity,
    ),
}
