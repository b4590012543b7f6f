"""The table of parameters: what each row says, in which order, and which rows are shown."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gradscope.model.finding import Finding, Report
from gradscope.model.graph import Structure
from gradscope.model.trace import Parameter
from gradscope.render.depth import parameter_depths
from gradscope.render.units import (
    MISSING,
    format_count,
    format_integer,
    format_number,
    format_shape,
)

_FEWEST_BARS = 4
_LEAST_DECADES = 2
_SEVERITIES = ("error", "warning", "info")


@dataclass(frozen=True, slots=True)
class Row:
    """One parameter with the numbers a reader wants first.

    Attributes:
        parameter: The parameter.
        depth: Longest distance from the loss in the last graph that holds it; None: in none.
        value: The element itself when there is exactly one, else the RMS.
        gradient: The same for the last gradient that arrived; None when none ever did.
        ratio: Median over updates of RMS(change) / RMS(value); None when unmeasured.
        flags: Codes of findings, and facts such as ``frozen``.
        awaited: Whether a backward was seen at all that could have brought a gradient.
        severity: Of the worst finding about it; empty for none.
    """

    parameter: Parameter
    depth: int | None
    value: float | None
    gradient: float | None
    ratio: float | None
    flags: tuple[str, ...]
    awaited: bool = True
    severity: str = ""


@dataclass(frozen=True, slots=True)
class Gap:
    """Rows left out of a table.

    Attributes:
        rows: The rows, in order.
    """

    rows: tuple[Row, ...]


def parameter_rows(report: Report) -> tuple[Row, ...]:
    """Every parameter, from the loss to the input; those in no kept graph last."""
    trace = report.trace
    depths = parameter_depths(trace)
    about = _findings_by_parameter(report)
    updated = bool(trace.updates)
    rows = [
        Row(
            parameter=parameter,
            depth=depths.get(parameter.index),
            value=_last_value(parameter),
            gradient=_last_gradient(parameter),
            ratio=update_ratio(parameter),
            flags=(*_codes(about.get(parameter.index, ())), *_facts(parameter, updated)),
            awaited=bool(trace.steps),
            severity=_worst(about.get(parameter.index, ())),
        )
        for parameter in trace.parameters
    ]
    rows.sort(key=lambda row: (row.depth is None, row.depth or 0, row.parameter.index))
    return tuple(rows)


def fit_rows(rows: Sequence[Row], limit: int) -> list[Row | Gap]:
    """At most ``limit`` rows, in order, with a gap wherever some were left out.

    Rows flagged by a finding come first, then those nearest to either end.
    """
    if len(rows) <= limit:
        return list(rows)
    last = len(rows) - 1
    ranked = sorted(
        range(len(rows)),
        key=lambda i: (not any(f.startswith("GS") for f in rows[i].flags), min(i, last - i), i),
    )
    kept = set(ranked[: max(limit, 1)])
    fitted: list[Row | Gap] = []
    hidden: list[Row] = []
    for index, row in enumerate(rows):
        if index not in kept:
            hidden.append(row)
            continue
        fitted.extend([Gap(tuple(hidden)), row] if hidden else [row])
        hidden = []
    return [*fitted, Gap(tuple(hidden))] if hidden else fitted


def all_single(rows: Sequence[Row]) -> bool:
    """Whether every tensor has one element, so that no RMS is shown."""
    return all(row.parameter.count == 1 for row in rows)


def cells(row: Row) -> dict[str, str]:
    """The row's cells by column; names as the user wrote them."""
    no_gradient = "none" if row.awaited else MISSING
    return {
        "name": row.parameter.name,
        "shape": format_shape(row.parameter.shape),
        "value": format_number(row.value),
        "gradient": no_gradient if row.gradient is None else format_number(row.gradient),
        "update": format_number(row.ratio),
        "flags": ", ".join(row.flags),
    }


def used_headers(rows: Sequence[Row]) -> dict[str, str]:
    """The columns that say something for at least one row, with what to call them."""
    single = all_single(rows)
    used = {"name": "name"}
    if any(row.parameter.shape for row in rows):
        used["shape"] = "shape"
    used["value"] = "value" if single else "value rms"
    used["gradient"] = "gradient" if single else "grad rms"
    if any(row.ratio is not None for row in rows):
        used["update"] = "update"
    if any(row.flags for row in rows):
        used["flags"] = "flags"
    return used


def gap_text(gap: Gap) -> str:
    """What a gap hides, ``… 130 more, gradients 1.2e-05 to 0.003, 2 none``."""
    found = [abs(row.gradient) for row in gap.rows if row.gradient is not None]
    finite = [gradient for gradient in found if math.isfinite(gradient)]
    parts = [f"… {format_integer(len(gap.rows))} more"]
    if finite:
        low, high = format_number(min(finite)), format_number(max(finite))
        parts.append(f"gradient {low}" if low == high else f"gradients {low} to {high}")
    if odd := len(found) - len(finite):
        parts.append(f"{format_integer(odd)} not finite")
    if none := sum(row.awaited for row in gap.rows if row.gradient is None):
        parts.append(f"{format_integer(none)} none")
    return ", ".join(parts)


def legend(rows: Sequence[Row]) -> str:
    """How to read the numbers of the table; empty where they need no word."""
    parts = []
    singles = [row for row in rows if row.parameter.count == 1]
    if len(singles) < len(rows) and any((r.value, r.gradient) != (None, None) for r in singles):
        parts.append("a single element shows itself, not an rms")
    if any(len(row.parameter.gradients) > 1 for row in rows):
        parts.append("gradients are the last that arrived")
    if any(row.ratio is not None for row in rows):
        parts.append("update is rms(change) / rms(value), the median of all updates")
    return "; ".join(parts)


def bars(rows: Sequence[Row], width: int, sign: str) -> list[str]:
    """Per row a bar of the gradient's magnitude on a log scale.

    None at all for few rows or sizes that hardly differ: a bar would make a difference look like
    a trend.
    """
    sizes = [abs(row.gradient) if row.gradient is not None else 0.0 for row in rows]
    logs = [math.log10(size) if 0 < size < math.inf else None for size in sizes]
    known = [log for log in logs if log is not None]
    if len(known) < _FEWEST_BARS or max(known) - min(known) < _LEAST_DECADES:
        return [""] * len(rows)
    low, span = min(known), max(known) - min(known)
    return [
        "" if log is None else sign * (1 + round((width - 1) * (log - low) / span)) for log in logs
    ]


def title(rows: Sequence[Row]) -> str:
    """The table's heading."""
    size = format_integer(len(rows))
    if not all_single(rows):
        size += f", {format_count(sum(row.parameter.count for row in rows))} elements"
    order = ", from the loss to the input" if any(row.depth is not None for row in rows) else ""
    return f"Parameters{order} ({size})"


def update_ratio(parameter: Parameter) -> float | None:
    """Median over updates of RMS(change) / RMS(value); None when no update measured both."""
    history = parameter.updates
    ratios = [
        change / value
        for change, value in zip(history.update_rms, history.value_rms, strict=True)
        if value > 0 and math.isfinite(change)
    ]
    return statistics.median(ratios) if ratios else None


def _last_value(parameter: Parameter) -> float | None:
    stats = parameter.value
    if stats is None:
        return None
    return stats.value if stats.value is not None else stats.rms


def _last_gradient(parameter: Parameter) -> float | None:
    if parameter.count != 1:
        return parameter.gradient_rms
    history = parameter.gradients
    for element, arrived in zip(reversed(history.min), reversed(history.arrived), strict=True):
        if arrived:
            return parameter.gradient_rms if math.isnan(element) else element
    return None


def _facts(parameter: Parameter, updated: bool) -> Iterator[str]:
    if not parameter.requires_grad:
        yield "frozen"
    elif parameter.kind == "input":
        yield "input"
    elif updated and len(parameter.updates) == 0:
        yield "not updated"
    if parameter.fan_in > 1:
        yield f"used ×{parameter.fan_in}"


def _codes(findings: Iterable[Finding]) -> list[str]:
    return list(dict.fromkeys(finding.code for finding in findings))


def _worst(findings: Iterable[Finding]) -> str:
    return min((f.severity for f in findings), key=_SEVERITIES.index, default="")


def _findings_by_parameter(report: Report) -> Mapping[int, list[Finding]]:
    graphs = {step.index: graph.structure for step, graph in report.trace.graphs}
    by_name: dict[str, list[int]] = {}
    for parameter in report.trace.parameters:
        by_name.setdefault(parameter.name, []).append(parameter.index)
    about: dict[int, list[Finding]] = {}
    for finding in all_findings(report.findings):
        named = set(by_name.get(finding.where.parameter, ()) if finding.where.parameter else ())
        named |= _parameters_of_nodes(finding, graphs)
        for index in named:
            about.setdefault(index, []).append(finding)
    return about


def _parameters_of_nodes(finding: Finding, graphs: Mapping[int, Structure]) -> set[int]:
    structure = graphs.get(finding.where.step) if finding.where.step is not None else None
    if structure is None:
        return set()
    nodes = (structure.nodes[i] for i in finding.where.nodes if 0 <= i < len(structure.nodes))
    return {node.parameter for node in nodes if node.parameter is not None}


def all_findings(findings: Iterable[Finding]) -> Iterator[Finding]:
    """The findings and everything they explain, each cause before its consequences."""
    waiting = list(findings)[::-1]
    while waiting:
        finding = waiting.pop()
        yield finding
        waiting.extend(reversed(finding.consequences))
