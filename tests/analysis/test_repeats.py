from __future__ import annotations

import pytest

from gradscope.analysis.blocks import Block
from gradscope.analysis.repeats import find_repeats
from gradscope.model.graph import Node, Source, Structure


def repeats(word: str) -> str:
    """Loops found in a row of ops, one letter each, as ``a(bc)3d``."""
    nodes = tuple(
        Node(i, "op", letter, source=Source("train.py", ord(letter)), order=i)
        for i, letter in enumerate(word)
    )
    root = Block("root", list(range(len(word))))
    find_repeats(root, Structure(nodes, (), ()))
    return _written(root, word)


def _written(block: Block, word: str) -> str:
    children = block.children[: block.period] if block.period else block.children
    inside = "".join(
        _written(child, word) if isinstance(child, Block) else word[child] for child in children
    )
    if not block.period:
        return inside
    return f"({inside}){block.count}" if len(inside) > 1 else f"{inside}{block.count}"


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("", ""),
        ("abc", "abc"),
        ("aa", "aa"),
        ("aaa", "a3"),
        ("xaaaay", "xa4y"),
        ("abababc", "(ab)3c"),
        ("abab", "abab"),
        ("xyabcabcabcz", "xy(abc)3z"),
        # What is left over goes to the end where the body begins at its first line.
        ("bcabcabcabc", "bc(abc)3"),
        ("abcabcabcab", "(abc)3ab"),
        ("abbbcabbbcabbbc", "(ab3c)3"),
        ("aaabbbaaabbbaaabbb", "(a3b3)3"),
        ("abababxyabababxyabababxy", "((ab)3xy)3"),
        ("aaaxbbb", "a3xb3"),
    ],
)
def test_repeats_in_a_row(word: str, expected: str) -> None:
    assert repeats(word) == expected


def test_the_same_op_on_different_lines_is_a_chain_too() -> None:
    nodes = tuple(Node(i, "op", "Mul", source=Source("train.py", i)) for i in range(100))
    root = Block("root", list(range(100)))

    find_repeats(root, Structure(nodes, (), ()))

    assert [child.count for child in root.children if isinstance(child, Block)] == [100]


def test_modules_are_alike_when_their_insides_are() -> None:
    ops = ["Addmm", "Relu"] * 3 + ["Addmm", "Tanh"]
    nodes = tuple(Node(i, "op", op) for i, op in enumerate(ops))
    blocks = [
        Block("module", [i, i + 1], name=f"net.{i // 2}", type="Layer") for i in range(0, 8, 2)
    ]
    root = Block("root", [*blocks])

    find_repeats(root, Structure(nodes, (), ()))

    loop, other = root.children
    assert isinstance(loop, Block)
    assert (loop.kind, loop.count, other) == ("loop", 3, blocks[3])
