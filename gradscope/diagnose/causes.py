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


def _diverged(cause: Finding, effect: Finding) -> bool:
    """Weights that are thrown about saturate whatever follows them."""
    over_the_steps = "growth" in cause.evidence and "decades" not in cause.evidence
    return over_the_steps and cause.steps[0] <= effect.steps[0]


def _through_time(cause: Finding, effect: Finding) -> bool:
    return cause.evidence.get("direction") == 1 and _overflowed(cause, effect)


def _always(cause: Finding, effect: Finding) -> bool:
    return True


def _by_saturation(cause: Finding, effect: Finding) -> bool:
    """The gradient vanishes where an activation of the same kind has saturated."""
    return effect.evidence.get("op") == cause.where.op


def _not_later(cause: Finding, effect: Finding) -> bool:
    return cause.steps[0] <= effect.steps[0]


def _of_the_replaced(cause: Finding, effect: Finding) -> bool:
    """What takes the place of the replaced parameters is what nobody updates."""
    same = effect.where.parameter == cause.where.parameter
    return same or effect.evidence.get("reason") == "stale"


def _of_the_same_optimizer(cause: Finding, effect: Finding) -> bool:
    return effect.evidence.get("optimizer") == cause.evidence.get("optimizer")


def _in_the_same_model(cause: Finding, effect: Finding) -> bool:
    roots = [finding.where.parameter.partition(".")[0] for finding in (cause, effect)]
    return roots[0] == roots[1]


def _while_scaled(cause: Finding, effect: Finding) -> bool:
    """A threshold for plain gradients leaves next to nothing of scaled ones."""
    return cause.evidence.get("order") == "before unscale_"


def _without_effect(cause: Finding, effect: Finding) -> bool:
    """Gradients that were to be clipped, or a schedule that was to come later, are used as is."""
    return effect.evidence.get("direction") == "too large"


def _throws(cause: Finding, effect: Finding) -> bool:
    """Weights that are thrown about switch units off."""
    return cause.evidence.get("direction") == "too large"


def _skips(cause: Finding, effect: Finding) -> bool:
    """A scaler skips steps whose gradients are not finite, whatever made them so."""
    return "skipped" in effect.evidence


_NONFINITE = ("GS201", "GS202", "GS203", "GS205")
LINKS = (
    Link("GS302", "GS301", _always),
    Link("GS307", "GS301", _always),
    Link("GS401", "GS102", _grew),
    *(Link("GS102", broken, _overflowed) for broken in _NONFINITE),
    *(Link("GS103", broken, _through_time) for broken in (*_NONFINITE, "GS102")),
    *(Link(broken, "GS101", _earlier) for broken in _NONFINITE),
    *(Link(broken, "GS102", _earlier) for broken in _NONFINITE),
    *(Link(broken, "GS204", _not_later) for broken in _NONFINITE),
    *(Link("GS204", broken, _earlier) for broken in _NONFINITE),
    Link("GS404", "GS403", _of_the_replaced),
    Link("GS404", "GS301", _of_the_same_optimizer),
    Link("GS405", "GS403", _in_the_same_model),
    Link("GS407", "GS406", _while_scaled),
    *(Link(cause, "GS409", _not_later) for cause in ("GS401", "GS102", *_NONFINITE)),
    *(Link(cause, "GS409", _always) for cause in ("GS101", "GS103", "GS108", "GS402", "GS406")),
    Link("GS407", "GS409", _without_effect),
    *(Link(cause, "GS605", _always) for cause in ("GS401", "GS102", *_NONFINITE)),
    Link("GS409", "GS605", _always),
    *(Link("GS409", effect, _throws) for effect in ("GS105", "GS106", "GS107")),
    *(Link(broken, "GS108", _skips) for broken in _NONFINITE),
    Link("GS105", "GS106", _always),
    Link("GS107", "GS101", _by_saturation),
    Link("GS102", "GS101", _diverged),
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
