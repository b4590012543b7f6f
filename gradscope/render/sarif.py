"""Findings as SARIF 2.1.0, the format that code scanning services read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from gradscope.model.finding import Finding, Report
from gradscope.model.rule import RuleText
from gradscope.render.options import RenderOptions
from gradscope.render.places import place_of, uri
from gradscope.render.safe import PROSE_LIMIT, visible
from gradscope.render.summary import beside_place
from gradscope.render.units import shorten

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
_LEVELS = {"error": "error", "warning": "warning", "info": "note"}
_ROOT = "%SRCROOT%"
_TEXT = 4_000

Document = dict[str, Any]


def render_sarif(report: Report, options: RenderOptions, rules: Sequence[RuleText]) -> str:
    """One run with every rule and one result per finding; paths are relative where they can be.

    Findings that a comment silences are there as suppressed results.
    """
    positions = {rule.code: index for index, rule in enumerate(rules)}
    told = [(finding, False) for finding in report.findings]
    silenced = [(finding, True) for finding in report.ignored]
    document = {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": _driver(report, rules)},
                "invocations": [_invocation(report)],
                "columnKind": "unicodeCodePoints",
                "results": [
                    _result(finding, ignored, report, options, positions.get(finding.code))
                    for finding, ignored in told + silenced
                ],
            }
        ],
    }
    return json.dumps(document, indent=2, ensure_ascii=True, allow_nan=False) + "\n"


def _driver(report: Report, rules: Sequence[RuleText]) -> Document:
    version = report.trace.environment.get("gradscope", "")
    driver: Document = {"name": "gradscope", "rules": [_rule(rule) for rule in rules]}
    return driver | ({"version": visible(version)} if version else {})


def _rule(rule: RuleText) -> Document:
    return {
        "id": rule.code,
        "name": rule.name,
        "shortDescription": {"text": rule.summary},
        "fullDescription": {"text": rule.doc.strip().split("\n\n", 1)[0]},
        "help": {"text": rule.doc.strip()},
    }


def _invocation(report: Report) -> Document:
    error = report.trace.script_error
    if error is None:
        return {"executionSuccessful": True}
    text = f"{error.type}: {error.message}".strip()
    notification = {"level": "error", "message": {"text": visible(text, PROSE_LIMIT)}}
    return {"executionSuccessful": False, "toolExecutionNotifications": [notification]}


def _result(
    finding: Finding, ignored: bool, report: Report, options: RenderOptions, index: int | None
) -> Document:
    result: Document = {
        "ruleId": finding.code,
        "level": _LEVELS[finding.severity],
        "message": {"text": _message(finding)},
        "locations": [_location(finding, report, options)],
    }
    if index is not None:
        result["ruleIndex"] = index
    if ignored:
        result["suppressions"] = [{"kind": "inSource"}]
    return result


def _message(finding: Finding) -> str:
    parts = [visible(beside_place(finding), PROSE_LIMIT)]
    if finding.fix.strip():
        fix = [visible(line, PROSE_LIMIT) for line in shorten(finding.fix, _TEXT).splitlines()]
        parts.append("\n".join(["Fix:", *fix]))
    return "\n".join(parts)


def _location(finding: Finding, report: Report, options: RenderOptions) -> Document:
    file, line = place_of(finding, report, options.folder)
    artifact: Document = {"uri": uri(file)}
    if not artifact["uri"].startswith("file:"):
        artifact["uriBaseId"] = _ROOT
    physical: Document = {"artifactLocation": artifact}
    if line is not None:
        physical["region"] = _region(finding, line)
    return {"physicalLocation": physical}


def _region(finding: Finding, line: int) -> Document:
    source = finding.where.source
    if source is None or not source.text:
        return {"startLine": line}
    return {"startLine": line, "snippet": {"text": visible(source.text, PROSE_LIMIT)}}
