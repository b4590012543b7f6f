"""Styled lines as text: what rich would otherwise ask the terminal is said here."""

from __future__ import annotations

import io
from collections.abc import Iterable

from rich.console import Console, RenderableType

from gradscope.render.options import RenderOptions

_NARROWEST, _WIDEST = 60, 120
_ENDLESS = 100_000  # columns: lines are never wrapped


def columns(options: RenderOptions) -> int:
    """Columns that are used, whatever the terminal's width."""
    return min(max(options.width, _NARROWEST), _WIDEST)


def printed(parts: Iterable[RenderableType], options: RenderOptions) -> str:
    """The parts with an empty line between; no escape sequence without ``options.color``."""
    spaced: list[RenderableType] = []
    for part in parts:
        spaced += ["", part] if spaced else [part]
    text = lines_of(spaced, color=options.color, width=columns(options))
    return text.rstrip("\n") + "\n"


def lines_of(
    lines: Iterable[RenderableType], *, color: bool, width: int = _ENDLESS, strip: bool = True
) -> str:
    """The lines one below the other; without ``color`` no escape sequence is in them."""
    out = io.StringIO()
    console = Console(
        file=out,
        width=width,
        height=100,
        color_system="standard" if color else None,
        force_terminal=color,
        force_jupyter=False,
        no_color=not color,
        legacy_windows=False,
        markup=False,
        emoji=False,
        highlight=False,
        soft_wrap=width == _ENDLESS,
    )
    for line in lines:
        console.print(line)
    text = out.getvalue()
    return "\n".join(row.rstrip() for row in text.split("\n")) if strip else text
