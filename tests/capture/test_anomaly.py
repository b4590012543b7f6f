"""Anomaly mode tells the user's frames, as without a trace."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

import gradscope
from tests.command import gradscope as command
from tests.command import run

SCRIPT = """\
import torch


def root(x):
    return torch.nn.Sequential(torch.nn.Identity())(x).sqrt()


x = torch.tensor([-1.0], requires_grad=True)
with torch.autograd.set_detect_anomaly(True):
    root(x).sum().backward()
"""


class _Root(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.sqrt()


def _told() -> str:
    x = torch.tensor([-1.0], requires_grad=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with torch.autograd.set_detect_anomaly(True):
            loss = nn.Sequential(_Root())(x).sum()
            with pytest.raises(RuntimeError, match="nan values"):
                loss.backward()
    return next(str(w.message) for w in caught if "Traceback of forward" in str(w.message))


def test_the_traceback_is_that_of_plain_python() -> None:
    plain = _told()
    with gradscope.trace() as t:
        traced = _told()
    assert _without_the_test(traced) == _without_the_test(plain)
    assert "return x.sqrt()" in traced
    assert not t.trace.dropped


def _without_the_test(told: str) -> list[str]:
    """From the first frame that both have on: the test calls ``_told`` from two lines."""
    return told.splitlines()[
        told.splitlines().index("    loss = nn.Sequential(_Root())(x).sum()") :
    ]


def test_a_script_sees_only_its_own_frames(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(SCRIPT)
    plain = run(tmp_path, "train.py").err
    traced = command(tmp_path, "render", "-q", "-o", "out.json", "train.py").err
    assert _told_by(traced) == _told_by(plain)
    assert "x).sqrt()" in traced


def _told_by(err: str) -> list[str]:
    told = err[err.index("Traceback of forward call") :].split(" (Triggered")[0].splitlines()
    assert len(told) > 3
    return told
