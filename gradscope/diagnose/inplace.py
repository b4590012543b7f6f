"""Operations in place: autograd's errors about them, and the same without overwriting."""

from __future__ import annotations

import re

from gradscope.diagnose.words import code
from gradscope.model.graph import Source

LEAF = "a leaf Variable that requires grad is being used in an in-place operation"
VIEW_OF_LEAF = "a view of a leaf Variable that requires grad is being used in an in-place operation"
MULTIPLE_VIEWS = "is the output of a function that returns multiple views"

_AUGMENTED = re.compile(r"^(.+?)\s*(\*\*|//|>>|<<|[-+*/%@&|^])=\s*(.+)$")
_ITEM = re.compile(r"^([\w.]+)\s*\[.*\]\s*\S*=(?!=)")
_METHOD = re.compile(r"\b([a-z]\w*)_\(")


def instead(op: str, source: Source, variable: str) -> str:
    """The line with a new tensor in the place of the old one.

    Args:
        op: What changed the tensor: ``add_``, ``setitem``, ``relu``.
        source: The line that did.
        variable: The user's name of the tensor.
    """
    line = code(source)
    tensor = variable or "h"
    if op == "setitem" or _ITEM.match(line):
        return (
            f"{tensor} = {tensor}.clone()  # before this line, which then changes the copy; or "
            "collect the parts in a list for torch.stack"
        )
    augmented = _AUGMENTED.match(line)
    if augmented is not None:
        left, operator, right = augmented.groups()
        right = right if re.fullmatch(r"[\w.]+(\(.*\))?", right) else f"({right})"
        return f"{left} = {left} {operator} {right}"
    if "inplace=True" in line:
        return line.replace("inplace=True", "inplace=False")
    if _METHOD.search(line):
        return _without_underscore(line, tensor)
    if op and not op.endswith("_"):
        return f"inplace=False  # where the module or function of {line} is made"
    return f"{tensor} = {tensor}.clone()  # before it is changed"


def _without_underscore(line: str, tensor: str) -> str:
    plain = _METHOD.sub(r"\1(", line, count=1)
    assigned = re.match(r"^[\w.,\s]+=(?!=)", plain)
    return plain if assigned else f"{tensor} = {plain}"
