"""One gradient's way as plain data, schema ``gradscope-flow/1``."""

from __future__ import annotations

import json
import math
from typing import Any

from gradscope.analysis.chain_rule import ChainRule
from gradscope.analysis.chain_terms import Link
from gradscope.analysis.route import Route, Stop
from gradscope.analysis.story import FlowStory

SCHEMA = "gradscope-flow/1"


def flow_data(story: FlowStory) -> dict[str, Any]:
    """The way as dicts, lists, strings and numbers; None where something was not measured."""
    way = story.route
    return {
        "schema": SCHEMA,
        "target": story.name,
        "step": story.step.index,
        "loss": _finite(story.step.loss),
        "from": way.names[way.way[0]],
        "gain": _finite(way.gain),
        "paths": way.paths,
        "share": _finite(way.share),
        "hops": hop_data(way),
        "arrivals": [
            {"from": way.names[each.source], "share": _finite(each.share), "shown": each.is_shown}
            for each in way.arrivals
        ],
        "chain_rule": chain_data(way.chain) if way.chain is not None else None,
    }


def render_flow_json(story: FlowStory) -> str:
    """The way as JSON text."""
    return json.dumps(flow_data(story), indent=1, ensure_ascii=True, allow_nan=False) + "\n"


def hop_data(way: Route) -> list[dict[str, Any]]:
    """Hop by hop from the loss on."""
    return [_hop(way, stop) for stop in way.stops]


def _hop(way: Route, stop: Stop) -> dict[str, Any]:
    node, source = stop.node, stop.node.source
    return {
        "node": node.id,
        "name": way.names[node.id],
        "op": node.op,
        "label": node.label,
        "module": node.module,
        "file": source.file if source is not None else None,
        "line": source.line if source is not None else None,
        "text": source.text if source is not None else None,
        "gradient_rms": _finite(stop.rms),
        "gain": _finite(stop.gain),
        "product": _finite(stop.product),
        "share": _finite(stop.share),
        "other_edges": stop.rivals,
        "rule": stop.rule.formula if stop.rule is not None else None,
        "derivative": _link(stop.link) if stop.link is not None else None,
    }


def chain_data(chain: ChainRule) -> dict[str, Any]:
    """The derivative written out: paths, links, their product, the sum."""
    return {
        "derivative": chain.total,
        "recorded": chain.recorded,
        "seed": chain.seed,
        "paths": chain.count,
        "terms": [
            {
                "nodes": [chain.names[node] for node in term.nodes],
                "links": [_link(link) for link in term.links],
                "product": term.product,
            }
            for term in chain.terms
        ],
    }


def _link(link: Link) -> dict[str, Any]:
    return {
        "formula": link.formula or None,
        "filled": link.filled if link.formula else None,
        "value": link.value,
        "measured": link.is_measured,
    }


def _finite(value: float | None) -> float | str | None:
    """A number that JSON has; ``NaN``, ``Inf`` and ``-Inf`` as text."""
    if value is None or math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else ("Inf" if value > 0 else "-Inf")
