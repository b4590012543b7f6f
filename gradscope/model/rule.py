"""What is known of a rule apart from how it judges: for listings, pages and SARIF."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RuleText:
    """One rule in words.

    Attributes:
        code: ``GS401``.
        name: ``accumulated-gradient``.
        summary: One line, for listings.
        doc: What it says, why it hurts, an example and what to do instead.
    """

    code: str
    name: str
    summary: str
    doc: str
