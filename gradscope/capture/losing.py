"""Which numbers that a script took out of torch go into a loss after all, by the source."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from gradscope.capture.leaves import Leaf
from gradscope.capture.slicing import Place, behind
from gradscope.model.events import Cut

_NUMBERS = frozenset({"item", "float", "tolist", "tensor", "as_tensor", "new_tensor"})


def into_losses(
    cuts: Sequence[Cut],
    starts: Iterable[Sequence[Place]],
    files: Iterable[str],
    leaves: Sequence[Leaf],
) -> list[Cut]:
    """The cuts, with ``into_loss`` where a loss is computed from the number.

    Reading the source takes time, so it is only done where a parameter never gets a gradient. What
    shares its line with the call of backward may just be logged there.

    Args:
        cuts: All of the run.
        starts: The user's running lines at each call of backward, innermost first.
        files: In which called functions are looked for.
        leaves: All of the run, by index.
    """
    asked = [cut for cut in cuts if cut.op in _NUMBERS and _is_behind_idle(cut, leaves)]
    if not asked:
        return [*cuts]
    lines: set[Place] = set()
    for places in starts:
        lines.update(behind(places, files).lines.keys() - set(places))
    return [replace(cut, into_loss=cut in asked and _line(cut) in lines) for cut in cuts]


def _is_behind_idle(cut: Cut, leaves: Sequence[Leaf]) -> bool:
    return any(
        leaves[i].optimizers and 1 not in leaves[i].gradients.arrived for i in cut.parameters
    )


def _line(cut: Cut) -> Place | None:
    return (cut.source.file, cut.source.line) if cut.source is not None else None
