"""Sentences about one gradient's way: what text and pictures say alike."""

from __future__ import annotations

import math

from gradscope.analysis.flow import Share
from gradscope.analysis.route import Route
from gradscope.analysis.story import FlowStory
from gradscope.analysis.symbols import short_number
from gradscope.render.summary import target_name
from gradscope.render.units import format_number, format_percent, format_ratio

_TOLD_SHARES = 3
_TELLING = 0.1


def derivative_name(above: str, below: str) -> str:
    """``∂loss/∂net.fc1.weight``."""
    return f"∂{_grouped(above or 'loss')}/∂{_grouped(below)}"


def _grouped(name: str) -> str:
    """A name that a ∂ stands before: an expression needs brackets."""
    bare = name.replace("_", "").replace(".", "").replace("#", "").replace("[", "").replace("]", "")
    return name if bare.isalnum() else f"({name})"


def link_name(route: Route, above: int, below: int) -> str:
    """``∂v/∂(a*b)``."""
    return derivative_name(route.names[above], route.names[below])


def headline(story: FlowStory) -> str:
    """The answer in one sentence."""
    way = story.route
    if way.chain is not None:
        told = derivative_name(way.names[way.way[0]], way.names[way.target])
        return f"{told} = {short_number(way.chain.total)}"
    name = way.names[way.target]
    root = way.names[way.way[0]]
    if way.gain is None:
        return f"The gradient's way from {root} to {name}; its size is not known at both ends."
    if way.gain == 0:
        return f"The gradient of {name} is exactly 0."
    return f"From {root} to {name} the gradient {_changed(way.gain)}."


def _changed(gain: float) -> str:
    if not gain < float("inf"):
        return "stops being finite"
    if 0.5 <= gain <= 2:
        return f"keeps its size ({format_ratio(gain)})"
    if gain < 1:
        return f"shrinks {format_number(1 / gain)}-fold ({format_ratio(gain)})"
    return f"grows {format_number(gain)}-fold"


def where_told(story: FlowStory) -> str:
    """Which run and step it is about."""
    step = story.step
    of = len(story.trace.steps)
    told = f"step {step.index} of {of}" if of > 1 else "the only backward"
    at = f", {step.source.location}" if step.source is not None else ""
    loss = f", loss {format_number(step.loss)}" if step.loss is not None else ""
    return f"{told} of {target_name(story.trace)}{at}{loss}"


def blame(way: Route) -> str:
    """Which ops made the gradient smaller or larger; empty where nothing much happened."""
    if way.gain is not None and (way.gain == 0 or not math.isfinite(way.gain)):
        return _killer(way)
    if way.gain is None or way.gain <= 0 or 0.1 <= way.gain <= 10:
        return ""
    sign = -1 if way.gain < 1 else 1
    told = [_blamed(share) for share in way.blame if share.decades * sign > 0]
    return ", ".join(told[:_TOLD_SHARES])


def _killer(way: Route) -> str:
    """The op that received a gradient and sent on zeros, or what is not finite."""
    for stop in way.stops:
        if stop.gain is not None and (stop.gain == 0 or not math.isfinite(stop.gain)):
            source = stop.node.source
            at = f" at {source.location}" if source is not None else ""
            sent = "zeros" if stop.gain == 0 else "NaN or Inf"
            return f"{way.names[stop.node.id]}{at} ({stop.node.op}) sent on {sent}"
    return ""


def _blamed(share: Share) -> str:
    times = f"{share.count} × " if share.count > 1 else ""
    each = " each" if share.count > 1 else ""
    part = format_percent(round(share.share, 2))
    return f"{times}{share.name} at {format_ratio(share.gain)}{each} ({part})"


def other_ways(way: Route) -> str:
    """Which of how many ways this is, and how much of the gradient it carries."""
    if way.paths == 1:
        return "It is the only way."
    others = way.paths - 1
    count = f"{others:,}" if others < 10**6 else f"about {others:.0e}".replace("e+", "e")
    rest = f"{count} other way{'s' if others > 1 else ''} lead{'' if others > 1 else 's'} there"
    if way.share is None:
        return f"Shown is the way of most gradient; {rest}."
    part = format_percent(round(way.share, 3)) if way.share >= 0.001 else "less than 0.1%"
    return f"Shown is the way of most gradient, {part} of it by norm; {rest}."


def called_words(story: FlowStory) -> str:
    """That a name is ambiguous; empty where it is not."""
    if story.called < 2:
        return ""
    name = story.name
    return (
        f"{story.called} results are called {name}; this is the first computed, "
        f"--to '{name}#{story.called}' asks for the last."
    )
