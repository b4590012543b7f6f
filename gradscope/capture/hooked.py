"""Calls of modules that take torch's longer way only because gradscope listens to them.

NOTE [The inner of a module's call]: ``nn.Module`` calls ``forward`` straight away when there is no
hook, and from a function ``inner`` when there is one. gradscope's global hooks therefore put two
entries into a traceback where Python alone shows one, so the pair is made that one again: same
frame, the line of the straight call. A module that has hooks of its own keeps its ``inner``.
"""

from __future__ import annotations

import dis
from collections.abc import Iterable
from functools import lru_cache
from types import CodeType, FrameType
from typing import Any

from gradscope.capture.source import is_own

Entry = tuple[FrameType, int, int]  # frame, last instruction, line

_CALL, _INNER, _FORWARD = "_call_impl", "inner", "forward_call"
_OF_MODULE = ("_backward_hooks", "_backward_pre_hooks", "_forward_hooks", "_forward_pre_hooks")
_GLOBAL = (
    *("_global_backward_hooks", "_global_backward_pre_hooks"),
    *("_global_forward_hooks", "_global_forward_pre_hooks"),
)


def unhooked(entries: list[Entry]) -> list[Entry]:
    """The entries, outermost first, as they would be without gradscope's hooks."""
    result: list[Entry] = []
    for entry in entries:
        straight = _straight(result[-1][0], entry[0]) if result else None
        if straight is not None:
            result[-1] = (result[-1][0], *straight)
        else:
            result.append(entry)
    return result


def _straight(caller: FrameType, frame: FrameType) -> tuple[int, int] | None:
    """Where ``caller`` would have called ``forward`` itself, if only our hooks kept it from it."""
    code = caller.f_code
    if (code.co_name, frame.f_code.co_name) != (_CALL, _INNER):
        return None
    if frame.f_code not in code.co_consts or not _only_ours(caller):
        return None
    return _straight_call(code)


def _only_ours(caller: FrameType) -> bool:
    module, names = caller.f_locals.get("self"), caller.f_globals
    if any(getattr(module, name, None) for name in _OF_MODULE):
        return False
    return all(_own(names.get(name, {}).values()) for name in _GLOBAL)


def _own(hooks: Iterable[Any]) -> bool:
    codes = (getattr(getattr(hook, "__func__", hook), "__code__", None) for hook in hooks)
    return all(code is not None and is_own(code.co_filename) for code in codes)


@lru_cache(maxsize=8)
def _straight_call(code: CodeType) -> tuple[int, int] | None:
    """Instruction and line of the first ``forward_call(...)`` in the code itself."""
    loaded = False
    for each in dis.get_instructions(code):
        line = each.positions.lineno if each.positions is not None else None
        if each.opname.startswith("LOAD") and each.argval == _FORWARD:
            loaded = True
        elif loaded and each.opname.startswith("CALL") and line is not None:
            return each.offset, line
    return None
