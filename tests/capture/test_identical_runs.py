"""A traced program computes the same bits as an untraced one, and leaves the same RNG behind."""

from __future__ import annotations

import random

import pytest
import torch
from torch import Tensor
from transformers import logging

import gradscope
from gradscope.session import Session
from tests.capture.programs import PROGRAMS, Program

logging.set_verbosity_error()  # type: ignore[no-untyped-call]


def _run(program: Program) -> tuple[list[Tensor], Tensor, object]:
    torch.manual_seed(7)
    random.seed(7)
    results = program()
    return results, torch.get_rng_state(), random.getstate()


def _traced(program: Program) -> tuple[tuple[list[Tensor], Tensor, object], Session]:
    with gradscope.trace() as session:
        found = _run(program)
    return found, session


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")
@pytest.mark.parametrize("name", PROGRAMS)
def test_the_same_bits(name: str) -> None:
    plain, rng, other_rng = _run(PROGRAMS[name])
    (traced, traced_rng, traced_other), session = _traced(PROGRAMS[name])
    assert len(plain) == len(traced)
    for a, b in zip(plain, traced, strict=True):
        assert a.dtype == b.dtype
        assert torch.equal(a.nan_to_num(), b.nan_to_num())
    assert torch.equal(rng, traced_rng)
    assert other_rng == traced_other
    failed = [
        reason for reason in session.trace.dropped if "without readable numbers" not in reason
    ]
    assert failed == []
    assert session.trace.steps
    assert not session.trace.notes
