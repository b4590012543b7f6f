"""The last changes in place, by line: enough to say who changed what a backward still needs.

Of each line the latest few changes are kept, so that an update loop over many tensors does not
push out the one line that matters.
"""

from __future__ import annotations

import sys
from collections import deque
from itertools import islice
from time import perf_counter_ns
from types import CodeType
from typing import Any, NamedTuple

from torch import Tensor

from gradscope.capture.build import function_name
from gradscope.capture.dynamo import own_work
from gradscope.capture.quiet import NO_FUNCTIONS, quiet, recover, tracing
from gradscope.capture.source import UserCode, place, targets
from gradscope.capture.subject import subject
from gradscope.model.events import Mutation

MAX_LINES = 64
KEPT = 16  # changes of each line
MAX_CHANGES = 64  # told at the end


class Change(NamedTuple):
    """One change in place; ``storage`` is an address, good for comparing while tensors live."""

    number: int
    function: Any
    code: CodeType
    lasti: int
    shape: tuple[int, ...]
    version: int
    storage: int
    after_step: int

    def freeze(self) -> Mutation:
        """The finished form."""
        source = place(self.code, self.lasti)
        assigned = targets(self.code, self.lasti)
        return Mutation(
            op=function_name(self.function),
            source=source,
            shape=self.shape,
            version=self.version,
            variable=assigned[0] if assigned else subject(source.expression),
            after_step=self.after_step,
        )


class Mutations:
    """Keeps them.

    Args:
        user: Tells the user's code.

    Attributes:
        last_step: Index of the step that began last.
        failures: Changes that could not be looked at.
    """

    def __init__(self, user: UserCode) -> None:
        self.last_step = -1
        self.own_ns = 0
        self.failures = 0
        self._user = user
        self._lines: dict[tuple[int, int], deque[Change]] = {}
        self._count = 0

    @own_work
    def before(self, function: Any, tensor: object) -> None:
        """Before a tensor is changed in place; never raises."""
        started = perf_counter_ns()
        try:
            if issubclass(type(tensor), Tensor):
                with quiet() if tracing() else NO_FUNCTIONS():
                    self._add(function, tensor)  # type: ignore[arg-type]
        except BaseException as error:
            recover(error)
            self.failures += 1
        self.own_ns += perf_counter_ns() - started

    def first(self, storage: int, above: int, upto: int) -> Mutation | None:
        """The first known change of what lies at an address between two versions."""
        fitting = [
            change
            for line in self._lines.values()
            for change in line
            if change.storage == storage and above < change.version <= upto
        ]
        return min(fitting, key=lambda change: change.number).freeze() if fitting else None

    def freeze(self) -> tuple[Mutation, ...]:
        """The latest, in their order."""
        changes = sorted(change for line in self._lines.values() for change in line)
        return tuple(change.freeze() for change in changes[-MAX_CHANGES:])

    def _add(self, function: Any, tensor: Tensor) -> None:
        frame = self._user.innermost(sys._getframe(3))
        if frame is None or tensor.is_inference():
            return
        key = (id(frame.f_code), frame.f_lasti)
        line = self._lines.pop(key, None)
        if line is None:
            line = deque(maxlen=KEPT)
            if len(self._lines) >= MAX_LINES:
                self._lines.pop(next(islice(self._lines, 1)))
        self._lines[key] = line  # the line that changed something last comes last
        self._count += 1
        line.append(
            Change(
                self._count,
                function,
                frame.f_code,
                frame.f_lasti,
                tuple(tensor.shape),
                tensor._version + 1,
                address(tensor),
                self.last_step,
            )
        )


def address(tensor: Tensor) -> int:
    """Where its elements lie: equal for all views of one tensor; 0 where there is no telling."""
    try:
        return tensor.untyped_storage().data_ptr()
    except (RuntimeError, NotImplementedError):  # wrapped, fake or sparse
        return 0
