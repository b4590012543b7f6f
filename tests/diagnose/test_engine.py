from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from types import ModuleType

import pytest

from gradscope.diagnose import diagnose, engine, registry
from gradscope.diagnose.registry import choose_rules, registered_rules
from gradscope.diagnose.rule import CannotJudgeError, RegisteredRule, Rule
from gradscope.diagnose.run import Run
from gradscope.errors import UsageError
from gradscope.model.finding import Finding
from gradscope.model.graph import Structure
from gradscope.model.trace import Step, Trace
from tests.builders import chain_graph, mlp_graph
from tests.diagnose.test_gs101 import layered
from tests.diagnose.traces import parameter, run_of, update_trace, updates


def fake(code: str, check: Sequence[Finding] | Exception) -> RegisteredRule:
    """A rule that yields those findings and then raises, if given an exception."""

    def run(_: Run) -> Iterator[Finding]:
        yield from () if isinstance(check, Exception) else check
        if isinstance(check, Exception):
            raise check

    return RegisteredRule(Rule(code, code.lower(), ""), run, "doc")


def use(monkeypatch: pytest.MonkeyPatch, *rules: RegisteredRule) -> None:
    monkeypatch.setattr(engine, "choose_rules", lambda select, ignore: rules)


def finding(code: str, severity: str = "warning", first: int = 0) -> Finding:
    return Finding(code, code.lower(), severity, "", steps=(first, first))  # type: ignore[arg-type]


def test_a_rule_that_raises_costs_no_other_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    use(
        monkeypatch,
        fake("GS901", [finding("GS901")]),
        fake("GS902", ZeroDivisionError("division by zero")),
        fake("GS903", [finding("GS903")]),
    )
    report = diagnose(Trace())
    assert [f.code for f in report.findings] == ["GS901", "GS903"]
    (skipped,) = report.skipped
    assert (skipped.code, skipped.failed) == ("GS902", True)
    assert skipped.reason == "ZeroDivisionError: division by zero"


def test_what_a_rule_found_before_it_raised_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def check(_: Run) -> Iterator[Finding]:
        yield finding("GS901")
        raise KeyError("later")

    use(monkeypatch, RegisteredRule(Rule("GS901", "x", ""), check, "doc"))
    report = diagnose(Trace())
    assert [f.code for f in report.findings] == ["GS901"]
    assert report.skipped[0].failed


def test_a_rule_that_cannot_judge_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, fake("GS901", CannotJudgeError("no graph was recorded")))
    (skipped,) = diagnose(Trace()).skipped
    assert (skipped.reason, skipped.failed) == ("no graph was recorded", False)


def test_interrupts_are_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    def check(_: Run) -> Sequence[Finding]:
        raise KeyboardInterrupt

    use(monkeypatch, RegisteredRule(Rule("GS901", "x", ""), check, "doc"))
    with pytest.raises(KeyboardInterrupt):
        diagnose(Trace())


def test_findings_come_worst_first(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        finding("GS904", "info"),
        finding("GS903", "error", 7),
        finding("GS902", "warning"),
        finding("GS901", "error", 3),
        finding("GS900", "error", 7),
    ]
    use(monkeypatch, fake("GS901", found))
    codes = [f.code for f in diagnose(Trace()).findings]
    assert codes == ["GS901", "GS900", "GS903", "GS902", "GS904"]


def test_every_rule_is_discovered_and_documented() -> None:
    rules = registered_rules()
    codes = [rule.code for rule in rules]
    assert codes == sorted(set(codes))
    assert {"GS101", "GS102", "GS201", "GS401"} <= set(codes)
    for rule in rules:
        for heading in ("What:", "Why it hurts:", "Example::", "Instead::"):
            assert heading in rule.doc, (rule.code, heading)


@pytest.mark.parametrize(
    ("select", "ignore", "expected"),
    [
        ((), (), {"GS101", "GS102", "GS201", "GS401"}),
        (("GS401",), (), {"GS401"}),
        (("GS1",), (), {"GS101", "GS102"}),
        (("gs1", "GS2"), ("GS102",), {"GS101", "GS201"}),
        ((), ("GS",), set()),
    ],
)
def test_choosing(select: tuple[str, ...], ignore: tuple[str, ...], expected: set[str]) -> None:
    chosen = {rule.code for rule in choose_rules(select, ignore)}
    assert chosen & {"GS101", "GS102", "GS201", "GS401"} == expected


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("GS411", "GS41"),
        ("S401", "GS401"),
        ("vanishing-gradient", "GS101"),
        ("exploding_gradients", "GS102"),
        ("", "gradscope rules"),
        ("X", "gradscope rules"),
    ],
)
def test_an_unknown_code_is_an_error_with_the_closest_one(code: str, hint: str) -> None:
    with pytest.raises(UsageError, match=hint):
        choose_rules(select=[code])
    with pytest.raises(UsageError, match=hint):
        diagnose(Trace(), ignore=[code])


@pytest.mark.parametrize(
    "parts",
    [
        {"RULE": None},
        {"check": None},
        {"__doc__": None},
        {"RULE": Rule("GS998", "other", "")},
    ],
)
def test_a_module_that_is_no_rule_is_refused(
    monkeypatch: pytest.MonkeyPatch, parts: dict[str, object]
) -> None:
    module = ModuleType("gs999_some_name", "doc")
    whole = {"RULE": Rule("GS999", "some-name", ""), "check": lambda run: ()} | parts
    for name, value in whole.items():
        setattr(module, name, value)
    monkeypatch.setattr(importlib, "import_module", lambda name: module)
    with pytest.raises(TypeError, match="gs999_some_name"):
        registry._load("gs999_some_name")


def test_deselected_rules_do_not_run() -> None:
    trace = run_of(layered([0.1] * 7))
    assert diagnose(trace, ignore=["GS101"]).findings == ()
    assert [f.code for f in diagnose(trace, select=["GS1"]).findings] == ["GS101"]


def test_a_run_without_anything_has_no_findings() -> None:
    report = diagnose(Trace())
    assert (report.findings, report.skipped) == ((), ())


@pytest.mark.parametrize(
    "trace",
    [
        Trace(steps=(Step(0, graph=replace(chain_graph(1), structure=Structure((), (), ()))),)),
        Trace(steps=(Step(0, graph=replace(mlp_graph(6), gradients={}, values={})),)),
        Trace(steps=(Step(0, graph=replace(mlp_graph(6), backward_ran=False)),)),
        Trace(steps=(Step(5, loss=None), Step(9, error="RuntimeError: no"))),
        replace(update_trace(parameter(update=updates([1], [0])), count=1), steps=()),
    ],
    ids=["empty graph", "nothing measured", "no backward", "holes", "updates only"],
)
def test_poor_traces_break_no_rule(trace: Trace) -> None:
    report = diagnose(trace)
    assert report.findings == ()
    assert not any(skipped.failed for skipped in report.skipped)
