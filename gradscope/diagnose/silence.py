"""Findings that a comment in the user's program silences: ``# gradscope: ignore[GS401]``.

They are taken out before causes and consequences are put together, as if the rule had not run: what
a silenced finding would have explained is then told on its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from gradscope.diagnose.words import count
from gradscope.model.asked import Suppression
from gradscope.model.finding import Finding
from gradscope.model.graph import Source


@dataclass(frozen=True, slots=True)
class Sorted:
    """Findings in two heaps.

    Attributes:
        kept: Those to tell.
        ignored: Those that a comment silences.
        notes: What is odd about the comments themselves.
    """

    kept: tuple[Finding, ...]
    ignored: tuple[Finding, ...]
    notes: tuple[str, ...]


def silence(
    findings: Sequence[Finding],
    comments: Sequence[Suppression],
    *,
    known: Iterable[str],
    judged: Iterable[str],
    everything: bool,
) -> Sorted:
    """Takes out what the comments silence.

    Args:
        findings: In any order, without consequences yet.
        comments: The comments of the run.
        known: Codes of all rules there are.
        judged: Codes of the rules that gave a verdict; a comment for another one may be of use.
        everything: Whether no rule was left out, so that a comment for all of them can be judged.
    """
    kept: list[Finding] = []
    ignored: list[Finding] = []
    used: set[tuple[Suppression, str]] = set()
    for finding in findings:
        matching = [comment for comment in comments if _silences(comment, finding)]
        used.update((comment, finding.code) for comment in matching)
        (ignored if matching else kept).append(finding)
    notes = [
        *_unknown(comments, frozenset(known)),
        *_unused(comments, used, frozenset(judged), everything),
    ]
    return Sorted(tuple(kept), tuple(ignored), tuple(notes))


def _silences(comment: Suppression, finding: Finding) -> bool:
    source = finding.where.source
    if source is None or source.file != comment.file:
        return False
    within = comment.first <= source.line <= comment.last
    return within and (not comment.codes or finding.code in comment.codes)


def _unknown(comments: Iterable[Suppression], known: frozenset[str]) -> Iterator[str]:
    for comment in comments:
        unknown = [code for code in comment.codes if code not in known]
        if unknown:
            what = "is no rule's code" if len(unknown) == 1 else "are no rules' codes"
            yield f"{_where(comment)}: {', '.join(unknown)} in `{comment.text}` {what}."


def _unused(
    comments: Iterable[Suppression],
    used: set[tuple[Suppression, str]],
    judged: frozenset[str],
    everything: bool,
) -> Iterator[str]:
    for comment in comments:
        useful = {code for each, code in used if each == comment}
        idle = [code for code in comment.codes if code in judged and code not in useful]
        if idle and len(idle) < len(comment.codes):
            what = " or ".join(idle)
            yield f"{_where(comment)}: `{comment.text}` silences no {what} in this run."
        elif idle or (everything and not comment.codes and not useful):
            yield f"{_where(comment)}: `{comment.text}` silences nothing in this run."


def _where(comment: Suppression) -> str:
    return Source(comment.file, comment.line).location


def ignored_note(ignored: Sequence[Finding]) -> str:
    """How many findings comments silenced; empty for none."""
    if not ignored:
        return ""
    codes = sorted({finding.code for finding in ignored})
    verb = "is" if len(ignored) == 1 else "are"
    return f"{count(len(ignored), 'finding')} {verb} ignored by comments: {', '.join(codes)}."
