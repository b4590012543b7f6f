"""The chain rule and the way of every tutorial and sample, against what the program computed."""

from __future__ import annotations

import math
from collections import defaultdict
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.command import SAMPLES, SEEDS, gradscope, run

# Script, options, target, and the derivative that the tutorial's own text or algebra gives.
SCALARS = [
    (SEEDS / "polynomial.py", "x", 7.0),
    (SAMPLES / "polynomial.py", "x", 7.0),
    (SEEDS / "first_steps.py", "x", 2.0),
    (SEEDS / "first_steps.py", "W", 1.0),
    (SEEDS / "first_steps.py", "b", 1.0),
    (SAMPLES / "autograd_basics.py", "x", 2.0),
    (SAMPLES / "autograd_basics.py", "W", 1.0),
    (SAMPLES / "autograd_basics.py", "b", 1.0),
]
TENSORS = [
    (SEEDS / "house_prices.py", "model.weight"),
    (SEEDS / "numpy_regression.py", "model.bias"),
    (SEEDS / "torch_regression.py", "model.weight"),
    (SAMPLES / "linear_regression.py", "model.bias"),
    (SAMPLES / "vanishing.py", "net.layers.3.weight"),
    (SAMPLES / "exploding.py", "net.W"),
    (SAMPLES / "accumulated.py", "net.0.weight"),
]


_TELL = """
import json, sys
from gradscope import launch
from gradscope.capture.options import CaptureOptions
from gradscope.flow_result import FlowResult

script, *names = sys.argv[1:]  # the script gets a sys.argv of its own

def finish(trace):
    told = {name: FlowResult.of(trace, name).data for name in names}
    open("flow.json", "w").write(json.dumps(told))

launch.run_script(script, [], options=CaptureOptions(), finish=finish)
"""
_NAMES: defaultdict[Path, set[str]] = defaultdict(set)
for _script, _name in (*(case[:2] for case in SCALARS), *TENSORS):
    _NAMES[_script].add(_name)
for _script in (SEEDS / "first_steps.py", SAMPLES / "linear_model.py"):
    _NAMES[_script] |= {"model.linear.weight", "model.linear.bias"}


@cache
def _flows(script: Path) -> dict[str, dict[str, Any]]:
    """The way to every name that a test asks for, from one run."""
    with TemporaryDirectory() as folder:
        ran = run(Path(folder), "-c", _TELL, str(script), *sorted(_NAMES[script]))
        assert ran.code == 0, ran.err
        return ran.json("flow.json")


def _flow(script: Path, name: str) -> dict[str, Any]:
    return _flows(script)[name]


def _id(case: tuple[Any, ...]) -> str:
    return f"{case[0].parent.name}/{case[0].stem} {case[1]}"


@pytest.mark.parametrize("case", SCALARS, ids=_id)
def test_the_derivative_of_the_tutorial(case: tuple[Path, str, float]) -> None:
    chain = _flow(*case[:2])["chain_rule"]
    assert chain["derivative"] == chain["recorded"] == case[2]
    for term in chain["terms"]:
        assert all(link["formula"] for link in term["links"])
        assert math.prod(link["value"] for link in term["links"]) == term["product"]
    assert sum(term["product"] for term in chain["terms"]) == case[2]


@pytest.mark.parametrize("script", [SEEDS / "first_steps.py", SAMPLES / "linear_model.py"])
def test_a_model_of_one_weight_is_scalar_too(script: Path) -> None:
    """``(2w + b − 1)²``: the weight's derivative is twice the bias'."""
    weight, bias = (
        _flow(script, f"model.linear.{part}")["chain_rule"] for part in ("weight", "bias")
    )
    assert weight["derivative"] == pytest.approx(2 * bias["derivative"])
    (term,) = weight["terms"]
    assert [link["value"] for link in term["links"]][-1] == 2
    assert term["links"][0]["formula"].startswith("2·(")


@pytest.mark.parametrize("case", TENSORS, ids=_id)
def test_the_way_through_tensors(case: tuple[Path, str]) -> None:
    told = _flow(*case)
    assert told["chain_rule"] is None
    *ops, target = told["hops"]
    assert target["name"] == told["target"] == case[1]
    assert all(hop["rule"] for hop in ops)
    assert all(hop["line"] for hop in ops)
    assert target["product"] == pytest.approx(told["gain"])


@pytest.mark.parametrize("name", ["simple_net", "sequential"])
def test_no_backward_no_way(name: str, tmp_path: Path) -> None:
    ran = gradscope(tmp_path, "flow", "--to", "fc1.weight", str(SEEDS / f"{name}.py"))
    assert ran.code == 2
    assert ran.err.splitlines()[-1] == (
        "gradscope: the program ran no backward, so no gradient flowed."
    )
