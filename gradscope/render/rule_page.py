"""A rule's docstring as a page: for the terminal, for a pipe, as Markdown."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from rich.console import RenderableType
from rich.padding import Padding
from rich.syntax import Syntax
from rich.text import Text

from gradscope.model.rule import RuleText
from gradscope.render.rule_doc import CODE_SPAN, Part, parts_of
from gradscope.render.terminal import lines_of

_WIDEST = 100


def markdown_page(rule: RuleText) -> str:
    """The rule's page of the documentation."""
    lines = [f"# {rule.code} {rule.name}"]
    for part in parts_of(rule.doc):
        text = CODE_SPAN.sub(r"`\1`", part.text)
        heading = [f"## {part.title}"] if part.title else []
        lines += [*heading, f"```python\n{text}\n```" if part.is_code else _wrapped(text)]
    lines.append(
        f"Silence it for one line with `# gradscope: ignore[{rule.code}]`, for a run with "
        f"`--ignore {rule.code}`."
    )
    return "\n\n".join(lines) + "\n"


def markdown_index(rules: Sequence[RuleText]) -> str:
    """The list of all rules, with links to their pages."""
    rows = [f"| [{r.code}]({r.code}.md) | {r.name} | {r.summary} |" for r in rules]
    head = "# Rules\n\nWritten by `docs/make_rules.py` from the rules' docstrings.\n"
    return "\n".join([head, "| code | name | says |", "| --- | --- | --- |", *rows]) + "\n"


def text_page(rule: RuleText, *, color: bool, width: int) -> str:
    """The rule for a terminal or a pipe."""
    width = min(width, _WIDEST)
    parts: list[RenderableType] = [Text(f"{rule.code} {rule.name}", style="bold")]
    for part in parts_of(rule.doc):
        parts.append("")
        if part.title:
            parts.append(Text(part.title, style="bold cyan"))
        parts.append(Padding(_body(part, color), (0, 0, 0, 2 if part.title else 0)))
    return lines_of(parts, color=color, width=width)


def rules_table(rules: Sequence[RuleText], *, color: bool) -> str:
    """Code, name and summary of every rule, one a line."""
    widest = max((len(rule.name) for rule in rules), default=0)
    lines = [
        Text.assemble((rule.code, "bold"), f"  {rule.name:{widest}}  {rule.summary}")
        for rule in rules
    ]
    return lines_of(lines, color=color)


def _body(part: Part, color: bool) -> RenderableType:
    if not part.is_code:
        return Text(CODE_SPAN.sub(r"`\1`", part.text))
    if not color:
        return Text(part.text)
    return Syntax(part.text, "python", theme="ansi_dark", background_color="default")


def _wrapped(text: str) -> str:
    return textwrap.fill(text, _WIDEST, break_long_words=False, break_on_hyphens=False)
