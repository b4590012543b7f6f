"""How large gradients, values and changes were at optimizer steps, measured for many at once.

Of a small model a step takes copies, which are measured together with those of later steps; of a
large one it takes norms and samples at once, whose numbers are read later. What a step left is
copied anew before the next: writes through ``.data = ``, arrays or collectives move no counter.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch._utils import _flatten_dense_tensors

from gradscope.capture.readable import PLAIN, plain_forms

TOGETHER = 1 << 15  # elements of a model that is copied
SAMPLE = 4096  # elements of one parameter on which the size of its change is measured
RUN = 16  # elements that lie next to each other in a sample
HUGE = 1 << 20  # elements of such as an embedding, of whose many rows few may change: no runs there


class Change:
    """What one optimizer step did; lists are aligned with its parameters.

    Attributes:
        with_grad: Positions of those that had a ``.grad`` before.
        grad_norms: L2 norm of ``.grad`` before the step; NaN where there was none.
        value_rms: RMS of each parameter before the step, on a sample of large ones.
        update_rms: RMS of its change.
        held: Elements that are held until it is measured.
    """

    __slots__ = (
        "_after",
        "_before",
        "_copied",
        "_counts",
        "_grads",
        "grad_norms",
        "held",
        "update_rms",
        "value_rms",
        "with_grad",
    )

    def __init__(self, parameters: list[Tensor]) -> None:
        count = len(parameters)
        self.grad_norms = [math.nan] * count
        self.value_rms = [math.nan] * count
        self.update_rms = [math.nan] * count
        grads = [p.grad for p in parameters]
        present = plain_forms(grad for grad in grads if grad is not None)
        self.with_grad = tuple([i for i, grad in enumerate(grads) if grad is not None])
        parameters = plain_forms(parameters)
        self._counts = tuple([p.numel() for p in parameters])
        total = sum(self._counts)
        self._copied = 0 < total <= TOGETHER and are_alike([*parameters, *present])
        # Either one flat copy of the values and then the gradients, or lists of samples and norms.
        if self._copied:
            self._before: Any = flat_copy([*parameters, *present])
            self._grads: Any = None
        else:
            self._before, self._grads = samples(parameters), norms(present)
        self._after: Any = None
        self.held = 3 * total if self._copied else SAMPLE * count

    def after(self, parameters: list[Tensor]) -> None:
        """Looks at the same parameters after the step."""
        parameters = plain_forms(parameters)
        if self._copied:
            self._after = flat_copy(parameters)
            return
        self._counts = tuple([values.numel() for values in self._before])
        changes = zip(samples(parameters), self._before, strict=True)
        self._after = norms([after - before for after, before in changes])
        self._before = norms(self._before)

    def _fill_grads(self, found: Sequence[float]) -> None:
        self._grads = None
        for i, norm in zip(self.with_grad, found, strict=True):
            self.grad_norms[i] = norm

    def _fill_updates(self, values: Sequence[float], updates: Sequence[float]) -> None:
        self._before = self._after = None
        for i, count in enumerate(self._counts):
            root = math.sqrt(count) or math.nan
            self.value_rms[i] = values[i] / root
            self.update_rms[i] = updates[i] / root


def measure_grads(changes: Sequence[Change]) -> None:
    """Fills in the gradients' norms."""
    for alike in _alike([c for c in changes if c._copied and c.with_grad]):
        with_grad = alike[0].with_grad
        sizes = [alike[0]._counts[i] for i in with_grad]
        values = sum(alike[0]._counts)  # before the gradients
        rows = _row_norms(torch.stack([c._before[values:] for c in alike]), sizes)
        for change, row in zip(alike, rows, strict=True):
            change._fill_grads(row)
    apart = [c for c in changes if not c._copied]
    moved = iter(to_floats([norm for c in apart for norm in c._grads]))
    for change in apart:
        change._fill_grads([next(moved) for _ in change.with_grad])


def measure_updates(changes: Sequence[Change]) -> None:
    """Fills in the sizes of the values and of their changes."""
    for alike in _alike([c for c in changes if c._copied]):
        counts = alike[0]._counts
        before = torch.stack([c._before[: sum(counts)] for c in alike])
        deltas = torch.stack([c._after for c in alike]) - before
        rows = zip(alike, _row_norms(before, counts), _row_norms(deltas, counts), strict=True)
        for change, values, updates in rows:
            change._fill_updates(values, updates)
    apart = [c for c in changes if not c._copied]
    moved = iter(to_floats([norm for c in apart for norm in [*c._before, *c._after]]))
    for change in apart:
        values = [next(moved) for _ in change._before]
        change._fill_updates(values, [next(moved) for _ in change._after])


def _alike(changes: Sequence[Change]) -> Iterable[list[Change]]:
    """Changes over the same parameters."""
    found: dict[object, list[Change]] = {}
    for change in changes:
        copy = change._before
        shape = (change._counts, change.with_grad, copy.dtype, copy.device)
        found.setdefault(shape, []).append(change)
    return found.values()


def _row_norms(rows: Tensor, sizes: Sequence[int]) -> list[list[float]]:
    """Per row, the norms of its parts."""
    wide = torch.promote_types(rows.dtype, torch.float32)
    parts = rows.split(list(sizes), dim=1)
    found = [torch.linalg.vector_norm(part, dim=1, dtype=wide) for part in parts]
    listed: list[list[float]] = torch.stack(found, dim=1).tolist()
    return listed


def norms(tensors: Sequence[Tensor]) -> list[Tensor]:
    """L2 norms as 0-dim tensors, read later; 0 stands for all zero (or below 1e-22 in float32)."""
    if not tensors:
        return []
    plain = [t.coalesce().values() if t.is_sparse else t for t in tensors]
    if all(t.is_floating_point() and t.dtype.itemsize >= 4 for t in plain):
        return list(torch._foreach_norm(plain))
    real = [torch.view_as_real(t) if t.is_complex() else t for t in plain]
    return [torch.linalg.vector_norm(t, dtype=_wide(t)) for t in real]


def samples(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Copies of up to ``SAMPLE`` elements of each tensor, made together per dtype."""
    flat: dict[tuple[torch.dtype, torch.device], list[tuple[int, Tensor]]] = {}
    for i, tensor in enumerate(tensors):
        values = tensor.detach().reshape(-1)
        if values.numel() > SAMPLE:
            values = _spread(values)
        flat.setdefault((values.dtype, values.device), []).append((i, values))
    found: dict[int, Tensor] = {}
    for items in flat.values():
        copy = torch.cat([values for _, values in items])
        parts = copy.split([values.numel() for _, values in items])
        found.update(zip((i for i, _ in items), parts, strict=True))
    return [found[i] for i in range(len(tensors))]


def _spread(flat: Tensor) -> Tensor:
    """``SAMPLE`` elements; of a tensor that is not huge in runs, which touch less memory."""
    count = flat.numel()
    if count > HUGE:
        return flat[:: count // SAMPLE][:SAMPLE]
    runs, stride = SAMPLE // RUN, flat.stride(0)
    size, strides = (runs, RUN), (count // runs * stride, stride)
    return flat.as_strided(size, strides, flat.storage_offset()).reshape(-1)


def flat_copy(tensors: list[Tensor]) -> Tensor:
    """All elements of tensors that ``are_alike`` in one row; call without gradients enabled."""
    flat: Tensor = _flatten_dense_tensors(tensors)
    return flat.clone() if len(tensors) == 1 else flat  # it would be a view of the only one


def are_alike(tensors: Sequence[Tensor]) -> bool:
    """Whether they are plain and of one floating dtype on one device."""
    if not tensors:
        return True
    dtype, device = tensors[0].dtype, tensors[0].device
    return dtype.is_floating_point and all(
        t.dtype is dtype and t.layout is torch.strided and t.device == device and type(t) in PLAIN
        for t in tensors
    )


def to_floats(tensors: Sequence[Tensor]) -> list[float]:
    """Reads 0-dim tensors, those of one device and dtype in one go."""
    alike: dict[tuple[torch.dtype, torch.device], list[int]] = {}
    for i, tensor in enumerate(tensors):
        alike.setdefault((tensor.dtype, tensor.device), []).append(i)
    found = [math.nan] * len(tensors)
    for positions in alike.values():
        moved = torch.stack([tensors[i] for i in positions]).tolist()
        for i, number in zip(positions, moved, strict=True):
            found[i] = number
    return found


def _wide(tensor: Tensor) -> torch.dtype:
    return torch.promote_types(tensor.dtype, torch.float32)
