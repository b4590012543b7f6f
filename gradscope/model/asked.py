"""What the user asked for by comment or option: lines to leave alone, Functions to verify."""

from __future__ import annotations

from dataclasses import dataclass

from gradscope.model.graph import Source


@dataclass(frozen=True, slots=True)
class Suppression:
    """A comment ``# gradscope: ignore[GS401]`` in the user's program.

    Attributes:
        file: The file, as ``Source.file`` names it.
        line: Line of the comment.
        first: First line of the statement it stands in.
        last: Last line of that statement.
        codes: The codes in brackets, upper case; empty: every rule.
        text: The comment as it is written.
    """

    file: str
    line: int
    first: int
    last: int
    codes: tuple[str, ...] = ()
    text: str = ""


@dataclass(frozen=True, slots=True)
class Slope:
    """One directional derivative of a random combination of a Function's outputs, in float64.

    Attributes:
        point: Which point near the captured inputs it belongs to, 0-based.
        backward: By the Function's own backward.
        difference: By central differences with a small step.
        wider: By central differences with a step a hundred times as long.
    """

    point: int
    backward: float
    difference: float
    wider: float


@dataclass(frozen=True, slots=True)
class InputCheck:
    """Backward against finite difference for one input of a Function.

    Attributes:
        index: Position among the arguments of ``apply``.
        name: The argument's name in ``forward``; empty when unknown.
        slopes: Along random directions of this input.
        given: Whether backward returned a gradient for it, not None.
    """

    index: int
    name: str = ""
    slopes: tuple[Slope, ...] = ()
    given: bool = True


@dataclass(frozen=True, slots=True)
class FunctionCheck:
    """A custom ``autograd.Function`` of the run, tried on copies of the inputs of one call.

    Attributes:
        name: Class name.
        source: The user's line where its backward begins.
        inputs: What was compared, input by input.
        identity: Whether forward gave back an input unchanged.
        skipped: Why it could not be compared; empty when it was.
    """

    name: str
    source: Source | None = None
    inputs: tuple[InputCheck, ...] = ()
    identity: bool = False
    skipped: str = ""
