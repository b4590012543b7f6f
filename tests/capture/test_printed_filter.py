"""The filter of printed tracebacks: what it leaves alone, how it fails, how it is taken out."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from itertools import repeat
from types import FrameType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import gradscope
from gradscope.capture import printed
from gradscope.capture.source import is_own
from gradscope.errors import UsageError

EXTRACT = "_extract_from_extended_frame_gen"


def _failed_backward() -> RuntimeError:
    loss = torch.ones(2, requires_grad=True).exp().sum()
    loss.backward()
    with pytest.raises(RuntimeError) as caught:
        loss.backward()
    return caught.value


def _frames(error: BaseException) -> list[FrameType]:
    return [frame for frame, _ in traceback.walk_tb(error.__traceback__)]


def _text(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


def test_only_the_text_changes() -> None:
    with gradscope.trace():
        error = _failed_backward()
        before, frames = error.__traceback__, _frames(error)
        assert "gradscope/capture" not in _text(error)
        assert error.__traceback__ is before
        assert _frames(error) == frames
        assert any(is_own(frame.f_code.co_filename) for frame in frames)


def test_our_own_failure_shows() -> None:
    class Asks(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * len(session.trace.steps)

    with gradscope.trace() as session:
        try:
            nn.functional.relu(nn.Sequential(Asks())(torch.ones(1)))
        except UsageError:
            text = traceback.format_exc()
    assert "gradscope/session.py" in text
    assert "gradscope/capture" not in text


def test_a_filter_that_fails_leaves_the_text_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    with gradscope.trace() as t:
        error = _failed_backward()
        monkeypatch.setattr(printed, "by_python_alone", None)
        assert "gradscope/capture" in _text(error)
    assert t.trace.dropped == {"tracebacks that show gradscope's frames": 1}


def test_it_is_taken_out_at_the_end() -> None:
    before = vars(traceback.StackSummary)[EXTRACT]
    with gradscope.trace():
        assert vars(traceback.StackSummary)[EXTRACT] is not before
        error = _failed_backward()
    assert vars(traceback.StackSummary)[EXTRACT] is before
    assert "gradscope/capture" in _text(error)


def test_a_later_patch_stays_and_ours_is_inert(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traceback.StackSummary, EXTRACT, vars(traceback.StackSummary)[EXTRACT])
    calls: list[object] = []
    with gradscope.trace():
        error = _failed_backward()
        theirs = _passing_on(vars(traceback.StackSummary)[EXTRACT], calls)
        setattr(traceback.StackSummary, EXTRACT, theirs)
        assert "gradscope/capture" not in _text(error)
    assert vars(traceback.StackSummary)[EXTRACT] is theirs
    assert "gradscope/capture" in _text(error)
    assert len(calls) == 2


def _passing_on(original: Any, calls: list[object]) -> Any:
    """Somebody else's patch."""

    def patched(kind: Any, frames: Any, /, **options: Any) -> Any:
        calls.append(kind)
        return original.__get__(None, kind)(frames, **options)

    return classmethod(patched)


def test_frames_that_do_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(printed, "MAX_FRAMES", 10)
    here = sys._getframe()
    with gradscope.trace():
        found = traceback.StackSummary.extract(repeat((here, here.f_lineno)), limit=30)
    assert len(found) == 30


def test_what_gives_the_frames_may_raise() -> None:
    def give() -> Iterator[tuple[FrameType, int]]:
        yield sys._getframe(), 1
        raise KeyError("theirs")

    with gradscope.trace() as t:
        with pytest.raises(KeyError, match="theirs"):
            traceback.StackSummary.extract(give())
        assert traceback.StackSummary.extract(iter(())) == []
    assert not t.trace.dropped
