"""The trace so far, while the program still runs.

NOTE [A cut without a seam]: steps, histories and updates are booked together whenever waiting
numbers have arrived; in between, some of them are only half there. So the trace is made at a moment
when nothing waits and no other backward runs, by the thread that has just booked a step and still
holds the recorder's lock. Nothing is settled, named, measured or thinned out for it: the recording
goes on as if nobody had looked. What only the end of a run tells is missing: names sought among the
program's variables, who owns a leaf, the leaves' last values, forwards that no backward reached.
"""

from __future__ import annotations

from dataclasses import replace

from gradscope.capture.booking import Booking
from gradscope.capture.build import Builder
from gradscope.capture.calls import Calls
from gradscope.capture.comments import suppressions
from gradscope.capture.forward import ForwardRecorder
from gradscope.capture.leaves import Leaves
from gradscope.capture.schedule import Gallery
from gradscope.capture.source import UserCode
from gradscope.capture.steps import StepRecorder
from gradscope.capture.updates import Ledger
from gradscope.model.trace import Trace


class SoFar:
    """Looks at a recording that goes on; for ``CaptureOptions.on_step`` only.

    Args:
        target: What runs.
        argv: Its arguments.
        recorder: Listens to the engine.
        booking: Keeps the steps.
        gallery: Keeps the graphs.
        ledger: Keeps updates and optimizers.
        leaves: All of them.
        calls: Those of the training loop.
        forward: Knows the cuts and what was changed in place.
        user: Knows the user's files.
    """

    def __init__(
        self,
        target: str,
        argv: tuple[str, ...],
        *,
        recorder: StepRecorder,
        booking: Booking,
        gallery: Gallery,
        ledger: Ledger,
        leaves: Leaves,
        calls: Calls,
        forward: ForwardRecorder,
        user: UserCode,
    ) -> None:
        self._target, self._argv = target, argv
        self._recorder = recorder
        self._booking = booking
        self._gallery = gallery
        self._ledger = ledger
        self._leaves = leaves
        self._calls = calls
        self._forward = forward
        self._user = user

    @property
    def is_ready(self) -> bool:
        """Whether this is a moment at which a trace can be made."""
        booked = self._booking.is_settled and self._ledger.is_settled
        return booked and self._recorder.running <= 1  # the one that has just ended

    @property
    def nodes(self) -> int:
        """Nodes of the latest graph, as a measure of the work."""
        steps = self._booking.steps
        return (steps[-1].node_count or 0) if steps else 0

    def trace(self) -> Trace:
        """What is recorded at this moment; call when it is ready."""
        builder = Builder()  # one of its own, so that nothing is kept that the run lets go of
        kept = self._gallery.kept_by_step()
        graphs = {index: builder.build(raw) for index, raw in kept.items()}
        steps = sorted(self._booking.steps, key=lambda step: step.index)
        return Trace(
            target=self._target,
            argv=self._argv,
            steps=tuple(replace(step, graph=graphs.get(step.index)) for step in steps),
            updates=tuple(self._ledger.updates),
            parameters=tuple(leaf.freeze() for leaf in self._leaves),
            optimizers=self._ledger.optimizers.freeze(),
            calls=self._calls.freeze(),
            cuts=self._forward.cuts.freeze(self._leaves),
            mutations=self._forward.mutations.freeze(),
            suppressions=suppressions(self._user.files),
        )
