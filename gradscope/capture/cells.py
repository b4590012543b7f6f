"""Notebook cells: the name that the user knows a cell by, instead of the file that it poses as."""

from __future__ import annotations

import linecache
import sys
from typing import Any


def shown_file(file: str) -> str:
    """``Cell In[3]`` for the file name that IPython compiled a cell under; others as they are.

    The cell's lines can then be read from ``linecache`` under that name, too.
    """
    ipython = sys.modules.get("IPython")
    if ipython is None:
        return file
    try:
        name = _cell_name(ipython, file)
    except Exception:  # a shell of another kind
        return file
    if not name:
        return file
    lines = linecache.getlines(file)
    if lines:
        linecache.cache[name] = (sum(map(len, lines)), None, lines, name)
    return name


def _cell_name(ipython: Any, file: str) -> str:
    shell = ipython.get_ipython()
    parts = shell.compile.format_code_name(file) if shell is not None else None
    return " ".join(parts) if parts else ""
