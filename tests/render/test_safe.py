from __future__ import annotations

import random

import pytest
from markdown_it import MarkdownIt

from gradscope.render.safe import block, cell, code, link_target, prose, visible

ALPHABET = [*"ab _*`|\\<>&[]()!#-+=1.~$:\n\t\r\x1b\x00\u202e\u2028\ud800é🙂", "```", "<b>"]


def html(markdown: str) -> str:
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    return str(parser.render(markdown))


def unescaped(text: str) -> str:
    for entity, char in {"&lt;": "<", "&gt;": ">", "&quot;": '"', "&amp;": "&"}.items():
        text = text.replace(entity, char)
    return text


def random_texts(count: int) -> list[str]:
    generator = random.Random(7)
    return ["".join(generator.choices(ALPHABET, k=generator.randint(1, 12))) for _ in range(count)]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("名前🙂é", "名前🙂é"),
        ("a\nb\tc\r", r"a\nb\tc\r"),
        ("\x1b[31m\x9b", r"\x1b[31m\x9b"),
        ("\u202e\u2066\ufeff\u200b", r"\u202e\u2066\ufeff\u200b"),
        ("\ud800\U000e0001", r"\ud800\U000e0001"),
        ("👩\u200d💻", "👩\u200d💻"),
        ("\ufffe\uffff", r"\ufffe\uffff"),
    ],
)
def test_visible(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_visible_is_bounded_before_and_after_spelling() -> None:
    assert len(visible("\x1b" * 10_000, 50)) == 50
    assert visible("a" * 100, 10) == "aaaaaa…aaa"
    assert len(visible("é" * 10_000, 50, unicode=False)) <= 50


def test_visible_in_ascii() -> None:
    assert visible("1 → 2 × µ – …é", unicode=False) == r"1 -> 2 x u - ...\xe9"


def test_code_shows_any_text_and_nothing_else() -> None:
    for text in random_texts(300):
        shown = visible(text)
        if shown.strip():
            assert unescaped(html(f"a {code(text)} b")) == f"<p>a <code>{shown}</code> b</p>\n"


def test_prose_shows_any_text_and_nothing_else() -> None:
    for text in random_texts(300):
        text = text.replace("`", "'")
        assert unescaped(html(prose(text))) == (
            f"<p>{visible(text.strip())}</p>\n" if text.strip() else ""
        )


def test_prose_makes_no_tag_but_code() -> None:
    for text in random_texts(300):
        assert set(_tags(html(prose(text)))) <= {"p", "code"}


def _tags(text: str) -> list[str]:
    return [piece.split(">")[0].strip("/") for piece in text.split("<")[1:]]


def test_a_cell_stays_one_cell() -> None:
    for text in random_texts(300):
        table = f"| h |\n| --- |\n| {cell(code(text))} |\n| {cell(prose(text))} |\n"
        rendered = html(table)
        assert rendered.count("<td>") == 2
        shown = visible(text)
        if shown.strip():
            assert f"<td><code>{shown}</code></td>" in unescaped(rendered)


def test_prose_keeps_code_in_backticks() -> None:
    assert html(prose("gradient of `net.fc1` is `<b>`")) == (
        "<p>gradient of <code>net.fc1</code> is <code>&lt;b&gt;</code></p>\n"
    )


@pytest.mark.parametrize("text", ["- a", "+ a", "# a", "1. a", "12) a", "===", "---", "* a"])
def test_prose_starts_no_list_and_no_heading(text: str) -> None:
    assert html(prose(text)) == f"<p>{text}</p>\n"


@pytest.mark.parametrize("text", ["0.1", "-0.5", "2.1e-03", "my_name", "×2"])
def test_prose_leaves_numbers_and_names_readable(text: str) -> None:
    assert prose(text) == text


def test_block_holds_any_text() -> None:
    for text in random_texts(200):
        rendered = html(block(f"{text}\n```\n<script>"))
        assert rendered.startswith("<pre><code>")
        assert rendered.count("<") == 4
        assert rendered.endswith("\n```\n&lt;script&gt;\n</code></pre>\n")


def test_link_target_is_one_word() -> None:
    assert link_target("a b/(c)<d>.svg") == "a%20b/%28c%29%3Cd%3E.svg"
    assert link_target("data:image/png;base64,iVBO+/=") == "data:image/png;base64,iVBO+/="
    assert link_target("\ud800").isascii()
