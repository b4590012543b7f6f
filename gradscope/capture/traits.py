"""What only the graphs that are kept are asked: dead units, flat activations, equal rows.

Autograd saved most of it for the backward. It is reduced where it lies, a stack of equal shapes at
a time, and none of the user's tensors is kept; the few resulting numbers are moved to Python when
the graph is built. Where the user's saved-tensor hooks were active nothing is read, since reading
would run them (and, under checkpoint, the forward again).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from gradscope.capture.quiet import let_pass
from gradscope.capture.readable import PLAIN, is_wrapped
from gradscope.model.graph import Traits

if TYPE_CHECKING:
    from gradscope.capture.raw import RawGraph

MAX_UNITS = 1 << 16
STACKED = 1 << 16  # elements; larger tensors are reduced one by one
SAMPLED = 1 << 18  # elements looked at in one activation
PROBED = 8  # rows compared first: most gradients differ in these
SAME = 1e-5  # of the largest element: rounding differs from row to row
TINIEST_HALF = 2.0**-24  # what is smaller is 0 in float16
_FLAT_SIGMOID = math.sqrt(0.25 - 0.01)  # from the middle; the derivative is s(1 - s)
_FLAT_TANH = 0.99
_REACH = 8  # ops between a layer and its activation
_REDUCTIONS = ("none", "mean", "sum")
_CHANNELS_FIRST = ("Convolution", "BatchNorm", "InstanceNorm", "GroupNorm")
_FEATURES_LAST = ("AddmmBackward", "MmBackward", "BmmBackward", "LinearBackward", "LayerNorm")


class _Question(NamedTuple):
    """What is asked of tensors of one kind, so that they can be stacked."""

    trait: str  # field of ``Traits``
    shape: torch.Size
    dtype: torch.dtype
    device: torch.device
    unit_dim: int = -1  # counted without the dimension of the stack


class _Answer(NamedTuple):
    question: _Question
    nodes: list[int]
    rows: Tensor  # one per node


@dataclass(slots=True)
class RawTraits:
    """The answers of one graph, some of them still tensors of our own.

    Attributes:
        known: Node → fields of ``Traits``.
    """

    known: dict[int, dict[str, Any]] = field(default_factory=dict)
    _answers: list[_Answer] = field(default_factory=list)

    def finished(self) -> dict[int, Traits]:
        """Node → traits; waits for the device."""
        answers, self._answers = self._answers, []
        for question, nodes, rows in answers:
            for node, row in zip(nodes, rows.tolist(), strict=True):
                self.known.setdefault(node, {}).update(_fields(question, row))
        return {node: Traits(**fields) for node, fields in sorted(self.known.items())}

    def note(self, node: int, **fields: Any) -> None:
        """Adds what is known at once."""
        self.known.setdefault(node, {}).update(fields)

    def ask(self, question: _Question, nodes: list[int], tensors: list[Tensor]) -> None:
        """Reduces tensors of one kind."""
        rows = tensors[0].unsqueeze(0) if len(tensors) == 1 else torch.stack(tensors)
        self._answers.append(_Answer(question, nodes, _REDUCE[question.trait](question, rows)))

    def gradient(self, node: int, gradient: Tensor | None, is_leaf: bool) -> None:
        """Looks at a gradient that a node received; call without graph and functions."""
        if gradient is None or gradient.is_nested or not _is_plain(gradient):
            return
        if gradient.dtype is torch.float16:
            self.ask(_question("tiny_fraction", gradient), [node], [gradient])
        if is_leaf and gradient.dim() >= 2 and gradient.shape[0] >= 2:
            if gradient.device.type == "cpu" and not bool(_equal_rows(_probe(gradient))):
                self.note(node, equal_rows=False)
            else:
                self.ask(_question("equal_rows", gradient), [node], [gradient])


def read_traits(raw: RawGraph, nodes: Sequence[Any]) -> RawTraits:
    """Asks the nodes of a graph, before their backward.

    Args:
        raw: The graph.
        nodes: Its nodes.
    """
    ops, windows = raw.ops, raw.windows
    found = RawTraits()
    waiting: dict[_Question, list[tuple[int, Tensor]]] = {}
    first: dict[int, int] | None = None
    for i, op in enumerate(ops):
        # The digit tells autograd's own ``ReluBackward0`` from a user's Function named Relu.
        asked = op.startswith(_ASKED) and op[-1].isdigit() and "BackwardBackward" not in op
        window = windows[i] if asked else None
        if window is None or window.hooked:
            continue
        try:
            _ask_facts(found, i, op, nodes[i])
            tensor, trait = _tensor_of(op, nodes[i])
            if tensor is None or not _is_plain(tensor):
                continue
            if trait == "dead" and first is None:
                first = {source: target for source, _, target, _ in reversed(raw.edges)}
            dim = _unit_dim(i, tensor.dim(), ops, first or {}) if trait == "dead" else -1
            waiting.setdefault(_question(trait, tensor, dim), []).append((i, tensor))
        except RuntimeError as error:  # freed, or changed in place since
            let_pass(error)
    for question, members in waiting.items():
        _ask_all(found, question, members)
    return found


def _ask_all(found: RawTraits, question: _Question, members: Sequence[tuple[int, Tensor]]) -> None:
    """Asks members in stacks that are not too large."""
    size = max(1, STACKED // max(1, members[0][1].numel()))
    for start in range(0, len(members), size):
        part = members[start : start + size]
        found.ask(question, [i for i, _ in part], [tensor for _, tensor in part])


def _ask_facts(found: RawTraits, i: int, op: str, node: Any) -> None:
    """What is plain Python already."""
    if op.startswith("MeanBackward") and node._saved_self_sym_numel == 0:
        found.note(i, empty=True)
    training = getattr(node, "_saved_training", None) if "BatchNorm" in op else None
    if training is not None:
        found.note(i, training=bool(training))
    reduction = getattr(node, "_saved_reduction", None) if op.startswith(_LOSSES) else None
    if isinstance(reduction, int) and 0 <= reduction < len(_REDUCTIONS):
        found.note(i, reduction=_REDUCTIONS[reduction])


def _tensor_of(op: str, node: Any) -> tuple[Tensor | None, str]:
    """The saved tensor that tells a trait, and which one; None where it does not."""
    if op.startswith("ReluBackward"):
        return node._saved_result, "dead"
    if op.startswith("ThresholdBackward"):
        return (node._saved_self if node._saved_threshold == 0 else None), "dead"
    if op.startswith("ClampMinBackward0"):
        return (node._saved_self if node._saved_min == 0 else None), "dead"
    if op.startswith("ClampBackward1"):
        only_from_0 = node._saved_min == 0 and node._saved_max is None
        return (node._saved_self if only_from_0 else None), "dead"
    if op.startswith("HardtanhBackward"):  # ReLU6
        return (node._saved_self if node._saved_min_val == 0 else None), "dead"
    if op.startswith(("SigmoidBackward", "TanhBackward")):
        trait = "flat_sigmoid" if op.startswith("Sigmoid") else "flat_tanh"
        return node._saved_result, trait
    if op.startswith("NllLoss") and node._saved_reduction == 1:
        return node._saved_total_weight, "empty"
    return None, ""


def _unit_dim(i: int, dims: int, ops: Sequence[str], first: dict[int, int]) -> int:
    """Which dimension counts the units, told by the layer that feeds the activation."""
    at: int | None = i
    for _ in range(_REACH if dims > 2 else 0):
        at = first.get(at) if at is not None else None
        op = ops[at] if at is not None else ""
        if any(word in op for word in _CHANNELS_FIRST):
            return 1
        if op.startswith(_FEATURES_LAST):
            return dims - 1
    return 1 if dims > 3 else dims - 1


def _question(trait: str, tensor: Tensor, unit_dim: int = -1) -> _Question:
    return _Question(trait, tensor.shape, tensor.dtype, tensor.device, unit_dim)


def _is_plain(tensor: object) -> bool:
    return (
        isinstance(tensor, Tensor)
        and type(tensor) in PLAIN
        and not (is_wrapped(tensor) or tensor.is_meta)
        and tensor.layout is torch.strided
        and tensor.dtype.is_floating_point
        and tensor.numel() > 0
    )


def _live_units(question: _Question, rows: Tensor) -> Tensor:
    """Per row and unit: whether any sample is above 0; NaN counts as alive."""
    others = [d for d in range(1, rows.dim()) if d != question.unit_dim + 1]
    largest = rows.amax(others) if others else rows
    return (largest <= 0).logical_not().reshape(rows.shape[0], -1)


def _flat(question: _Question, rows: Tensor) -> Tensor:
    """Per row: the share of elements in the flat part."""
    each = rows.reshape(rows.shape[0], -1)
    each = each[:, :: max(1, each.shape[1] // SAMPLED)]
    if question.trait == "flat_sigmoid":
        return ((each - 0.5).abs() > _FLAT_SIGMOID).float().mean(1)
    return (each.abs() > _FLAT_TANH).float().mean(1)


def _tiny(question: _Question, rows: Tensor) -> Tensor:
    """Per row: the share of non-zero elements that are as small as float16 can be."""
    each = rows.reshape(len(rows), -1).abs()
    nonzero = (each > 0).float().sum(1)
    return ((each > 0) & (each <= TINIEST_HALF)).float().sum(1) / nonzero.clamp_min(1)


def _equal(question: _Question, rows: Tensor) -> Tensor:
    return torch.stack([_equal_rows(row) for row in rows])


def _equal_rows(gradient: Tensor) -> Tensor:
    """Whether the rows are the same, up to rounding."""
    low, high = gradient.flatten(1).aminmax(dim=0)
    largest = torch.maximum(low.abs().amax(), high.abs().amax())
    return (high - low).amax() <= SAME * largest


def _probe(gradient: Tensor) -> Tensor:
    return gradient[:: max(1, gradient.shape[0] // PROBED)]


def _nothing_counted(question: _Question, rows: Tensor) -> Tensor:
    return rows.flatten() == 0


_REDUCE = {
    "dead": _live_units,
    "flat_sigmoid": _flat,
    "flat_tanh": _flat,
    "tiny_fraction": _tiny,
    "equal_rows": _equal,
    "empty": _nothing_counted,
}
_LOSSES = (
    *("MseLoss", "NllLoss", "SmoothL1Loss", "HuberLoss", "BinaryCrossEntropy", "SoftMarginLoss"),
    *("MultiMarginLoss", "MultilabelMarginLoss"),
)
_ASKED = (
    *("ReluBackward", "ThresholdBackward", "ClampMinBackward0", "ClampBackward1", "Hardtanh"),
    *("SigmoidBackward", "TanhBackward", "MeanBackward", "NativeBatchNorm", "CudnnBatchNorm"),
    *("MiopenBatchNorm", *_LOSSES),
)


def _fields(question: _Question, row: Any) -> Iterator[tuple[str, Any]]:
    """Fields of ``Traits`` from the numbers of one node."""
    if question.trait == "dead":
        yield from _units(question, row)
    elif question.trait.startswith("flat"):
        yield "saturated_fraction", row
    elif question.trait != "empty" or row:
        yield question.trait, row


def _units(question: _Question, alive: list[bool]) -> Iterator[tuple[str, int]]:
    if len(alive) <= MAX_UNITS:
        bits = "".join("0" if unit else "1" for unit in reversed(alive))
        yield "units", len(alive)
        yield "samples", question.shape.numel() // len(alive)
        yield "dead", int(bits, 2)
