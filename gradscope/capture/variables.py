"""The variables of a running frame, read so that the program cannot tell.

NOTE [Snapshots of locals]
Before Python 3.13 ``frame.f_locals`` of a function fills a dict that stays on the frame. It would
keep every tensor it holds alive until the function returns, and it is the very dict that
``locals()`` gives to the program. So it is emptied again unless somebody else holds it, and frames
whose code calls ``locals``, ``exec`` or ``eval`` are not read at all.
"""

from __future__ import annotations

import dis
import re
import sys
from functools import lru_cache
from inspect import CO_OPTIMIZED
from types import CodeType, FrameType
from typing import Any, NamedTuple

_KEEPS_SNAPSHOT = sys.version_info < (3, 13)
_SNAPSHOT_USERS = frozenset({"locals", "exec", "eval"})
_STORES = frozenset({"STORE_FAST", "STORE_NAME", "STORE_GLOBAL", "STORE_DEREF"})
_LOADS = frozenset({"LOAD_GLOBAL", "LOAD_NAME"})
_BETWEEN = frozenset({"CACHE", "EXTENDED_ARG"})
_ONLY_OURS = 3  # references to a snapshot: the frame's, ours, and the one that asks
_HIDDEN = re.compile(r"__.*|_(?:i+|i?\d+|[iod]h)?|In|Out")  # Python's own, and IPython's history

Variable = tuple[str, Any]


class Variables(NamedTuple):
    """A frame's variables; ``leftovers`` were only ever bound by a loop over something else."""

    plain: list[Variable]
    leftovers: list[Variable]


def variables(frame: FrameType) -> Variables:
    """What the names in one frame stand for; free and used global variables included."""
    facts = _facts(frame.f_code)
    plain: list[Variable] = []
    leftovers: list[Variable] = []
    for name, value in _items(frame, facts):
        if name.isidentifier() and not (name[0] in "_IO" and _HIDDEN.fullmatch(name)):
            (leftovers if name in facts.loop_targets else plain).append((name, value))
    return Variables(plain, leftovers)


class _Facts(NamedTuple):
    loop_targets: frozenset[str]
    uses_snapshot: bool


def _items(frame: FrameType, facts: _Facts) -> list[Variable]:
    if not frame.f_code.co_flags & CO_OPTIMIZED:  # a module or class body
        return list(frame.f_locals.items())
    scope = frame.f_globals
    used = [(name, scope[name]) for name in frame.f_code.co_names if name in scope]
    if not _KEEPS_SNAPSHOT:
        return [*frame.f_locals.items(), *used]
    if facts.uses_snapshot:
        return used
    snapshot = frame.f_locals
    items = list(snapshot.items())
    if sys.getrefcount(snapshot) <= _ONLY_OURS:
        snapshot.clear()
    return items + used


@lru_cache(maxsize=2048)
def _facts(code: CodeType) -> _Facts:
    """Names that only ``for`` binds, and whether the code looks at its own variables."""
    has_loop = dis.opmap["FOR_ITER"] in code.co_code[::2]
    if not has_loop and not _SNAPSHOT_USERS & set(code.co_names):
        return _Facts(frozenset(), False)
    by_loop: set[str] = set()
    otherwise: set[str] = set()
    uses_snapshot = False
    targets = 0  # names that the header of a loop still has to bind
    for instruction in dis.get_instructions(code):
        name = instruction.opname
        if name in _STORES:
            (by_loop if targets > 0 else otherwise).add(instruction.argval)
            targets -= 1
        elif name not in _BETWEEN:
            targets = _targets_after(name, instruction.arg or 0, targets)
            uses_snapshot |= name in _LOADS and instruction.argval in _SNAPSHOT_USERS
    return _Facts(frozenset(by_loop - otherwise), uses_snapshot)


def _targets_after(name: str, argument: int, targets: int) -> int:
    """How many names are still to be bound after one more instruction."""
    if name == "FOR_ITER":
        return 1
    if targets > 0 and name == "UNPACK_SEQUENCE":
        return targets - 1 + argument
    if targets > 0 and name == "UNPACK_EX":
        return targets + (argument & 0xFF) + (argument >> 8)
    return 0
