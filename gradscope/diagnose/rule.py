"""What a rule is: a ``RULE``, a ``check()`` and a docstring, in a module of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from gradscope.diagnose.run import Run
from gradscope.model.finding import Finding, Severity

Check = Callable[[Run], Iterable[Finding]]


class CannotJudgeError(Exception):
    """A rule raises it when the trace lacks what it reads; its message says what."""


class NotAskedError(Exception):
    """A rule that only runs on request raises it where nobody asked."""


@dataclass(frozen=True, slots=True)
class Rule:
    """The identity of a rule.

    Attributes:
        code: ``GS101``; never reused, never changed.
        name: ``vanishing-gradient``.
        summary: One line, for listings.
    """

    code: str
    name: str
    summary: str

    def finding(self, severity: Severity, message: str, **parts: Any) -> Finding:
        """A finding of this rule; ``parts`` are the other fields of ``Finding``."""
        return Finding(self.code, self.name, severity, message, **parts)


@dataclass(frozen=True, slots=True)
class RegisteredRule:
    """A rule as the registry found it.

    Attributes:
        rule: Its identity.
        check: Judges a run and yields findings.
        doc: The docstring of its module: what, why it hurts, example, instead.
    """

    rule: Rule
    check: Check = field(repr=False)
    doc: str = field(repr=False)

    @property
    def code(self) -> str:
        """The rule's code."""
        return self.rule.code
