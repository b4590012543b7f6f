"""What happened around the backwards: optimizers, calls of the loop, cuts, changes in place."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from gradscope.model.graph import Source


@dataclass(frozen=True, slots=True)
class Addition:
    """A group of parameters that an optimizer was given after it had stepped.

    Attributes:
        source: The user's line.
        after_step: Index of the last step before it; -1 when none.
        parameters: Indices into ``Trace.parameters``.
    """

    source: Source | None
    after_step: int
    parameters: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class OptimizerFacts:
    """One optimizer of the run.

    Attributes:
        label: ``SGD`` or ``Adam#2``, as in ``Parameter.optimizers`` and ``Update.optimizer``.
        source: The user's line that made it; None when it was made before the trace began.
        after_step: Index of the last step before it was made; -1 when none.
        parameters: Indices into ``Trace.parameters`` of what it holds, as last seen.
        steps: How often ``step()`` ran.
        additions: Groups that came later, by ``add_param_group``.
    """

    label: str
    source: Source | None = None
    after_step: int = -1
    parameters: tuple[int, ...] = ()
    steps: int = 0
    additions: tuple[Addition, ...] = ()


CallKind = Literal[
    "clip",  # clip_grad_norm_: value is the total norm, limit the max_norm
    "clip_value",  # clip_grad_value_: limit is clip_value
    "unscale",  # GradScaler.unscale_ by the user
    "scaler_step",  # GradScaler.step: value is 1 when the optimizer stepped, 0 when skipped
    "scheduler_step",  # of a learning rate scheduler, not the one in its constructor
    "zero_grad",  # of an optimizer or a module
    "nonleaf_grad",  # ``.grad`` read on a tensor that is no leaf and retains none
    "checkpoint_without_grad",  # reentrant checkpoint, no input requires a gradient
]


@dataclass(frozen=True, slots=True)
class Call:
    """A call of the training loop that is neither a backward nor an update.

    Attributes:
        kind: What was called.
        after_step: Index of the last step that began before it; -1 when none.
        after_update: Index of the last update before it; -1 when none.
        source: The user's line.
        label: Label of the optimizer or module it belongs to, where it belongs to one.
        value: A number the call came up with; NaN when it has none.
        limit: A number it was given; NaN when it has none.
        count: How many equal calls in a row this stands for.
    """

    kind: CallKind
    after_step: int
    after_update: int
    source: Source | None = None
    label: str = ""
    value: float = math.nan
    limit: float = math.nan
    count: int = 1


@dataclass(frozen=True, slots=True)
class Cut:
    """A call that took a tensor with a gradient and gave one without, or grad mode off.

    Attributes:
        op: The torch function, such as ``detach``, ``argmax``, ``item``, ``numpy``; ``no_grad``
            for any function under ``no_grad``; ``grad_mode`` and ``inference_mode`` where a
            backward began while grad mode was off, with the line that switched it off.
        source: The user's line.
        after_step: Index of the last step before it was first seen; -1 when none.
        count: How often it was seen.
        variable: The user's name of what went in, where known.
        depth: How many assignments lie between it and a loss that had no graph: 0 when it is in
            the very statement that made that loss. None: no such loss was computed from it.
        parameters: Indices into ``Trace.parameters`` of the leaves that what went in, when first
            seen, was computed from; empty where that graph was too large.
        made_by: Autograd's name of the node that made what went in, when first seen; may be empty.
        made_at: The user's line that made it, where known.
        into_loss: Whether, as the source is written, a loss that has a graph is computed from it;
            only asked where a parameter behind it never gets a gradient.
        steps: Of grad mode that the user switched off: before how many backwards the result went
            into a layer that is trained.
    """

    op: str
    source: Source | None
    after_step: int = -1
    count: int = 1
    variable: str = ""
    depth: int | None = None
    parameters: tuple[int, ...] = ()
    made_by: str = ""
    made_at: Source | None = None
    into_loss: bool = False
    steps: int = 0


@dataclass(frozen=True, slots=True)
class Mutation:
    """A tensor with a graph that was changed in place.

    Attributes:
        op: The torch function, such as ``add_`` or ``__setitem__``.
        source: The user's line.
        shape: Sizes of the changed tensor.
        version: Its version counter after the change.
        variable: The user's name of it, where known.
        after_step: Index of the last step before it; -1 when none.
    """

    op: str
    source: Source | None
    shape: tuple[int, ...]
    version: int
    variable: str = ""
    after_step: int = -1


@dataclass(frozen=True, slots=True)
class Failure:
    """Where in its graph a backward stopped, as its nodes told when the engine had raised.

    Attributes:
        op: Autograd's name of the node, such as ``SigmoidBackward0``.
        node: Its id in the step's graph.
        source: The user's line that made the node.
        variable: The user's name of the tensor it is about: the saved one that was changed, or
            the one that leads from the new part of a graph to the part that is gone.
        carried: The user's line that made the tensor which leads there; None when all is old. Of
            a changed tensor: what leads to its node from behind a backward that kept its graph.
        freed_by: Index of the step whose backward let the node's saved values go.
        side_by_side: Whether no forward ran since: two losses of one graph, or one loss twice.
        rebuilt: Whether the line of ``carried`` ran again for the new part of the graph.
        expected: Version that the saved tensor had.
        found: Version that it has now.
        change: The first change of the saved tensor after it was saved.
        parameter: Index into ``Trace.parameters`` when the saved tensor belongs to a leaf.
    """

    op: str
    node: int
    source: Source | None = None
    variable: str = ""
    carried: Source | None = None
    freed_by: int | None = None
    side_by_side: bool = False
    rebuilt: bool = False
    expected: int = 0
    found: int = 0
    change: Mutation | None = None
    parameter: int | None = None
