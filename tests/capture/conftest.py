"""What several tests of the capture look at."""

from __future__ import annotations

from typing import Any

import pytest
from torch import nn

from gradscope.capture.forward import ForwardRecorder


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The layers that went the short way, by class."""
    found: list[str] = []
    note = ForwardRecorder.note_layer

    def spy(self: ForwardRecorder, module: nn.Module, *rest: Any) -> None:
        found.append(type(module).__name__)
        note(self, module, *rest)

    monkeypatch.setattr(ForwardRecorder, "note_layer", spy)
    return found
