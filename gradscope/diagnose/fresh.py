"""Whether a weight still is what torch's initialisation made of it: nobody ever trained it.

Every initialisation draws from a distribution whose width follows from the shape. A weight that
was trained, here or in an earlier program, has left it: some elements are too large for the
uniform ones, and the root mean square is another for the normal ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from gradscope.model.trace import Parameter

_FEW = 16  # elements: too few to tell
_NORMAL = (1.0, 0.02)  # of an embedding, and of most language models
_RNN_GATES = (1, 3, 4)  # blocks of rows in the weights of RNN, GRU, LSTM
_UNIFORM_SD = 0.447  # of the RMS, relative, times the root of the count
_NORMAL_SD = 0.707


def is_fresh(parameter: Parameter) -> bool | None:
    """Whether the values look freshly drawn; None for vectors and for what is too small to tell."""
    if len(parameter.shape) < 2 or parameter.count < _FEW:
        return None
    stats = parameter.value
    if stats is None or stats.rms is None or stats.abs_max is None:
        return False
    drawn = (parameter.count, stats.rms, stats.abs_max)
    return any(_uniform(*drawn, bound) for bound in _bounds(parameter.shape)) or any(
        _normal(*drawn, deviation) for deviation in _deviations(parameter.shape)
    )


def _uniform(count: int, rms: float, largest: float, bound: float) -> bool:
    inside = bound * (1 - 8 / count) <= largest <= bound * (1 + 1e-5)
    return inside and abs(rms * math.sqrt(3) / bound - 1) < 4 * _UNIFORM_SD / math.sqrt(count)


def _normal(count: int, rms: float, largest: float, deviation: float) -> bool:
    usual = deviation * (math.sqrt(2 * math.log(2 * count)) + 1.5)
    return largest < usual and abs(rms / deviation - 1) < 2.5 * _NORMAL_SD / math.sqrt(count)


def _bounds(shape: tuple[int, ...]) -> Iterator[float]:
    """Of the uniform distributions: torch's layers, then those of Glorot and He."""
    fan_in, fan_out = _fans(shape)
    yield 1 / math.sqrt(fan_in)
    yield from (1 / math.sqrt(shape[0] / gates) for gates in _RNN_GATES)
    yield from (math.sqrt(6 / fans) for fans in (fan_in + fan_out, fan_in, fan_out))


def _deviations(shape: tuple[int, ...]) -> Iterator[float]:
    """Of the normal distributions: embeddings, language models, He."""
    yield from _NORMAL
    yield from (math.sqrt(2 / fan) for fan in _fans(shape))


def _fans(shape: tuple[int, ...]) -> tuple[int, int]:
    field = math.prod(shape[2:])
    return max(1, shape[1] * field), max(1, shape[0] * field)
