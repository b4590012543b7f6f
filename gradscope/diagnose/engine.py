"""Runs the rules over a trace and puts their findings in order."""

from __future__ import annotations

from collections.abc import Sequence

from gradscope.diagnose.causes import under_their_causes
from gradscope.diagnose.registry import choose_rules
from gradscope.diagnose.rule import CannotJudgeError, RegisteredRule
from gradscope.diagnose.run import Run
from gradscope.model.finding import Finding, Report, Skipped
from gradscope.model.trace import Trace

_SEVERITIES = ("error", "warning", "info")


def diagnose(trace: Trace, *, select: Sequence[str] = (), ignore: Sequence[str] = ()) -> Report:
    """Judges a run.

    Args:
        trace: The run.
        select: Codes or prefixes of the rules to run, such as ``GS401`` or ``GS1``; all if empty.
        ignore: Codes or prefixes of rules to leave out.

    Returns:
        The findings, worst first and consequences under their causes, with the rules that could
        not run and why. A rule that raises costs no other finding.

    Raises:
        UsageError: ``select`` or ``ignore`` names no rule.
    """
    run = Run(trace)
    findings: list[Finding] = []
    skipped: list[Skipped] = []
    for rule in choose_rules(select, ignore):
        stopped = _run_rule(rule, run, findings)
        if stopped is not None:
            skipped.append(stopped)
    ordered = sorted(under_their_causes(findings), key=badness)
    return Report(trace, tuple(ordered), tuple(skipped))


def _run_rule(rule: RegisteredRule, run: Run, findings: list[Finding]) -> Skipped | None:
    """Adds what the rule finds; says why it stopped early if it did."""
    try:
        for finding in rule.check(run):
            findings.append(finding)
    except CannotJudgeError as reason:
        return Skipped(rule.code, str(reason))
    except Exception as error:
        # One broken rule, or a trace nobody thought of, must not hide what the others found.
        return Skipped(rule.code, f"{type(error).__name__}: {error}", failed=True)
    return None


def badness(finding: Finding) -> tuple[int, int, str]:
    """Sort key: severity, then what began first, then the code."""
    return (_SEVERITIES.index(finding.severity), finding.steps[0], finding.code)
