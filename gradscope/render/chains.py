"""The chain rule with its numbers, for every leaf of a small graph of single numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gradscope.analysis.chain_rule import ChainRule, chain_rule
from gradscope.analysis.symbols import short_number
from gradscope.model.finding import Report
from gradscope.model.graph import Graph
from gradscope.render.flow_terms import agreement, at_values, footnotes, term_lines
from gradscope.render.flow_words import derivative_name
from gradscope.render.safe import LINE_LIMIT, visible
from gradscope.render.summary import Chosen

MOST_NODES = 60  # what a reader can follow on one page
MOST_LEAVES = 6
_WIDTH = 8


@dataclass(frozen=True)
class ChainView:
    """One derivative, written out; its text has nothing hidden in it.

    Attributes:
        title: ``∂y/∂x = 7``.
        at: ``at x = 2``; may be empty.
        rows: Per path its name, the nodes on it, and the product with its numbers; then the sum.
        notes: That autograd recorded the same, and what a star means.
    """

    title: str
    at: str
    rows: Sequence[tuple[str, str, str]]
    notes: Sequence[str]


def chain_views(report: Report, chosen: Chosen | None) -> list[ChainView]:
    """The derivative by every leaf; empty where the graph is large or not of single numbers."""
    if chosen is None or len(chosen.graph.structure.nodes) > MOST_NODES:
        return []
    graph = chosen.graph
    leaves = [node.id for node in graph.structure.nodes if node.kind in ("parameter", "input")]
    if len(leaves) > MOST_LEAVES:
        return []
    chains = (chain_rule(graph, leaf, report.trace.parameters) for leaf in leaves)
    return [_view(graph, chain) for chain in chains if chain is not None]


def _view(graph: Graph, chain: ChainRule) -> ChainView:
    name = derivative_name(chain.names[chain.root], chain.names[chain.target])
    rows = (tuple(visible(text, LINE_LIMIT) for text in row) for row in term_lines(chain))
    return ChainView(
        title=visible(f"{name} = {short_number(chain.total)}", LINE_LIMIT),
        at=visible(at_values(graph, chain.names), LINE_LIMIT),
        rows=[(name, path, product) for name, path, product in rows],
        notes=[visible(note, LINE_LIMIT) for note in (agreement(chain), *footnotes(chain.terms))],
    )


def chain_text(view: ChainView) -> str:
    """One derivative as lines of text."""
    lines = [f"{view.title}   {view.at}".rstrip()]
    for name, path, product in view.rows:
        lines += [f"  {name:{_WIDTH}}{path}"] if path else []
        lines.append(f"  {'' if path else name:{_WIDTH}}{product}")
    return "\n".join([*lines, *(f"  {note}" for note in view.notes)])
