"""What is known of a node beyond its numbers, in words and as JSON."""

from __future__ import annotations

from collections.abc import Iterator

from gradscope.model.graph import Node, Traits
from gradscope.render.json_values import Document, number, text
from gradscope.render.units import format_integer, format_percent, format_shape

NOTABLE = 0.5  # of the elements or units, from here on worth a line on the box


def notable(traits: Traits | None) -> str:
    """What is worth a line on the box: many dead units, mostly flat, a mean of nothing."""
    if traits is None:
        return ""
    told = []
    dead = dead_count(traits)
    if dead is not None and traits.units and dead >= NOTABLE * traits.units:
        told.append(_dead_text(traits, dead))
    if traits.saturated_fraction is not None and traits.saturated_fraction > NOTABLE:
        told.append(f"saturated {format_percent(traits.saturated_fraction)}")
    if traits.empty:
        told.append("mean of nothing")
    return ", ".join(told)


def trait_lines(node: Node, traits: Traits | None) -> Iterator[str]:
    """Everything known, a line each."""
    if node.operands:
        yield f"broadcast: {' with '.join(format_shape(shape) for shape in node.operands)}"
    if traits is None:
        return
    dead = dead_count(traits)
    if dead is not None:
        yield f"{_dead_text(traits, dead)} in this batch"
    if traits.saturated_fraction is not None:
        yield f"saturated {format_percent(traits.saturated_fraction)}"
    if traits.tiny_fraction:
        yield f"{format_percent(traits.tiny_fraction)} of the gradient at float16's smallest"
    if traits.equal_rows:
        yield "all rows of the gradient are equal"
    if traits.training is not None:
        yield f"{'training' if traits.training else 'evaluation'} mode"
    if traits.reduction is not None:
        yield f"reduction {traits.reduction}"
    if traits.empty:
        yield "mean of nothing"


def dead_count(traits: Traits) -> int | None:
    """How many units are off for every sample of the batch; None where not asked."""
    return None if traits.dead is None else traits.dead.bit_count()


def trait_document(node: Node, traits: Traits | None) -> Document:
    """Keys for a node's document; what was not asked is left out."""
    document: Document = {}
    if node.operands:
        document["operands"] = [list(shape) for shape in node.operands]
    if traits is not None:
        document["traits"] = {key: value for key, value in _fields(traits) if value is not None}
    return document


def _fields(traits: Traits) -> Iterator[tuple[str, object]]:
    yield "units", traits.units
    yield "samples", traits.samples
    yield "dead", None if traits.dead is None else _bits(traits.dead)
    yield "saturated_fraction", number(traits.saturated_fraction)
    yield "tiny_fraction", number(traits.tiny_fraction)
    yield "equal_rows", traits.equal_rows
    yield "training", traits.training
    yield "reduction", None if traits.reduction is None else text(traits.reduction)
    yield "empty", traits.empty


def _bits(mask: int) -> list[int]:
    """Which bits are set."""
    return [i for i, bit in enumerate(reversed(f"{mask:b}")) if bit == "1"]


def _dead_text(traits: Traits, dead: int) -> str:
    return f"{format_integer(dead)} of {format_integer(traits.units or 0)} units dead"
