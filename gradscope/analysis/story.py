"""What there is to tell about one gradient's way: where it was found, and the way itself."""

from __future__ import annotations

from dataclasses import dataclass

from gradscope.analysis.find_target import find_target
from gradscope.analysis.route import Route, route
from gradscope.model.graph import Graph
from gradscope.model.trace import Step, Trace


@dataclass(frozen=True)
class FlowStory:
    """The way of the gradient to one node in one step of a run.

    Attributes:
        trace: The run.
        step: The step.
        graph: Its graph.
        name: Full name of the node.
        called: How many nodes of the graph have this name; the oldest one is told.
        route: The way.
    """

    trace: Trace
    step: Step
    graph: Graph
    name: str
    called: int
    route: Route


def tell_flow(trace: Trace, name: str, step: int | None = None) -> FlowStory:
    """The way of the gradient to ``name``.

    Args:
        trace: The run.
        name: A parameter, an input or a variable; its end will do where that is unique.
        step: Index of the backward; negative ones count from the end. None: the last kept one
            that reaches it.

    Raises:
        UsageError: There is no such way; one sentence says why.
    """
    found = find_target(trace, name, step)
    way = route(found.graph, found.node, trace.parameters)
    return FlowStory(trace, found.step, found.graph, found.name, found.called, way)
