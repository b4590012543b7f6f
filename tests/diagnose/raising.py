"""Traces of programs that autograd stopped."""

from __future__ import annotations

from dataclasses import replace

from gradscope.model.events import Cut, Failure
from gradscope.model.graph import Source
from gradscope.model.trace import ScriptError, Step, Trace
from tests.builders import line
from tests.diagnose.traces import BACKWARD

FREED = "Trying to backward through the graph a second time (or directly access saved tensors)."
DETACHED = "element 0 of tensors does not require grad and does not have a grad_fn"
CHANGED = (
    "one of the variables needed for gradient computation has been modified by an inplace "
    "operation: [torch.FloatTensor [8, 4]], which is output 0 of SigmoidBackward0, is at version "
    "1; expected version 0 instead. Hint: enable anomaly detection."
)
FORWARD = line(8, "h = torch.sigmoid(fc(x))", "torch.sigmoid(fc(x))")


def stopped(
    message: str,
    *,
    failure: Failure | None = None,
    steps: int = 2,
    source: Source = BACKWARD,
    cuts: tuple[Cut, ...] = (),
    caught: bool = False,
) -> Trace:
    """So many backwards of ``loss``, the last of which raises."""
    made = [
        Step(index=i, loss=1.0, source=BACKWARD, roots=("loss",), made=(10 * i, 10 * i + 9))
        for i in range(steps)
    ]
    made[-1] = replace(made[-1], error=f"RuntimeError: {message}", failure=failure, source=source)
    error = ScriptError("RuntimeError", message, source, "Traceback")
    return Trace(steps=tuple(made), cuts=cuts, script_error=None if caught else error)
