"""Answers from a JSON report, by the user's names."""

from __future__ import annotations

from typing import Any

Report = dict[str, Any]


def parameter(report: Report, name: str) -> dict[str, Any]:
    (found,) = [p for p in report["parameters"] if p["name"] == name]
    return dict(found)


def gradient(report: Report, name: str) -> float:
    """The last gradient of a one-element leaf: as the graph and the history both tell it."""
    leaf = parameter(report, name)
    (node,) = [n for n in report["graph"]["nodes"] if n["parameter"] == leaf["index"]]
    in_graph = node["gradients"][0]["stats"]["value"]
    assert node["label"] == name
    assert leaf["gradients"]["min"][-1] == leaf["gradients"]["max"][-1] == in_graph
    return float(in_graph)


def value(report: Report, name: str) -> float:
    """The value of a one-element leaf at the end of the run."""
    return float(parameter(report, name)["value"]["value"])


def labels(report: Report) -> set[str]:
    return {node["label"] for node in report["graph"]["nodes"] if node["label"]}


def problems(report: Report) -> list[str]:
    return [f["code"] for f in report["findings"] if f["severity"] != "info"]
