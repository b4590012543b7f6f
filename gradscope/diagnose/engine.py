"""Runs the rules over a trace and puts their findings in order."""

from __future__ import annotations

from collections.abc import Sequence

from gradscope.diagnose.causes import under_their_causes
from gradscope.diagnose.registry import choose_rules, registered_rules
from gradscope.diagnose.rule import CannotJudgeError, NotAskedError, RegisteredRule
from gradscope.diagnose.run import Run
from gradscope.diagnose.silence import ignored_note, silence
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
        not run and why. A rule that raises costs no other finding. What a comment in the user's
        program silences is counted, not told.

    Raises:
        UsageError: ``select`` or ``ignore`` names no rule.
    """
    run = Run(trace)
    findings: list[Finding] = []
    skipped: list[Skipped] = []
    checked: list[RegisteredRule] = []
    for rule in choose_rules(select, ignore):
        outcome = _run_rule(rule, run, findings)
        if isinstance(outcome, Skipped):
            skipped.append(outcome)
        elif outcome:
            checked.append(rule)
    whole = trace.target != "trace()"  # a block need not meet every comment of its file
    sorted_out = silence(
        findings,
        trace.suppressions,
        known=[rule.code for rule in registered_rules()],
        judged=[rule.code for rule in checked] if whole else [],
        everything=whole and not (select or ignore or skipped),
    )
    told = {finding.code for finding in sorted_out.kept}
    return Report(
        trace,
        findings=tuple(sorted(under_their_causes(sorted_out.kept), key=badness)),
        skipped=tuple(skipped),
        checked=tuple(rule.rule.name for rule in checked),
        ignored=sorted_out.ignored,
        notes=tuple(filter(None, [ignored_note(sorted_out.ignored), *sorted_out.notes])),
        docs={rule.code: rule.doc for rule in registered_rules() if rule.code in told},
    )


def _run_rule(rule: RegisteredRule, run: Run, findings: list[Finding]) -> Skipped | bool:
    """Adds what the rule finds; says why it stopped early, or whether it was asked at all."""
    try:
        for finding in rule.check(run):
            findings.append(finding)
    except NotAskedError:
        return False
    except CannotJudgeError as reason:
        return Skipped(rule.code, str(reason))
    except Exception as error:
        # One broken rule, or a trace nobody thought of, must not hide what the others found.
        return Skipped(rule.code, f"{type(error).__name__}: {error}", failed=True)
    return True


def badness(finding: Finding) -> tuple[int, int, str]:
    """Sort key: severity, then what began first, then the code."""
    return (_SEVERITIES.index(finding.severity), finding.steps[0], finding.code)
