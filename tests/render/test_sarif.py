"""SARIF: valid in all that is used of it, with relative places and rules in words."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import jsonschema
import pytest

from gradscope.diagnose.registry import rule_texts
from gradscope.model.finding import Finding, Report, Where
from gradscope.model.graph import Source
from gradscope.model.rule import RuleText
from gradscope.render.options import RenderOptions
from gradscope.render.sarif import render_sarif
from tests.render import reports

MESSAGE = {
    "type": "object",
    "required": ["text"],
    "properties": {"text": {"type": "string", "minLength": 1}},
}
LEVEL = {"enum": ["none", "note", "warning", "error"]}
# The parts of the specification that are used, by hand: oasis-open.org, SARIF 2.1.0, section 3.
SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["version", "runs"],
    "additionalProperties": False,
    "properties": {
        "$schema": {"type": "string", "format": "uri"},
        "version": {"const": "2.1.0"},
        "runs": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/run"}},
    },
    "$defs": {
        "run": {
            "type": "object",
            "required": ["tool", "results"],
            "additionalProperties": False,
            "properties": {
                "tool": {
                    "type": "object",
                    "required": ["driver"],
                    "properties": {"driver": {"$ref": "#/$defs/driver"}},
                },
                "invocations": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["executionSuccessful"],
                        "properties": {
                            "executionSuccessful": {"type": "boolean"},
                            "toolExecutionNotifications": {
                                "type": "array",
                                "items": {
                                    "type": "object",
                                    "required": ["message"],
                                    "properties": {"message": MESSAGE, "level": LEVEL},
                                },
                            },
                        },
                    },
                },
                "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                "results": {"type": "array", "items": {"$ref": "#/$defs/result"}},
            },
        },
        "driver": {
            "type": "object",
            "required": ["name"],
            "additionalProperties": False,
            "properties": {
                "name": {"const": "gradscope"},
                "version": {"type": "string"},
                "rules": {
                    "type": "array",
                    "uniqueItems": True,
                    "items": {
                        "type": "object",
                        "required": ["id"],
                        "additionalProperties": False,
                        "properties": {
                            "id": {"type": "string", "pattern": "^GS[0-9]{3}$"},
                            "name": {"type": "string"},
                            "shortDescription": MESSAGE,
                            "fullDescription": MESSAGE,
                            "help": MESSAGE,
                        },
                    },
                },
            },
        },
        "result": {
            "type": "object",
            "required": ["message"],
            "additionalProperties": False,
            "properties": {
                "ruleId": {"type": "string"},
                "ruleIndex": {"type": "integer", "minimum": 0},
                "level": LEVEL,
                "message": MESSAGE,
                "locations": {"type": "array", "items": {"$ref": "#/$defs/location"}},
                "suppressions": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["kind"],
                        "properties": {"kind": {"enum": ["inSource", "external"]}},
                    },
                },
            },
        },
        "location": {
            "type": "object",
            "properties": {
                "physicalLocation": {
                    "type": "object",
                    "required": ["artifactLocation"],
                    "properties": {
                        "artifactLocation": {
                            "type": "object",
                            "properties": {
                                "uri": {"type": "string", "pattern": "^[!-~]+$"},
                                "uriBaseId": {"type": "string"},
                            },
                        },
                        "region": {
                            "type": "object",
                            "properties": {
                                "startLine": {"type": "integer", "minimum": 1},
                                "snippet": MESSAGE,
                            },
                        },
                    },
                }
            },
        },
    },
}


def sarif(report: Report, folder: str = "/home/user") -> dict[str, Any]:
    document = json.loads(render_sarif(report, RenderOptions(folder=folder), rule_texts()))
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    run: dict[str, Any] = document["runs"][0]
    return run


@pytest.mark.parametrize(
    "make", [reports.accumulated_report, reports.crash_report, reports.scalar_report]
)
def test_every_report_is_valid(make: Any) -> None:
    report = make()
    run = sarif(report)
    assert len(run["results"]) == len(report.findings)


def test_a_result_names_its_rule_and_place() -> None:
    run = sarif(reports.accumulated_report())
    result = run["results"][0]
    assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"] == "GS401"
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "train.py", "uriBaseId": "%SRCROOT%"}
    assert place["region"]["startLine"] > 0


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("/home/user/a b/ü%.py", {"uri": "a%20b/%C3%BC%25.py", "uriBaseId": "%SRCROOT%"}),
        ("/elsewhere/x.py", {"uri": "file:///elsewhere/x.py"}),
    ],
)
def test_places_are_uris(file: str, expected: dict[str, str]) -> None:
    where = Where(source=Source(file, 3))
    report = replace(
        reports.accumulated_report(), findings=(Finding("GS401", "n", "info", "m", where=where),)
    )
    result = sarif(report)["results"][0]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"] == expected
    assert result["level"] == "note"


def test_ignored_findings_are_suppressed_results() -> None:
    report = reports.accumulated_report()
    report = replace(report, findings=(), ignored=report.findings)
    results = sarif(report)["results"]
    assert len(results) == len(report.ignored) > 0
    assert all(result["suppressions"] == [{"kind": "inSource"}] for result in results)


def test_a_crash_is_an_unsuccessful_invocation() -> None:
    (invocation,) = sarif(reports.crash_report())["invocations"]
    assert not invocation["executionSuccessful"]


def test_a_rule_nobody_knows_has_no_index() -> None:
    rules = [RuleText("GS101", "n", "s", "d")]
    text = render_sarif(reports.accumulated_report(), RenderOptions(), rules)
    assert "ruleIndex" not in json.loads(text)["runs"][0]["results"][0]
