"""Numbers that tell two runs of the same place in the code apart."""

from __future__ import annotations

from itertools import count
from types import FrameType

from gradscope.capture.modules import ModuleCall
from gradscope.capture.windows import ThreadRecord


class Executions:
    """Gives them: the serial of a module call, and negative ones where none does."""

    def __init__(self) -> None:
        self._numbers = count(-1, -1)

    def new(self) -> int:
        """One that is known to be another run."""
        return next(self._numbers)

    def of(
        self,
        frame: FrameType | None,
        caller: FrameType,
        call: ModuleCall | None,
        record: ThreadRecord,
    ) -> int:
        """Which run of the user's line an op belongs to.

        Several ops of one library function share it: they run in one frame, ever further on.

        Args:
            frame: The user's, if any.
            caller: The one that called the op.
            call: The innermost module call.
            record: Of this thread.
        """
        if frame is None or frame is caller:
            return next(self._numbers)
        if call is not None and call.execution:
            return call.execution
        callee = caller
        while callee.f_back is not frame:
            callee = callee.f_back  # type: ignore[assignment]
        here, reached = (id(callee), frame.f_lasti), callee.f_lasti
        last, last_reached, execution = record.callee
        if last != here or reached <= last_reached:
            execution = next(self._numbers)
        record.callee = (here, reached, execution)
        return execution
