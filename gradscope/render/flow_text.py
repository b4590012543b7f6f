"""One gradient's way for a terminal: the answer, the chain rule with numbers, hop by hop."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.text import Text

from gradscope.analysis.chain_rule import ChainRule
from gradscope.analysis.route import Route, Stop
from gradscope.analysis.story import FlowStory
from gradscope.render.flow_table import HEADER, Cells, aligned, fitted
from gradscope.render.flow_terms import (
    agreement,
    at_values,
    code_lines,
    footnotes,
    link_rows,
    term_lines,
)
from gradscope.render.flow_words import blame, called_words, headline, other_ways, where_told
from gradscope.render.options import RenderOptions
from gradscope.render.safe import visible
from gradscope.render.terminal import columns, printed
from gradscope.render.units import (
    MISSING,
    format_number,
    format_percent,
    format_ratio,
)

_MATH = str.maketrans(
    {"∂": "d", "·": "*", "←": "<-", "⊙": "*", "−": "-", "Σ": "sum ", "ᵀ": "^T", "′": "'"}
    | {small: f"^{plain}" for small, plain in zip("⁰¹²³⁴⁵⁶⁷⁸⁹ⁿ", "0123456789n", strict=True)}
    | {"⁻": "^-", "γ": "gamma", "σ": "sigma", "α": "alpha", "≥": ">=", "≤": "<=", "û": "u"}
)
_MOST_ROWS = 40
_ENDS = 12
_OUTLIERS = 6
_BAR = 10
_DECADES = 1.0
_LETTERS = "G: the gradient that arrives; y: the op's result; ⊙: element by element"
_RIGHT = frozenset({"share", "gain", "so far", "gradient"})


def render_flow_text(story: FlowStory, options: RenderOptions) -> str:
    """The way as lines of text, at most ``options.width`` columns wide."""
    way = story.route
    parts: list[RenderableType] = [_answer(story, options)]
    if way.chain is not None:
        parts += [_terms(story, way.chain, options), _links(story, way.chain, options)]
    else:
        parts += [_hops(story, options)]
        if way.arrivals:
            parts.append(_arrivals(way, options))
    return printed(parts, options)


def _say(text: str, options: RenderOptions, style: str = "") -> Text:
    return Text(_shown(text, options, 600), style=style, overflow="fold")


def _shown(text: str, options: RenderOptions, limit: int = 120) -> str:
    """The text with nothing hidden in it; formulas in ASCII where asked for."""
    if not options.unicode:
        text = text.translate(_MATH)
    return visible(text, limit, unicode=options.unicode)


def _answer(story: FlowStory, options: RenderOptions) -> RenderableType:
    way = story.route
    at = f"   {at_values(story.graph, way.names)}" if way.chain is not None else ""
    lines = [_say(headline(story) + at, options, "bold")]
    if way.chain is None and (told := blame(way)):
        lines.append(_say(f"By: {told}.", options))
    lines.append(_say(where_told(story), options, "dim"))
    lines += [_say(f"  {line}", options, "cyan") for line in code_lines(story)]
    if way.chain is None:
        lines.append(_say(other_ways(way), options))
    if told := called_words(story):
        lines.append(_say(told, options))
    return Group(*lines)


def _terms(story: FlowStory, chain: ChainRule, options: RenderOptions) -> RenderableType:
    rows = [tuple(_shown(t, options, 400) for t in row) for row in term_lines(chain)]
    paths = [cell_len(row[1]) for row in rows]
    room = columns(options) - 2
    head = _say(_heading(chain), options, "bold")
    body: list[RenderableType] = [head]
    wide = max(9 + p + 3 + cell_len(row[2]) for p, row in zip(paths, rows, strict=True))
    for name, path, product in rows:
        style = "bold green" if name == "sum" or chain.count == 1 else ""
        if max(paths) + 12 + max(cell_len(r[2]) for r in rows) <= room or wide <= room:
            gap = " " * (max(paths) - cell_len(path))
            body.append(Text(f"  {name:7}  {path}{gap}   {product}", style=style))
        else:
            body += [Text(f"  {name:7}  {path}", overflow="fold")] if path else []
            body.append(Text(f"  {'' if path else name:7}    {product}", style=style))
    body.append(_say("  " + agreement(chain), options, "green"))
    body += [_say("  " + note, options, "dim") for note in footnotes(chain.terms)]
    return Group(*body)


def _heading(chain: ChainRule) -> str:
    if chain.count == 1:
        return "Chain rule: one path, the product of its links"
    return f"Chain rule: {chain.count:,} paths, the sum of their products"


def _links(story: FlowStory, chain: ChainRule, options: RenderOptions) -> RenderableType:
    rows = link_rows(story, chain)
    shown: list[Cells] = [tuple(_shown(t, options) for t in row) for row in rows[:_MOST_ROWS]]
    lines = [Text("  " + line) for line in aligned(shown, {2}, columns(options) - 2, options)]
    if left := len(rows) - len(shown):
        lines.append(_say(f"  … and {left} more", options, "dim"))
    return Group(_say("Links", options, "bold"), *lines)


def _hops(story: FlowStory, options: RenderOptions) -> RenderableType:
    way = story.route
    width = columns(options) - 2
    picked = _picked(way.stops)
    bars = _bars(way.stops, options)
    cells: list[Cells] = [
        _row(way, i, bars[i], options) if i >= 0 else _gap(way, picked, place, options)
        for place, i in enumerate(picked)
    ]
    grid = fitted([HEADER, *cells], width)
    right = {i for i, header in enumerate(grid[0]) if header in _RIGHT}
    lines = aligned(grid, right, width, options)
    told: list[Text] = [Text("  " + lines[0], style="dim")]
    for i, line in zip(picked, lines[1:], strict=True):
        told.append(Text("  " + line, style=_style(way, i)))
    notes = [_say(f"  {note}", options, "dim") for note in _notes(way, grid[0])]
    return Group(*told, *notes)


def _notes(way: Route, header: Cells) -> list[str]:
    """What the columns hold, as far as they are shown."""
    notes = [_LETTERS] if HEADER[2] in header else []
    if HEADER[3] in header:
        notes.append("share: how much of what arrives there came along this way, by norm")
    return notes


def _style(way: Route, i: int) -> str:
    if i < 0:
        return "dim"
    gains = [abs(math.log10(s.gain)) for s in way.stops if s.gain and math.isfinite(s.gain)]
    gain = way.stops[i].gain
    if not gain or not math.isfinite(gain):
        return "red" if gain is not None else ""
    size = abs(math.log10(gain))
    return "yellow" if size >= 0.5 and size >= 0.8 * max(gains) else ""


def _picked(stops: Sequence[Stop]) -> list[int]:
    """Which stops have a row; -1 for a gap. Both ends, and the largest changes between."""
    if len(stops) <= _MOST_ROWS:
        return list(range(len(stops)))
    inner = range(_ENDS, len(stops) - _ENDS)
    largest = max(_size(stop.gain) for stop in stops)
    telling = [i for i in inner if _size(stops[i].gain) >= 0.8 * largest]
    telling = telling if len(telling) <= _OUTLIERS else []
    kept = sorted({*range(_ENDS), *telling, *range(len(stops) - _ENDS, len(stops))})
    picked: list[int] = []
    for i in kept:
        if picked and i != picked[-1] + 1:
            picked.append(-1)
        picked.append(i)
    return picked


def _size(gain: float | None) -> float:
    return abs(math.log10(gain)) if gain is not None and 0 < gain < math.inf else 0.0


def _gap(way: Route, picked: Sequence[int], place: int, options: RenderOptions) -> Cells:
    hidden = way.stops[picked[place - 1] + 1 : picked[place + 1]]
    gains = [stop.gain for stop in hidden]
    known = [gain for gain in gains if gain is not None]
    together = format_ratio(math.prod(known)) if len(known) == len(gains) else ""
    text = _shown(f"… {len(hidden)} ops", options)
    return (text, "", "", "", _shown(together, options), "", "", "")


def _row(way: Route, i: int, bar: str, options: RenderOptions) -> Cells:
    stop = way.stops[i]
    source = stop.node.source
    rule = stop.rule.formula if stop.rule is not None else ""
    if stop.rule is not None and stop.rule.shapes:
        rule = f"{rule}  {stop.rule.shapes}"
    last = i == len(way.stops) - 1
    texts = (
        way.names[stop.node.id],
        source.location if source is not None else "",
        rule,
        format_percent(round(stop.share, 2)) if stop.share is not None else "",
        "" if last else format_ratio(stop.gain),
        format_number(stop.product),
        format_number(stop.rms),
        bar,
    )
    limits = (48, 24, 64, 8, 12, 12, 12, 40)
    return tuple(_shown(text, options, limit) for text, limit in zip(texts, limits, strict=True))


def _bars(stops: Sequence[Stop], options: RenderOptions) -> list[str]:
    """Per stop a bar of the norm so far on a log scale; none where sizes hardly differ."""
    logs = [
        math.log10(stop.product)
        if stop.product is not None and 0 < stop.product < math.inf
        else None
        for stop in stops
    ]
    known = [log for log in logs if log is not None]
    if not known or max(known) - min(known) < _DECADES:
        return [""] * len(stops)
    low, span = min(known), max(known) - min(known)
    sign = "━" if options.unicode else "="
    return [
        "" if log is None else sign * (1 + round((_BAR - 1) * (log - low) / span)) for log in logs
    ]


def _arrivals(way: Route, options: RenderOptions) -> RenderableType:
    """What reaches the target: its uses, with their shares."""
    shown = way.arrivals[:5]
    rows: list[Cells] = []
    for each in shown:
        share = format_percent(round(each.share, 3)) if each.share is not None else MISSING
        mark = "the way above" if each.is_shown else ""
        rows.append(tuple(_shown(t, options) for t in (share, way.names[each.source], mark)))
    lines = [Text("  " + line) for line in aligned(rows, {0}, columns(options) - 2, options)]
    if left := len(way.arrivals) - len(shown):
        lines.append(_say(f"  … and {left} more", options, "dim"))
    name = way.names[way.target]
    head = f"{name} is used {len(way.arrivals)} times; each use brings a part of its gradient"
    return Group(_say(head, options, "bold"), *lines)
