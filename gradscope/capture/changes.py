"""How large gradients, values and changes were at optimizer steps, measured for many at once.

Of a small model a step takes copies, which are measured together with those of later steps; of a
large one it takes norms and samples at once, whose numbers are read later. What a step left is
copied anew before the next: writes through ``.data = ``, arrays or collectives move no counter.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, compress, count, islice
from operator import attrgetter
from typing import Any, TypeVar

import torch
from torch import Tensor

from gradscope.capture.readable import plain_forms

TOGETHER = 1 << 15  # elements of a model that is copied
SAMPLE = 4096  # elements of one parameter on which the size of its change is measured
RUN = 16  # elements that lie next to each other in a sample
HUGE = 1 << 20  # elements of such as an embedding, of whose many rows few may change: no runs there
_flatten: Callable[[list[Tensor]], Tensor] = torch._C._nn.flatten_dense_tensors
_SHAPE = attrgetter("_counts", "with_grad", "_before.dtype", "_before.device")
_KIND = attrgetter("dtype", "device")  # what tensors that are copied into one have in common
_T = TypeVar("_T")


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
        of_all = len(parameters)
        self.grad_norms = [math.nan] * of_all
        self.value_rms = [math.nan] * of_all
        self.update_rms = [math.nan] * of_all
        grads = [p.grad for p in parameters]
        self.with_grad = tuple([i for i, grad in enumerate(grads) if grad is not None])
        tensors = plain_forms([*parameters, *[grad for grad in grads if grad is not None]])
        self._counts = tuple([values.numel() for values in tensors[:of_all]])
        total = sum(self._counts)
        self._copied = 0 < total <= TOGETHER and are_alike(tensors)
        # Either one flat copy of the values and then the gradients, or lists of samples and norms.
        if self._copied:
            self._before: Any = flat_copy(tensors)
            self._grads: Any = None
        else:
            self._before, self._grads = samples(tensors[:of_all]), norms(tensors[of_all:])
        self._after: Any = None
        self.held = 3 * total if self._copied else SAMPLE * of_all

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

    def _fill_grads(self, found: Iterable[float]) -> None:
        self._grads = None
        for i, norm in zip(self.with_grad, found, strict=True):
            self.grad_norms[i] = norm

    def _fill_updates(
        self, values: Iterable[float], updates: Iterable[float], roots: Sequence[float]
    ) -> None:
        self._before = self._after = None
        self.value_rms = [norm / root for norm, root in zip(values, roots, strict=True)]
        self.update_rms = [norm / root for norm, root in zip(updates, roots, strict=True)]


def measure_grads(changes: Sequence[Change]) -> None:
    """Fills in the gradients' norms."""
    for alike in _alike([c for c in changes if c._copied and c.with_grad]):
        sizes = [alike[0]._counts[i] for i in alike[0].with_grad]
        values = sum(alike[0]._counts)  # before the gradients
        rows = _row_norms(torch.stack([c._before[values:] for c in alike]), sizes)
        for change, row in zip(alike, rows, strict=True):
            change._fill_grads(row)
    apart = [c for c in changes if not c._copied]
    moved = iter(to_floats(list(chain.from_iterable([c._grads for c in apart]))))
    for change in apart:
        change._fill_grads(islice(moved, len(change.with_grad)))


def measure_updates(changes: Sequence[Change]) -> None:
    """Fills in the sizes of the values and of their changes."""
    for alike in _alike([c for c in changes if c._copied]):
        counts = alike[0]._counts
        roots = _roots(counts)
        before = torch.stack([c._before[: sum(counts)] for c in alike])
        deltas = torch.stack([c._after for c in alike]) - before
        rows = zip(alike, _row_norms(before, counts), _row_norms(deltas, counts), strict=True)
        for change, values, updates in rows:
            change._fill_updates(values, updates, roots)
    apart = [c for c in changes if not c._copied]
    moved = iter(to_floats(list(chain.from_iterable([c._before + c._after for c in apart]))))
    for change in apart:
        roots = _roots(change._counts)
        values = list(islice(moved, len(roots)))
        change._fill_updates(values, islice(moved, len(roots)), roots)


def _roots(counts: Iterable[int]) -> list[float]:
    return [math.sqrt(count) or math.nan for count in counts]


def _alike(changes: Sequence[Change]) -> Iterable[list[Change]]:
    """Changes over the same parameters."""
    found: dict[object, list[Change]] = {}
    for change in changes:
        found.setdefault(_SHAPE(change), []).append(change)
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
    return _together([_sampled(tensor) for tensor in tensors], _copies)


def _sampled(tensor: Tensor) -> Tensor:
    flat = tensor.detach().reshape(-1)
    return _spread(flat) if flat.numel() > SAMPLE else flat


def _copies(tensors: list[Tensor]) -> Sequence[Tensor]:
    parts: Sequence[Tensor] = torch.cat(tensors).split([values.numel() for values in tensors])
    return parts


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
    flat = _flatten(tensors)
    return flat.clone() if len(tensors) == 1 else flat  # it would be a view of the only one


def are_alike(tensors: Sequence[Tensor]) -> bool:
    """Whether plain tensors, of which there are some, are strided and floating, of one kind."""
    dtype, device = tensors[0].dtype, tensors[0].device
    if not dtype.is_floating_point:
        return False
    for tensor in tensors:
        if (
            tensor.dtype is not dtype
            or tensor.device != device
            or tensor.layout is not torch.strided
        ):
            return False
    return True


def to_floats(tensors: Sequence[Tensor]) -> list[float]:
    """Reads 0-dim tensors, those of one device and dtype in one go."""
    return _together(tensors, _read)


def _read(tensors: list[Tensor]) -> list[float]:
    listed: list[float] = torch.stack(tensors).tolist()
    return listed


def _together(tensors: Sequence[Tensor], make: Callable[[list[Tensor]], Sequence[_T]]) -> list[_T]:
    """What is made of tensors of each dtype and device together, in the order of the tensors."""
    kinds = list(map(_KIND, tensors))
    found: dict[int, _T] = {}
    for kind in set(kinds):
        those = list(map(kind.__eq__, kinds))
        made = make(list(compress(tensors, those)))
        found.update(zip(compress(count(), those), made, strict=True))
    return list(map(found.__getitem__, range(len(tensors))))


def _wide(tensor: Tensor) -> torch.dtype:
    return torch.promote_types(tensor.dtype, torch.float32)
