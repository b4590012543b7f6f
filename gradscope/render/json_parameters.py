"""Parameters as JSON: their numbers and their histories as columns, thinned where long."""

from __future__ import annotations

from gradscope.model.finding import Report
from gradscope.model.trace import GradientHistory, UpdateHistory
from gradscope.render.json_values import Document, column, number, stats_document, text
from gradscope.render.options import RenderOptions
from gradscope.render.rows import Row, parameter_rows
from gradscope.render.thin import thin

_HISTORY_NUMBERS = 400_000  # over all parameters and columns, about 6 MB
_HISTORY_COLUMNS = 12
_FEWEST_POINTS = 20


def parameter_documents(report: Report, options: RenderOptions) -> tuple[list[Document], int]:
    """Every parameter by index, and how many points of their histories were left out."""
    rows = sorted(parameter_rows(report), key=lambda row: row.parameter.index)
    share = _HISTORY_NUMBERS // (_HISTORY_COLUMNS * max(1, len(rows)))
    points = min(options.max_points, max(_FEWEST_POINTS, share))
    documents, left = [], 0
    for row in rows:
        parameter = row.parameter
        gradients = thin(parameter.gradients.norm, points)
        updates = thin(parameter.updates.grad_norm, points)
        left += len(parameter.gradients) - len(gradients) + len(parameter.updates) - len(updates)
        histories = {
            "gradients": _gradients(parameter.gradients, gradients),
            "updates": _consumed(parameter.updates, updates),
        }
        documents.append(_parameter(row) | histories)
    return documents, left


def _parameter(row: Row) -> Document:
    parameter = row.parameter
    return {
        "index": parameter.index,
        "name": text(parameter.name),
        "kind": parameter.kind,
        "shape": list(parameter.shape),
        "dtype": text(parameter.dtype),
        "device": text(parameter.device),
        "count": parameter.count,
        "requires_grad": parameter.requires_grad,
        "optimizers": [text(label) for label in parameter.optimizers],
        "fan_in": parameter.fan_in,
        "uses": parameter.uses,
        "module": text(parameter.module),
        "registered": parameter.registered,
        "depth": row.depth,
        "value": stats_document(parameter.value),
        "gradient_rms": number(parameter.gradient_rms),
        "update_ratio": number(row.ratio),
        "flags": list(row.flags),
    }


def _gradients(history: GradientHistory, kept: list[int]) -> Document:
    return {
        "step": [history.step[i] for i in kept],
        "norm": column(history.norm[i] for i in kept),
        "min": column(history.min[i] for i in kept),
        "max": column(history.max[i] for i in kept),
        "zero_fraction": column((history.zero_fraction[i] for i in kept), digits=7),
        "arrived": [bool(history.arrived[i]) for i in kept],
    }


def _consumed(history: UpdateHistory, kept: list[int]) -> Document:
    return {
        "update": [history.update[i] for i in kept],
        "fresh": [history.fresh[i] for i in kept],
        "carried": [history.carried[i] for i in kept],
        "grad_norm": column(history.grad_norm[i] for i in kept),
        "value_rms": column(history.value_rms[i] for i in kept),
        "update_rms": column(history.update_rms[i] for i in kept),
        "lost": [history.lost[i] for i in kept],
    }
