"""Cause before consequence: findings that another finding explains go under it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from gradscope.model.finding import Finding


@dataclass(frozen=True, slots=True)
class Link:
    """One finding can bring about another.

    Attributes:
        cause: Code of the cause.
        effect: Code of the consequence.
        holds: Whether this finding (first) did bring about that one (second).
    """

    cause: str
    effect: str
    holds: Callable[[Finding, Finding], bool]


def _earlier(cause: Finding, effect: Finding) -> bool:
    return cause.steps[0] < effect.steps[0]


def _overflowed(cause: Finding, effect: Finding) -> bool:
    """An explosion ends in overflow; a square root at 0 has another cause."""
    return cause.steps[0] <= effect.steps[0] and not effect.evidence.get("singular")


def _grew(cause: Finding, effect: Finding) -> bool:
    """Accumulation makes the gradient grow from step to step, not along the depth."""
    return cause.steps[0] <= effect.steps[0] and "growth" in effect.evidence


LINKS = (
    Link("GS401", "GS102", _grew),
    Link("GS102", "GS201", _overflowed),
    Link("GS201", "GS101", _earlier),
    Link("GS201", "GS102", _earlier),
)
"""The first that holds decides under which finding a consequence goes."""


def under_their_causes(
    findings: Sequence[Finding], links: Sequence[Link] = LINKS
) -> tuple[Finding, ...]:
    """Moves each consequence under its cause, over several generations.

    Args:
        findings: In any order.
        links: Which code can bring about which.

    Returns:
        The findings that nothing else explains, in the order given.
    """
    parents: list[int | None] = []
    for effect in range(len(findings)):
        cause = _cause_of(effect, findings, links)
        parents.append(None if cause is None or _descends(cause, effect, parents) else cause)
    return tuple(
        _with_consequences(index, findings, parents)
        for index, parent in enumerate(parents)
        if parent is None
    )


def _cause_of(effect: int, findings: Sequence[Finding], links: Sequence[Link]) -> int | None:
    for link in links:
        if link.effect != findings[effect].code:
            continue
        for cause, finding in enumerate(findings):
            if finding.code == link.cause and link.holds(finding, findings[effect]):
                return cause
    return None


def _descends(index: int, ancestor: int, parents: Sequence[int | None]) -> bool:
    """Whether ``index`` is, or is already filed under, ``ancestor``."""
    at: int | None = index
    while at is not None and at != ancestor:
        at = parents[at] if at < len(parents) else None
    return at == ancestor


def _with_consequences(
    index: int, findings: Sequence[Finding], parents: Sequence[int | None]
) -> Finding:
    below = tuple(
        _with_consequences(child, findings, parents)
        for child, parent in enumerate(parents)
        if parent == index
    )
    finding = findings[index]
    return replace(finding, consequences=finding.consequences + below) if below else finding
