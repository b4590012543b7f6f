"""The samples and the tutorials they come from: right numbers, right names, no false alarm."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.command import SAMPLES, SEEDS, Ran, gradscope, run
from tests.samples.reading import gradient, labels, parameter, problems, value

HEALTHY = [
    *(SAMPLES / f"{name}.py" for name in ("autograd_basics", "polynomial", "linear_model")),
    *(SAMPLES / f"{name}.py" for name in ("linear_regression", "linear_regression_numpy")),
    *(SAMPLES / f"{name}.py" for name in ("house_prices", "simple_net")),
    *sorted(SEEDS.glob("*.py")),
]


@cache
def _ran(script: Path) -> tuple[Ran, dict[str, Any]]:
    with TemporaryDirectory() as folder:
        ran = gradscope(Path(folder), "render", "-o", "report.json", "-o", "graph.svg", str(script))
        assert "Traceback" not in ran.err, ran.err
        return ran, ran.json("report.json")


def _sample(name: str) -> dict[str, Any]:
    return _ran(SAMPLES / f"{name}.py")[1]


def _seed(name: str) -> dict[str, Any]:
    return _ran(SEEDS / f"{name}.py")[1]


def _name(script: Path) -> str:
    return f"{script.parent.name}/{script.stem}"


def test_every_script_is_looked_at() -> None:
    bad = {SAMPLES / f"{name}.py" for name in ("vanishing", "exploding", "accumulated")}
    assert {*SAMPLES.glob("*.py"), *SEEDS.glob("*.py")} == {*HEALTHY, *bad}
    assert len(HEALTHY) >= 15


@pytest.mark.parametrize("script", HEALTHY, ids=_name)
def test_a_healthy_script_is_healthy(script: Path) -> None:
    ran, report = _ran(script)
    assert ran.code == 0
    assert problems(report) == []
    assert not [reason for reason in report["dropped"] if "failed" in reason]


@pytest.mark.parametrize("read", [_sample, _seed])
def test_a_line_in_one_point(read: Any) -> None:
    report = read("autograd_basics" if read is _sample else "first_steps")
    if read is _seed:
        step = report["steps"][0]
        assert (step["loss"], step["roots"]) == (5.0, ["y"])
        assert [parameter(report, n)["gradients"]["min"][0] for n in "xWb"] == [2, 1, 1]
        return
    assert [gradient(report, name) for name in "xWb"] == [2, 1, 1]
    assert [value(report, name) for name in "xWb"] == [1, 2, 3]
    assert labels(report) >= {"x", "W", "b", "y"}
    assert report["steps"][0]["loss"] == 5


@pytest.mark.parametrize("read", [_sample, _seed])
def test_a_polynomial_in_one_point(read: Any) -> None:
    report = read("polynomial")
    assert gradient(report, "x") == 7
    assert labels(report) >= {"x", "y"}
    assert report["steps"][0]["loss"] == 5


@pytest.mark.parametrize(("read", "script"), [(_sample, "linear_model"), (_seed, "first_steps")])
def test_one_step_of_a_model(read: Any, script: str) -> None:
    report = read(script)
    bias = gradient(report, "model.linear.bias")
    assert gradient(report, "model.linear.weight") == pytest.approx(2 * bias)
    assert "loss" in labels(report)
    assert [u["optimizer"] for u in report["updates"]] == ["SGD"]


@pytest.mark.parametrize(
    ("read", "script", "w", "b", "slack"),
    [
        (_sample, "linear_regression_numpy", 2, 3, 0.05),
        (_seed, "numpy_regression", 2, 3, 1.0),  # starts anywhere, 1000 steps are not quite enough
        (_sample, "linear_regression", 2, 0, 0.3),
        (_seed, "torch_regression", 2, 0, 0.3),
    ],
)
def test_a_line_is_found(read: Any, script: str, w: float, b: float, slack: float) -> None:
    report = read(script)
    assert value(report, "model.weight") == pytest.approx(w, abs=slack)
    assert value(report, "model.bias") == pytest.approx(b, abs=slack)
    assert report["totals"]["steps"] == report["totals"]["updates"] == 1000


def test_the_report_holds_what_the_script_printed() -> None:
    ran, report = _ran(SEEDS / "numpy_regression.py")
    printed = dict(re.findall(r"^([Wb]) = (\S+)$", ran.out.decode(), re.MULTILINE))
    assert float(printed["W"]) == value(report, "model.weight")
    assert float(printed["b"]) == value(report, "model.bias")


@pytest.mark.parametrize("read", [_sample, _seed])
def test_house_prices_with_a_tiny_learning_rate(read: Any) -> None:
    report = read("house_prices")
    assert value(report, "model.weight") == pytest.approx(0.164, abs=0.002)


@pytest.mark.parametrize("read", [_sample, _seed])
def test_a_script_without_backward_is_told_so_in_one_sentence(read: Any) -> None:
    report = read("simple_net")
    assert report["steps"] == []
    assert "ran no backward" in report["verdict"]["text"]
    assert labels(report) >= {"output"}
    assert report["graph"]["backward_ran"] is False


def test_twelve_sigmoids_vanish() -> None:
    (finding,) = [f for f in _sample("vanishing")["findings"] if f["code"] == "GS101"]
    assert finding["severity"] in ("warning", "error")
    assert (Path(finding["where"]["file"]).name, finding["where"]["line"]) == ("vanishing.py", 19)
    assert "Sigmoid" in finding["message"]


def test_a_wide_recurrence_explodes() -> None:
    (finding,) = [f for f in _sample("exploding")["findings"] if f["code"] == "GS103"]
    assert finding["name"] == "exploding-through-time"
    assert finding["severity"] in ("warning", "error")
    assert (Path(finding["where"]["file"]).name, finding["where"]["line"]) == ("exploding.py", 20)


def test_a_missing_zero_grad_is_accumulated() -> None:
    report = _sample("accumulated")
    (finding,) = [f for f in report["findings"] if f["code"] == "GS401"]
    assert finding["severity"] == "error"
    assert (Path(finding["where"]["file"]).name, finding["where"]["line"]) == ("accumulated.py", 17)
    assert problems(report) == ["GS401"]


@pytest.mark.parametrize("script", sorted(SAMPLES.glob("*.py")), ids=_name)
def test_a_sample_prints_the_same_numbers_without_us(script: Path, tmp_path: Path) -> None:
    assert _ran(script)[0].out == run(tmp_path, str(script)).out
