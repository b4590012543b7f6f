"""The chain rule with its numbers as lines of text: paths, products, their sum, every link."""

from __future__ import annotations

from collections.abc import Sequence

from gradscope.analysis.chain_rule import ChainRule
from gradscope.analysis.chain_terms import Link, Term
from gradscope.analysis.story import FlowStory
from gradscope.analysis.symbols import short_number
from gradscope.model.graph import Graph
from gradscope.render.flow_words import link_name

_MOST_CODE = 8
_MOST_LINKS, _STARTS, _ENDS = 10, 4, 3
_MEASURED = "* measured: the ratio of the gradients on both sides, since no formula is known"


def at_values(graph: Graph, names: Sequence[str]) -> str:
    """``at x = 2, W = 3``: the leaves that the root depends on."""
    told = []
    for node in graph.structure.nodes:
        value = graph.value(node.id)
        if node.op == "AccumulateGrad" and value is not None and value.value is not None:
            told.append(f"{names[node.id]} = {short_number(value.value)}")
    return f"at {', '.join(reversed(told[:6]))}" if told else ""


def code_lines(story: FlowStory) -> list[str]:
    """The user's lines that compute a root of single numbers, in the order they ran."""
    if story.route.chain is None:
        return []
    nodes = sorted(story.graph.structure.nodes, key=lambda node: node.order)
    sources = [node.source for node in nodes if node.source is not None and node.source.text]
    told = dict.fromkeys((source.location, source.text) for source in sources)
    if len(told) > _MOST_CODE:
        return []
    return [f"{location}  {text}" for location, text in told]


def term_lines(chain: ChainRule) -> list[tuple[str, str, str]]:
    """Per path its name, the nodes on it, and the product with its numbers; then the sum."""
    lines = [
        (f"path {rank}", path_text(chain, term), product_text(term))
        for rank, term in enumerate(chain.terms, start=1)
    ]
    if left := chain.count - len(chain.terms):
        rest = chain.total - sum(term.product for term in chain.terms)
        others = f"{left:,} smaller path{'s' if left > 1 else ''}"
        lines.append(("", others, f"= {short_number(_clean(rest, chain))}"))
    if chain.count > 1:
        lines.append(("sum", "", f"= {short_number(chain.total)}"))
    if chain.seed != 1:
        seeded = f"{short_number(chain.total)} · {short_number(chain.seed)}"
        total = short_number(chain.total * chain.seed)
        lines.append(("", "times what backward was given", f"{seeded} = {total}"))
    return lines


def _clean(value: float, chain: ChainRule) -> float:
    """Without what only rounding left over."""
    return 0.0 if abs(value) < 1e-9 * max(1.0, abs(chain.total)) else value


def path_text(chain: ChainRule, term: Term) -> str:
    """``y ← x**2 ← x``; the middle of a long path is only counted."""
    names = [chain.names[node] for node in term.nodes]
    if len(names) > _MOST_LINKS + 1:
        left = len(names) - _STARTS - _ENDS
        names = [*names[:_STARTS], f"… {left} more …", *names[-_ENDS:]]
    return " ← ".join(names)


def product_text(term: Term) -> str:
    """``1 · 2·x = 1 · 2·2 = 4``; steps that say the same are told once."""
    formulas, numbers = zip(*(link.factor for link in term.links), strict=True)
    if len(term.links) > _MOST_LINKS:
        left = len(formulas) - _STARTS - _ENDS
        formula = " · ".join((*formulas[:_STARTS], f"… {left} more …", *formulas[-_ENDS:]))
        return f"{formula} = {short_number(term.product)}"
    parts = (" · ".join(formulas), " · ".join(numbers), short_number(term.product))
    return " = ".join(dict.fromkeys(parts))


def agreement(chain: ChainRule) -> str:
    """That autograd recorded the same number."""
    name = chain.names[chain.target]
    return f"autograd recorded {short_number(chain.recorded)} for {name}: the same"


def link_rows(story: FlowStory, chain: ChainRule) -> list[tuple[str, str, str, str]]:
    """Every link on the paths that are shown: what it is, its formula, its number, the line."""
    seen: dict[tuple[int, int, int], Link] = {}
    for term in chain.terms:
        for link in term.links:
            seen.setdefault((link.above, link.below, link.edge), link)
    rows = []
    for link in seen.values():
        source = story.graph.structure.nodes[link.above].source
        filled = short_number(link.value)
        formula = "measured" if link.is_measured else _equation(link, filled)
        rows.append(
            (
                link_name(story.route, link.above, link.below),
                formula,
                filled,
                source.location if source is not None else "",
            )
        )
    return rows


def _equation(link: Link, value: str) -> str:
    parts = dict.fromkeys((link.formula, link.filled))
    parts.pop(value, None)
    return " = ".join(parts)


def footnotes(terms: Sequence[Term]) -> list[str]:
    """What a star means, where there is one."""
    measured = any(link.is_measured for term in terms for link in term.links)
    return [_MEASURED] if measured else []
