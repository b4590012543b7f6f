"""What torch functions inside an engine run do: hooks, recomputation, nested forwards.

``loss.backward()`` is a torch function itself, so torch takes our mode off the stack while it
runs. It is put on again around the engine.
"""

from __future__ import annotations

from collections.abc import Callable

from torch._C import _len_torch_function_stack
from torch.overrides import _get_current_function_mode_stack, _push_mode

from gradscope.capture.dynamo import own_work
from gradscope.capture.forward import ForwardMode, ForwardRecorder
from gradscope.capture.quiet import recover
from gradscope.capture.windows import ThreadRecord


class InsideEngine:
    """Context of one engine run in one thread.

    Args:
        recorder: Whose mode it is.
        prepare: Puts back what another part may have left off.
    """

    __slots__ = ("_mode", "_prepare", "_record", "_recorder")

    def __init__(self, recorder: ForwardRecorder, prepare: Callable[[], None]) -> None:
        self._recorder = recorder
        self._prepare = prepare
        self._mode: ForwardMode | None = None
        self._record: ThreadRecord | None = None

    @own_work
    def __enter__(self) -> None:
        try:
            self._prepare()
            record = self._recorder.windows.here
            hidden = record.held is None and not (_len_torch_function_stack() and self._is_on())
            if self._recorder.recording and hidden:
                mode = ForwardMode(self._recorder)
                _push_mode(mode)
                self._mode = mode
            self._record = record
            record.in_engine += 1
        except BaseException as error:
            recover(error)
            self._recorder.failures += 1

    @own_work
    def __exit__(self, *exc: object) -> None:
        if self._record is not None:
            self._record.in_engine -= 1
        if self._mode is not None:
            self._mode.__exit__(None, None, None)

    def _is_on(self) -> bool:
        modes = _get_current_function_mode_stack()
        return any(isinstance(m, ForwardMode) and m.recorder is self._recorder for m in modes)
