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
    name = _cell_name(ipython, file)
    if not name:
        return file
    lines = linecache.getlines(file)
    if lines:
        linecache.cache[name] = (sum(map(len, lines)), None, lines, name)
    return name


def _cell_name(ipython: Any, file: str) -> str:
    # Nothing is caught here, as that would swallow what a signal handler of the user's raises.
    get_shell = getattr(ipython, "get_ipython", None)
    compiler = getattr(get_shell(), "compile", None) if callable(get_shell) else None
    name_of = getattr(compiler, "format_code_name", None)  # shells of another kind have none
    parts = name_of(file) if callable(name_of) else None
    return " ".join(parts) if parts else ""
