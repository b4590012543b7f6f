"""Compares a rendering with the text kept in ``goldens/``.

``GRADSCOPE_UPDATE_GOLDENS=1 pytest tests/render`` writes them anew; look at the difference.
"""

from __future__ import annotations

import os
from pathlib import Path

_FOLDER = Path(__file__).parent / "goldens"


def check_golden(name: str, text: str) -> None:
    path = _FOLDER / name
    if os.environ.get("GRADSCOPE_UPDATE_GOLDENS"):
        path.write_text(text, encoding="utf-8", newline="\n")
    assert text == path.read_text(encoding="utf-8")
