"""Defaults from ``[tool.gradscope]`` in pyproject.toml, and the values both it and options take."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path

from gradscope.capture.options import LEVELS
from gradscope.errors import UsageError
from gradscope.model.finding import Severity

COLORS = ("auto", "always", "never")
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")


def find_defaults(folder: Path) -> dict[str, object]:
    """The defaults that hold in a folder, by option, from the nearest file that has our table.

    Raises:
        UsageError: The file cannot be read as TOML, or a key or value is wrong.
    """
    for place in (folder, *folder.parents):
        path = place / "pyproject.toml"
        if path.is_file():
            table = _table(path)
            if table is not None:
                return _checked(path, table)
    return {}


def parse_steps(text: str) -> tuple[int, ...]:
    """``0,10,-1`` as numbers.

    Raises:
        UsageError: A part is not a whole number.
    """
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise UsageError(f"{text!r} is not a list of step numbers such as 0,10,-1.") from None


def parse_budget(text: str) -> float:
    """``10%`` or ``0.1`` as a share.

    Raises:
        UsageError: It is neither, or not above 0 and at most 100 %.
    """
    number = text.strip().removesuffix("%")
    try:
        share = float(number) / (100 if number != text.strip() else 1)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise UsageError(f"{text!r} is not a share of the run such as 10%.")
    return share


def parse_codes(text: str) -> tuple[str, ...]:
    """``GS101,gs4`` as upper-case codes."""
    return tuple(part.strip().upper() for part in text.split(",") if part.strip())


def _table(path: Path) -> Mapping[str, object] | None:
    try:
        tool = tomllib.loads(path.read_text("utf-8")).get("tool", {})
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}.") from error
    table = tool.get("gradscope") if isinstance(tool, dict) else None
    if table is not None and not isinstance(table, dict):
        raise UsageError(f"{path}: tool.gradscope must be a table.")
    return table


def _checked(path: Path, table: Mapping[str, object]) -> dict[str, object]:
    return {key.replace("-", "_"): _value(path, key, value) for key, value in table.items()}


def _value(path: Path, key: str, value: object) -> object:
    check = _KEYS.get(key)
    if check is None:
        near = difflib.get_close_matches(key, _KEYS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(_KEYS))}."
        raise UsageError(f"{path}: [tool.gradscope] has no key {key!r}; {hint}")
    try:
        return check(value)
    except UsageError as error:
        raise UsageError(f"{path}: [tool.gradscope] {key} = {value!r}: {error}") from error


def _whole(least: int) -> Callable[[object], object]:
    def check(value: object) -> object:
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise UsageError(f"must be a whole number of {least} or more.")
        return value

    return check


def _one_of(*choices: str) -> Callable[[object], object]:
    def check(value: object) -> object:
        if value not in choices:
            raise UsageError(f"must be one of {', '.join(choices)}.")
        return value

    return check


def _listed(parse: Callable[[str], object]) -> Callable[[object], object]:
    """A check that takes ``[0, -1]`` as well as ``"0,-1"``."""

    def check(value: object) -> object:
        text = ",".join(map(str, value)) if isinstance(value, list) else value
        if not isinstance(text, str):
            raise UsageError("must be a list or a text with commas.")
        return parse(text)

    return check


def _budget(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise UsageError('must be a share such as "10%".')
    return parse_budget(str(value))


def _switch(value: object) -> object:
    if not isinstance(value, bool):
        raise UsageError("must be true or false.")
    return value


_KEYS: dict[str, Callable[[object], object]] = {
    "level": _one_of(*LEVELS),
    "every": _whole(1),
    "steps": _listed(parse_steps),
    "budget": _budget,
    "depth": _whole(0),
    "max-nodes": _whole(1),
    "select": _listed(parse_codes),
    "ignore": _listed(parse_codes),
    "color": _one_of(*COLORS),
    "quiet": _switch,
    "fail-on": _one_of(*SEVERITIES),
    "verify-functions": _switch,
}
