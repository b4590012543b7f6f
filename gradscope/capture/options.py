"""What a capture should see; plain data, so that the command line need not import torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import TypeGuard, cast

from gradscope.errors import UsageError
from gradscope.model.trace import Level

LEVELS: tuple[Level, ...] = ("params", "modules", "ops")


@dataclass(frozen=True)
class CaptureOptions:
    """How much of a run is seen.

    Attributes:
        level: The finest level a step is seen at: ``params`` (leaves only), ``modules`` (also the
            result of every module call) or ``ops`` (every node).
        every: See every N-th step at ``level`` and the others at ``params``; None: all at first,
            then as many as ``budget`` allows.
        steps: Exactly these step indices are seen at ``level``; negative ones count from the end
            and keep the newest graphs. Overrides ``every``.
        budget: Share of the run's time that gradscope may spend once the first
            ``always_seen`` steps are over, 0 to 1.
        always_seen: That many first steps are seen at ``level`` whatever they cost.
        max_graphs: How many whole graphs are kept (first, last, flagged, spread between).
        verify_functions: Whether the backward of every custom ``autograd.Function`` is compared
            with the finite difference of its forward when the run is over.
        max_nodes_walked: Nodes of one graph beyond which the walk stops and says so.
        on_step: Called with the index of every backward that is over; must be quick.

    Raises:
        UsageError: A value is out of range or of another type.
    """

    level: Level = "ops"
    every: int | None = None
    steps: tuple[int, ...] = ()
    budget: float = 0.2
    always_seen: int = 100
    max_graphs: int = 16
    max_nodes_walked: int = 2_000_000
    verify_functions: bool = False
    on_step: Callable[[int], None] | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            raise UsageError(f"level {self.level!r} is not one of {', '.join(LEVELS)}.")
        if self.every is not None:
            _check_count("every", self.every, 1)
        object.__setattr__(self, "steps", _whole_numbers(self.steps))
        _check_budget(self.budget)
        _check_count("always_seen", self.always_seen, 0)
        _check_count("max_graphs", self.max_graphs, 2)
        _check_count("max_nodes_walked", self.max_nodes_walked, 1)
        _check_switch("verify_functions", self.verify_functions)


def _check_switch(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise UsageError(f"{name} must be True or False, not {value!r}.")


def _check_count(name: str, value: object, least: int) -> None:
    if not _is_whole(value):
        raise UsageError(f"{name} must be a whole number of {least} or more, not {value!r}.")
    if value < least:
        raise UsageError(f"{name} must be {least} or more, not {value}.")


def _whole_numbers(steps: object) -> tuple[int, ...]:
    listed = isinstance(steps, Iterable) and not isinstance(steps, str | bytes)
    found: tuple[object, ...] = tuple(cast("Iterable[object]", steps)) if listed else ()
    whole = tuple(int(step) for step in found if _is_whole(step))
    if not listed or len(whole) < len(found):
        wrong = next((step for step in found if not _is_whole(step)), steps)
        raise UsageError(f"steps must be whole numbers such as (0, 10, -1), not {wrong!r}.")
    return whole


def _check_budget(value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise UsageError(f"budget must be a number such as 0.2, not {value!r}.")
    share = float(value)
    if not 0 < share <= 1:
        raise UsageError(f"budget must be above 0 and at most 100 %, not {share:.0%}.")


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, Integral) and not isinstance(value, bool)
