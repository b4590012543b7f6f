"""One line about the exception that ended the program, for above Python's own traceback."""

from __future__ import annotations

from collections.abc import Sequence

from gradscope.diagnose.engine import diagnose
from gradscope.model.trace import Trace
from gradscope.render.safe import PROSE_LIMIT, visible
from gradscope.render.summary import verdict


def explanation(trace: Trace, *, select: Sequence[str] = (), ignore: Sequence[str] = ()) -> str:
    """``train.py:8  `h += 1` changes `h` in place, but …``; empty where nothing is known.

    Args:
        trace: The run.
        select: Codes of the only rules to run; empty: all.
        ignore: Codes of rules not to run.
    """
    answer = verdict(diagnose(trace, select=select, ignore=ignore))
    if not answer.raised:
        return ""
    return visible(f"{answer.location}  {answer.text}".strip(), PROSE_LIMIT)
