"""A finished run: steps, updates, parameters. Immutable, plain, without torch."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from gradscope.model.asked import FunctionCheck, Suppression
from gradscope.model.events import Call, Cut, Failure, Mutation, OptimizerFacts
from gradscope.model.graph import Graph, Source
from gradscope.model.stats import TensorStats

Level = Literal["params", "modules", "ops"]
FAILED_CAPTURES = "captures of a step that failed"
"""Key of ``Trace.dropped``."""


@dataclass(frozen=True)
class GradientHistory:
    """What arrived at one parameter, backward by backward; columns of equal length.

    Attributes:
        step: Step index.
        norm: L2 norm of the gradient that arrived in that backward (NaN when unmeasured).
        min: Smallest element (NaN when unmeasured).
        max: Largest element (NaN when unmeasured).
        zero_fraction: Share of exact zeros, 0 to 1 (NaN when unmeasured).
        arrived: 1 when a gradient arrived, 0 when the engine delivered None.
    """

    step: array[int] = field(default_factory=lambda: array("i"))
    norm: array[float] = field(default_factory=lambda: array("d"))
    min: array[float] = field(default_factory=lambda: array("d"))
    max: array[float] = field(default_factory=lambda: array("d"))
    zero_fraction: array[float] = field(default_factory=lambda: array("f"))
    arrived: array[int] = field(default_factory=lambda: array("b"))

    def __len__(self) -> int:
        return len(self.step)


@dataclass(frozen=True)
class UpdateHistory:
    """How one parameter's gradients were consumed, update by update; columns of equal length.

    Attributes:
        update: Index into ``Trace.updates``.
        fresh: Contributions to ``.grad`` since the previous update of this parameter.
        carried: Contributions older than that update which were still in ``.grad``: not zero
            means that gradients accumulated across updates.
        grad_norm: L2 norm of ``.grad`` when it was consumed (NaN when unmeasured).
        value_rms: RMS of the parameter before the update, on a sample of its elements.
        update_rms: RMS of its change, on the same sample (NaN when unmeasured).
        lost: Contributions since the previous update that were cleared before this one.
    """

    update: array[int] = field(default_factory=lambda: array("i"))
    fresh: array[int] = field(default_factory=lambda: array("i"))
    carried: array[int] = field(default_factory=lambda: array("i"))
    grad_norm: array[float] = field(default_factory=lambda: array("d"))
    value_rms: array[float] = field(default_factory=lambda: array("d"))
    update_rms: array[float] = field(default_factory=lambda: array("d"))
    lost: array[int] = field(default_factory=lambda: array("i"))

    def __len__(self) -> int:
        return len(self.update)


@dataclass(frozen=True)
class Parameter:
    """A leaf tensor that backward reached, an optimizer owns, or a module of the run owns.

    Attributes:
        index: Position in ``Trace.parameters``.
        name: The user's name, ``net.fc1.weight``; else shape-based, such as ``tensor[3, 4]``.
        kind: ``parameter`` (nn.Parameter, or owned by an optimizer, or updated), else ``input``.
        shape: Sizes.
        dtype: Such as ``float32``.
        device: Such as ``cpu``.
        count: Number of elements.
        requires_grad: As last seen.
        optimizers: Labels of the optimizers that own it, ``SGD`` or ``Adam#2``.
        fan_in: Uses per backward: in-degree of the leaf in the last recorded graph.
        value: Statistics of the parameter, as last seen.
        gradients: Per backward.
        updates: Per update.
        registered: Whether a module that ran lists it in ``parameters()``; None where no module
            was seen to hold it.
        module: Path of the module that holds it, registered or in a plain list; may be empty.
        uses: Torch calls that took it as an argument and built graph.
    """

    index: int
    name: str
    kind: Literal["parameter", "input"]
    shape: tuple[int, ...]
    dtype: str
    device: str
    count: int
    requires_grad: bool = True
    optimizers: tuple[str, ...] = ()
    fan_in: int = 0
    value: TensorStats | None = None
    gradients: GradientHistory = field(default_factory=GradientHistory)
    updates: UpdateHistory = field(default_factory=UpdateHistory)
    registered: bool | None = None
    module: str = ""
    uses: int = 0

    @property
    def gradient_rms(self) -> float | None:
        """RMS of the last gradient that arrived; None when none ever did."""
        for norm, arrived in zip(
            reversed(self.gradients.norm), reversed(self.gradients.arrived), strict=True
        ):
            if arrived and not math.isnan(norm) and self.count:
                return float(norm / math.sqrt(self.count))
            if arrived:
                return math.nan
        return None


@dataclass(frozen=True)
class Step:
    """One run of the autograd engine.

    Attributes:
        index: 0-based, in the order the runs started.
        kind: ``backward`` filled ``.grad``; ``grad`` returned gradients (``autograd.grad``,
            ``torch.func``).
        source: The user's line that started it.
        loss: Value of the root when it has one element; else None.
        backward_ns: Duration of the engine's run as the user felt it, in nanoseconds.
        level: At which level it was seen.
        graph: The graph with its numbers, or None where only parameters were recorded.
        node_count: Nodes of the graph; None where it was not walked.
        roots: The user's names of what backward was called on.
        keep_graph: ``retain_graph`` as the engine saw it.
        create_graph: As passed.
        nested_in: Index of the step during which this one ran (reentrant checkpoint), or None.
        thread: Name of the thread.
        error: What the engine raised, ``RuntimeError: …``; else None.
        made: Lowest and highest sequence number of the graph's op nodes: when, on the counter of
            the thread that made it, the graph was built. None where it was not walked.
        root_made: Sequence number of the root that was made last; None for leaves.
        failure: Where the engine stopped, when it raised over what its nodes had saved.
    """

    index: int
    kind: Literal["backward", "grad"] = "backward"
    source: Source | None = None
    loss: float | None = None
    backward_ns: int = 0
    level: Level = "ops"
    graph: Graph | None = None
    node_count: int | None = None
    roots: tuple[str, ...] = ()
    keep_graph: bool = False
    create_graph: bool = False
    nested_in: int | None = None
    thread: str = "MainThread"
    error: str | None = None
    made: tuple[int, int] | None = None
    root_made: int | None = None
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Update:
    """One consumption of gradients.

    Attributes:
        index: Position in ``Trace.updates``.
        after_step: Index of the last step before it; -1 when none.
        by: ``optimizer``, or ``hand`` for a change of a leaf seen between two backwards.
        optimizer: Label of the optimizer; empty for updates by hand.
        source: The user's line that called ``step()``; None for updates by hand.
        parameters: How many parameters it updated.
        starved: How many of the parameters it owns had got contributions since their previous
            update, all of which were cleared before it.
        lr: Learning rate of the optimizer's first parameter group; NaN when unknown.
        maximize: Whether the optimizer goes uphill.
    """

    index: int
    after_step: int
    by: Literal["optimizer", "hand"] = "optimizer"
    optimizer: str = ""
    source: Source | None = None
    parameters: int = 0
    starved: int = 0
    lr: float = math.nan
    maximize: bool = False


@dataclass(frozen=True)
class ScriptError:
    """The exception that ended the user's script or block.

    Attributes:
        type: Class name, ``RuntimeError``.
        message: ``str(exception)``.
        source: Innermost line of the user's own code.
        traceback: Python's formatted traceback without gradscope's frames.
    """

    type: str
    message: str
    source: Source | None = None
    traceback: str = ""


@dataclass(frozen=True)
class Overhead:
    """What gradscope cost.

    Attributes:
        total_ns: Wall time of the traced run.
        own_ns: Time spent in gradscope's own hooks and bookkeeping, measured inside the run.
    """

    total_ns: int = 0
    own_ns: int = 0

    @property
    def share(self) -> float:
        """``own_ns / total_ns``, 0 to 1."""
        return min(1.0, self.own_ns / self.total_ns) if self.total_ns else 0.0


@dataclass(frozen=True)
class Trace:
    """Everything recorded about one run.

    Attributes:
        target: What ran: the script's path, ``-m module``, or ``trace()``.
        argv: Arguments of the script.
        environment: ``python``, ``torch``, ``gradscope``, ``platform``, ``device`` and the like.
        steps: Every engine run, in order.
        updates: Every update, in order.
        parameters: Every leaf met.
        forward_graphs: Graphs alive at the end that no backward ever used.
        unused_forwards: Number of torch calls that built graph which no backward used.
        script_error: The exception that ended the run, if one did.
        overhead: gradscope's own share of the time.
        dropped: What was sampled, truncated or skipped: reason to count.
        notes: Sentences about the capture that a reader must know.
        optimizers: Every optimizer that was made or stepped.
        calls: Clipping, clearing, scaling and scheduling, in order; of each line the first and
            the last ones.
        cuts: Where gradients end by a call, each line once.
        mutations: The last changes in place of tensors that have a graph.
        suppressions: Every ``# gradscope: ignore`` in the user's files that ran.
        functions: Custom ``autograd.Function``s that were verified, which only happens on request.
    """

    target: str = "trace()"
    argv: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    updates: tuple[Update, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    forward_graphs: tuple[Graph, ...] = ()
    unused_forwards: int = 0
    script_error: ScriptError | None = None
    overhead: Overhead = field(default_factory=Overhead)
    dropped: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    optimizers: tuple[OptimizerFacts, ...] = ()
    calls: tuple[Call, ...] = ()
    cuts: tuple[Cut, ...] = ()
    mutations: tuple[Mutation, ...] = ()
    suppressions: tuple[Suppression, ...] = ()
    functions: tuple[FunctionCheck, ...] = ()

    @property
    def graphs(self) -> tuple[tuple[Step, Graph], ...]:
        """The steps whose whole graph was kept, with that graph."""
        return tuple((s, s.graph) for s in self.steps if s.graph is not None)
