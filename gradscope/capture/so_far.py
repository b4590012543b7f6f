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

from gradscope.capture.build import Builder
from gradscope.capture.comments import suppressions
from gradscope.capture.raw import RawGraph
from gradscope.capture.tracer import Tracer
from gradscope.model.trace import Trace


class SoFar:
    """Looks into a tracer that is at work; for ``CaptureOptions.on_step`` only."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    @property
    def is_ready(self) -> bool:
        """Whether this is a moment at which a trace can be made."""
        tracer = self._tracer
        booked = not tracer._booking._pending and not tracer._ledger._events
        return booked and tracer._steps.running <= 1  # the one that has just ended

    @property
    def nodes(self) -> int:
        """Nodes of the latest graph, as a measure of the work."""
        steps = self._tracer._booking.steps
        return (steps[-1].node_count or 0) if steps else 0

    def trace(self) -> Trace:
        """What is recorded at this moment; call when it is ready."""
        tracer, forward = self._tracer, self._tracer._forward
        builder = Builder()  # one of its own, so that nothing is kept that the run lets go of
        graphs = {index: builder.build(raw) for index, raw in self._kept().items()}
        steps = sorted(tracer._booking.steps, key=lambda step: step.index)
        return Trace(
            target=tracer._target,
            argv=tracer._argv,
            steps=tuple(replace(step, graph=graphs.get(step.index)) for step in steps),
            updates=tuple(tracer._ledger.updates),
            parameters=tuple(leaf.freeze() for leaf in tracer._leaves),
            optimizers=tracer._ledger.optimizers.freeze(),
            calls=tracer._calls.freeze(),
            cuts=forward.cuts.freeze(tracer._leaves),
            mutations=forward.mutations.freeze(),
            suppressions=suppressions(tracer._user.files),
        )

    def _kept(self) -> dict[int, RawGraph]:
        gallery = self._tracer._gallery
        kept = {**gallery._flagged, **gallery._asked_for}
        for spread in gallery._spread.values():
            kept.update(spread.kept)
        kept.update([*gallery._last, *gallery._last_of.values()])
        return kept
