"""The report as JSON in the schema ``gradscope/1``: everything, bounded, strictly valid."""

from __future__ import annotations

import json
import math
from importlib.resources import files
from typing import Any

from gradscope.model.finding import Finding, Report, Skipped
from gradscope.model.trace import ScriptError, Step, Trace
from gradscope.render.json_events import call_documents, optimizer_documents, update_documents
from gradscope.render.json_graph import chosen_document, kept_documents
from gradscope.render.json_parameters import parameter_documents
from gradscope.render.json_values import (
    TEXT_LIMIT,
    Document,
    layout,
    maybe,
    number,
    source_document,
    text,
)
from gradscope.render.options import RenderOptions
from gradscope.render.summary import verdict
from gradscope.render.thin import spread

SCHEMA = "gradscope/1"


def load_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) that every output of ``render_json`` fulfils."""
    path = files("gradscope.render") / "schema" / "gradscope-1.schema.json"
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def render_json(report: Report, options: RenderOptions) -> str:
    """The whole report as one JSON object in ASCII, the same for the same report.

    Long histories keep ``options.max_points`` points or fewer, chosen so that spikes stay; graphs
    keep ``options.max_nodes`` nodes. How much was left out stands in ``dropped``.
    """
    return layout(report_document(report, options), depth=3) + "\n"


def report_document(report: Report, options: RenderOptions) -> Document:
    """The same as plain dicts and lists."""
    trace = report.trace
    parameters, points_left = parameter_documents(report, options)
    steps, steps_left = _steps(report, options)
    updates, updates_left = update_documents(trace, options)
    calls, calls_left = call_documents(trace, options)
    graph, nodes_left = chosen_document(report, options)
    document = {
        "schema": SCHEMA,
        "verdict": _verdict(report),
        "target": text(trace.target),
        "argv": [text(argument) for argument in trace.argv],
        "environment": {text(k): text(v) for k, v in trace.environment.items()},
        "script_error": _script_error(trace.script_error),
        "overhead": {
            "total_ns": trace.overhead.total_ns,
            "own_ns": trace.overhead.own_ns,
            "share": trace.overhead.share,
        },
        "totals": _totals(trace),
        "steps": steps,
        "updates": updates,
        "optimizers": optimizer_documents(trace),
        "calls": calls,
        "parameters": parameters,
        "graph": graph,
        "findings": [_finding(finding) for finding in report.findings],
        "checked": [text(name) for name in report.checked],
        "skipped": [_skipped(skipped) for skipped in report.skipped],
        "ignored": [_finding(finding) for finding in report.ignored],
        "notes": [text(note, TEXT_LIMIT) for note in (*trace.notes, *report.notes)],
    }
    if options.all_graphs:
        document["graphs"], nodes_left = kept_documents(report, options)
    left = {
        "json: points of parameter histories": points_left,
        "json: steps": steps_left,
        "json: updates": updates_left,
        "json: calls": calls_left,
        "json: graph nodes": nodes_left,
    }
    dropped = {text(reason): count for reason, count in trace.dropped.items()}
    document["dropped"] = dropped | {reason: n for reason, n in left.items() if n}
    return document


def _verdict(report: Report) -> Document:
    answer = verdict(report)
    return {
        "kind": answer.kind,
        "location": maybe(answer.location),
        "text": text(answer.text, TEXT_LIMIT),
    }


def _totals(trace: Trace) -> Document:
    return {
        "steps": len(trace.steps),
        "updates": len(trace.updates),
        "parameters": len(trace.parameters),
        "graphs": len(trace.graphs),
        "forward_graphs": len(trace.forward_graphs),
        "unused_forwards": trace.unused_forwards,
    }


def _script_error(error: ScriptError | None) -> Document | None:
    if error is None:
        return None
    source = error.source
    return {
        "type": text(error.type),
        "message": text(error.message, TEXT_LIMIT),
        "file": text(source.file) if source else None,
        "line": source.line if source else None,
        "text": maybe(source.text) if source else None,
        "traceback": maybe(error.traceback, TEXT_LIMIT),
    }


def _steps(report: Report, options: RenderOptions) -> tuple[list[Document], int]:
    steps = report.trace.steps
    telling = [i for i, step in enumerate(steps) if step.graph is not None or step.error]
    named = {index for finding in report.findings for index in finding.steps}
    telling += [i for i, step in enumerate(steps) if step.index in named]
    kept = spread(len(steps), options.max_points * 10, telling)
    norms = step_norms(report.trace)
    return [_step(steps[i], norms.get(steps[i].index)) for i in kept], len(steps) - len(kept)


def _step(step: Step, norm: float | None) -> Document:
    return {
        "index": step.index,
        "kind": step.kind,
        "source": source_document(step.source),
        "roots": [text(root) for root in step.roots],
        "loss": number(step.loss),
        "gradient_norm": number(norm),
        "backward_ns": step.backward_ns,
        "level": step.level,
        "node_count": step.node_count,
        "has_graph": step.graph is not None,
        "keep_graph": step.keep_graph,
        "create_graph": step.create_graph,
        "nested_in": step.nested_in,
        "thread": text(step.thread),
        "error": None if step.error is None else text(step.error, TEXT_LIMIT),
    }


def step_norms(trace: Trace) -> dict[int, float]:
    """Step index to the L2 norm over every parameter's gradient that arrived in that backward.

    Where no parameter received any, over the inputs' gradients.
    """
    squares: dict[str, dict[int, float]] = {"input": {}, "parameter": {}}
    for parameter in trace.parameters:
        sums, history = squares[parameter.kind], parameter.gradients
        for step, norm, arrived in zip(history.step, history.norm, history.arrived, strict=True):
            if arrived:
                sums[step] = sums.get(step, 0.0) + norm * norm
    return {step: math.sqrt(s) for step, s in (squares["input"] | squares["parameter"]).items()}


def _finding(finding: Finding) -> Document:
    return {
        "code": finding.code,
        "name": finding.name,
        "severity": finding.severity,
        "message": text(finding.message, TEXT_LIMIT),
        "where": _where(finding),
        "steps": list(finding.steps),
        "seen": finding.seen,
        "of": finding.of,
        "evidence": {text(name): _evidence(value) for name, value in finding.evidence.items()},
        "cause": maybe(finding.cause, TEXT_LIMIT),
        "fix": maybe(finding.fix, TEXT_LIMIT),
        "silence": maybe(finding.silence, TEXT_LIMIT),
        "consequences": [_finding(consequence) for consequence in finding.consequences],
    }


def _evidence(value: float | int | str) -> float | int | str | None:
    return text(value) if isinstance(value, str) else number(value)


def _where(finding: Finding) -> Document:
    where = finding.where
    source = where.source
    return {
        "parameter": maybe(where.parameter),
        "op": maybe(where.op),
        "module": maybe(where.module),
        "variable": maybe(where.variable),
        "file": text(source.file) if source else None,
        "line": source.line if source else None,
        "text": maybe(source.text) if source else None,
        "nodes": list(where.nodes),
        "step": where.step,
    }


def _skipped(skipped: Skipped) -> Document:
    return {
        "code": skipped.code,
        "reason": text(skipped.reason, TEXT_LIMIT),
        "failed": skipped.failed,
    }
