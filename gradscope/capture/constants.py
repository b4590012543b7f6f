"""Numbers that an op keeps for its backward and that are no node of the graph.

The ``2`` of ``x**2``, the ``3`` of ``3 * x``, the input of a layer with one weight: with them the
local derivatives of a scalar graph can be written out. Tensors are read only where the op's result
has one element, and only those of one element on the CPU, where reading waits for nobody.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import Parameter

from gradscope.capture.raw import RawGraph

_KEPT = {
    "AddBackward0": ("alpha",),
    "SubBackward0": ("alpha",),
    "RsubBackward1": ("alpha",),
    "MulBackward0": ("self", "other"),
    "DivBackward0": ("self", "other"),
    "PowBackward0": ("exponent",),
    "PowBackward1": ("self", "exponent"),
    "PowBackward2": ("self",),
    "AddmmBackward0": ("mat1", "mat2", "alpha", "beta"),
    "MmBackward0": ("self", "mat2"),
    "BmmBackward0": ("self", "mat2"),
    "MvBackward0": ("self", "vec"),
    "DotBackward0": ("self", "tensor"),
    "LeakyReluBackward0": ("negative_slope",),
    "MseLossBackward0": ("self", "target"),
    "BinaryCrossEntropyBackward0": ("target",),
    "BinaryCrossEntropyWithLogitsBackward0": ("target",),
}
_NUMBERS = frozenset({"exponent", "alpha", "beta", "negative_slope"})  # if not a tensor


def read_constants(raw: RawGraph, nodes: list[Any]) -> None:
    """Fills ``raw.constants``.

    Args:
        raw: The graph.
        nodes: Its nodes, before their backward.
    """
    for i, op in enumerate(raw.ops):
        names = _KEPT.get(op)
        window = raw.windows[i] if names is not None else None
        if names is None or window is None or window.hooked:
            continue
        if not _is_single(nodes[i]):
            names = tuple(name for name in names if name in _NUMBERS)
        found = {name: value for name in names if (value := _read(nodes[i], name)) is not None}
        if found:
            raw.constants[i] = found


def _is_single(node: Any) -> bool:
    metadata = node._input_metadata
    return bool(metadata) and all(size == 1 for size in metadata[0].shape)


def _read(node: Any, name: str) -> float | None:
    try:
        saved: Any = getattr(node, f"_saved_{name}", None)
    except RuntimeError:  # freed, or changed in place since
        return None
    if type(saved) in (int, float):
        return float(saved)
    if type(saved) not in (Tensor, Parameter) or saved.is_complex():
        return None
    if saved.numel() != 1 or saved.device.type != "cpu" or saved.is_sparse:
        return None
    return float(saved.detach().item())
