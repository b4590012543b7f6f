"""Verdicts: findings and the report that carries them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from gradscope.model.graph import Source
from gradscope.model.trace import Trace

Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True)
class Where:
    """What a finding points at; empty strings and None where a part does not apply.

    Attributes:
        parameter: The user's name of a parameter.
        op: Autograd's node name.
        module: Module path.
        variable: The user's name of an intermediate.
        source: The line to blame.
        nodes: Node ids in the graph of step ``step`` that belong to the finding.
        step: Index of the step whose graph ``nodes`` refers to; None when there are none.
    """

    parameter: str = ""
    op: str = ""
    module: str = ""
    variable: str = ""
    source: Source | None = None
    nodes: tuple[int, ...] = ()
    step: int | None = None


@dataclass(frozen=True)
class Finding:
    """One verdict of one rule.

    Attributes:
        code: ``GS401``.
        name: ``accumulated-gradient``.
        severity: ``error``, ``warning`` or ``info``.
        message: One sentence with the numbers.
        where: What it points at.
        steps: First and last step index it was seen in.
        seen: In how many steps (or updates) it was seen.
        of: Out of how many it could have been seen in.
        evidence: Numbers behind it, by name.
        cause: The likely cause, one or two sentences.
        fix: What to change, as code where possible.
        silence: What would silence it when it is intended.
        consequences: Findings that this one explains.
    """

    code: str
    name: str
    severity: Severity
    message: str
    where: Where = field(default_factory=Where)
    steps: tuple[int, int] = (0, 0)
    seen: int = 1
    of: int = 1
    evidence: Mapping[str, float | int | str] = field(default_factory=dict)
    cause: str = ""
    fix: str = ""
    silence: str = ""
    consequences: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Skipped:
    """A rule that gave no verdict, and why.

    Attributes:
        code: The rule's code.
        reason: One sentence.
        failed: True when the rule itself raised.
    """

    code: str
    reason: str
    failed: bool = False


@dataclass(frozen=True)
class Report:
    """A trace with its verdicts: what every renderer draws.

    Attributes:
        trace: The run.
        findings: Worst first.
        skipped: Rules that could not run.
        checked: Names of the rules that gave a verdict, such as ``vanishing-gradient``; a clean
            bill is worth no more than this list.
        ignored: Findings that a comment in the user's program silences.
        notes: Sentences about the verdicts that a reader must know.
        docs: Code of a finding to what its rule says about itself: what, why it hurts, example,
            instead.
    """

    trace: Trace
    findings: tuple[Finding, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    checked: tuple[str, ...] = ()
    ignored: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    docs: Mapping[str, str] = field(default_factory=dict)

    @property
    def has_warnings(self) -> bool:
        """Whether any finding is a warning or an error."""
        return any(f.severity != "info" for f in self.findings)
