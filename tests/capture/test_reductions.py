"""Statistics of large and of sparse tensors: exact norms, and samples that reach everywhere."""

from __future__ import annotations

import math

import pytest
import torch

import gradscope
from gradscope.capture.changes import HUGE, RUN, SAMPLE, samples
from gradscope.capture.reduce import BLOCK, kind_of, measured, reduce_one
from gradscope.capture.rows import sparse


@pytest.mark.parametrize("count", [BLOCK // 2, 7 * BLOCK])
def test_the_norm_of_many_equal_elements(count: int) -> None:
    found = reduce_one(torch.full((count,), 0.1))
    assert found[0].item() == pytest.approx(0.1 * math.sqrt(count), rel=5e-5)
    assert [found[1].item(), found[2].item()] == pytest.approx([0.1, 0.1])


def test_the_gradient_of_a_large_leaf() -> None:
    x = torch.ones(7 * BLOCK, requires_grad=True)
    with gradscope.trace() as t:
        (x * 3).sum().backward()
    assert t.trace.parameters[0].gradients.norm[0] == pytest.approx(
        3 * math.sqrt(7 * BLOCK), rel=5e-5
    )


def test_nan_in_any_block_shows() -> None:
    for place in (0, BLOCK, 3 * BLOCK - 1):
        x = torch.ones(3 * BLOCK)
        x[place] = math.nan
        assert math.isnan(reduce_one(x)[0].item())


@pytest.mark.parametrize("shape", [(SAMPLE + 1,), (300, 333), (HUGE + 5,), (40, 40, 40)])
def test_a_sample_reaches_from_the_first_to_the_last_part(shape: tuple[int, ...]) -> None:
    tensor = torch.arange(math.prod(shape), dtype=torch.float64).view(shape)
    (found,) = samples([tensor])
    assert found.numel() == SAMPLE
    assert found.unique().numel() == SAMPLE
    assert found.min() == 0
    assert found.max() >= tensor.numel() * (1 - 2 * RUN / SAMPLE) - RUN
    every_second = tensor.view(-1)[::2]
    assert set(samples([every_second])[0].tolist()) <= set(every_second.tolist())


def test_a_sparse_tensor_without_elements_has_no_share_of_zeros() -> None:
    indices, values = torch.zeros(2, 0, dtype=torch.long), torch.zeros(0)
    empty = torch.sparse_coo_tensor(indices, values, (0, 2), check_invariants=True)
    nothing_stored = torch.sparse_coo_tensor(indices, values, (3, 2), check_invariants=True)
    assert measured(sparse(empty, kind_of(empty))).stats().zero_fraction is None
    assert measured(sparse(nothing_stored, kind_of(nothing_stored))).stats().zero_fraction == 1.0
