"""A stack or a traceback as it would be without gradscope."""

from __future__ import annotations

import sysconfig
from types import CodeType, FrameType

from gradscope.capture.hooked import Entry, unhooked
from gradscope.capture.source import is_own

_IMPORT = ("<frozen importlib.", f"{sysconfig.get_path('stdlib')}/importlib/")
_FORWARDERS = frozenset({"handle_torch_function", "__torch_function__"})
_LAUNCHER = "launch.py"
_LONGEST_RUN = 2  # frames: what chooses between two functions, as for ``max_pool2d``, and that one


def stack_of(frame: FrameType | None) -> list[Entry]:
    """The frames from the outermost to this one."""
    found: list[Entry] = []
    while frame is not None:
        found.append((frame, frame.f_lasti, frame.f_lineno))
        frame = frame.f_back
    return found[::-1]


def inside_launcher(entries: list[Entry]) -> list[Entry]:
    """Those of a stack, outermost first, that the user's script has when Python runs it."""
    outside = [i for i, (frame, _, _) in enumerate(entries) if _launches(frame.f_code)]
    return entries[outside[-1] + 1 :] if outside else entries


def _launches(code: CodeType) -> bool:
    return code.co_filename.endswith(_LAUNCHER) and is_own(code.co_filename)


def by_python_alone(entries: list[Entry], own: list[bool] | None = None) -> list[Entry]:
    """Those entries, outermost first, that the interpreter alone would have had.

    Args:
        entries: All of them.
        own: Which of them to take out as gradscope's; None: every one whose file is.
    """
    codes = [frame.f_code for frame, _, _ in entries]
    keep = _keep(codes, own or [is_own(code.co_filename) for code in codes])
    return unhooked([entry for entry, kept in zip(entries, keep, strict=True) if kept])


def _keep(codes: list[CodeType], own: list[bool]) -> list[bool]:
    keep = [not mine for mine in own]
    for index in (i for i, mine in enumerate(own) if mine):
        _drop(keep, range(index - 1, -1, -1), codes, own)
        _drop(keep, range(index + 1, len(codes)), codes, own)
        if index and not own[index - 1]:
            _drop_first_run(keep, codes, index)
    return keep


def _drop(keep: list[bool], way: range, codes: list[CodeType], own: list[bool]) -> None:
    """Drop the import machinery next to an own frame; the interpreter hides it as well."""
    for index in way:
        if own[index] or not codes[index].co_filename.startswith(_IMPORT):
            return
        keep[index] = False


def _drop_first_run(keep: list[bool], codes: list[CodeType], own: int) -> None:
    """Drop the call that torch made only to find gradscope's function mode.

    A torch function that a mode sees runs twice: once to find the mode, and again from inside it.
    Without gradscope there would be only the second run.
    """
    first = own - 1
    while first > 0 and codes[first].co_name in _FORWARDERS:
        first -= 1
    second = next((i for i in range(own, len(codes)) if keep[i]), None)
    if first == own - 1 or second is None:
        return
    for length in range(1, min(_LONGEST_RUN, first + 1) + 1):
        begin = first + 1 - length
        if codes[begin : first + 1] == codes[second : second + length]:
            keep[begin:own] = [False] * (own - begin)
            return
