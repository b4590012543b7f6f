"""What a capture should see; plain data, so that the command line need not import torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

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
        UsageError: A value is out of range.
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
        if self.every is not None and self.every < 1:
            raise UsageError(f"every must be 1 or more, not {self.every}.")
        if not 0 < self.budget <= 1:
            raise UsageError(f"budget must be above 0 and at most 100 %, not {self.budget:.0%}.")
        if self.max_graphs < 2:
            raise UsageError(f"max_graphs must be 2 or more, not {self.max_graphs}.")
