"""Where parameters and inputs go in a folded graph: inside a box, beside it, or bundled."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gradscope.analysis.blocks import Block, Item, ops_of, walk
from gradscope.model.graph import Structure

FEW = 8
"""So many inputs are always shown, and so many leaves of one op without bundling them."""


@dataclass(frozen=True)
class Leaves:
    """The leaves of a graph and who uses them.

    Attributes:
        uses: Leaf to the ops it enters, plumbing skipped.
        kept: Leaves that must not disappear inside a box.
        inputs: A few inputs that should not.
    """

    uses: Mapping[int, tuple[int, ...]]
    kept: frozenset[int]
    inputs: frozenset[int] = frozenset()


def find_leaves(structure: Structure, stands_for: Mapping[int, int], kept: Iterable[int]) -> Leaves:
    """Every leaf with the ops that use it."""
    found = [node for node in structure.nodes if node.kind in ("parameter", "input")]
    uses: dict[int, dict[int, None]] = {node.id: {} for node in found}
    for edge in structure.edges:
        leaf = stands_for.get(edge.target, edge.target)
        user = stands_for.get(edge.source, edge.source)
        if leaf in uses and user != leaf:
            uses[leaf][user] = None
    inputs = [node.id for node in found if node.kind == "input"]
    return Leaves(
        {leaf: tuple(users) for leaf, users in uses.items()},
        frozenset(leaf for leaf in (*kept, *structure.roots) if leaf in uses),
        frozenset(inputs if len(inputs) <= FEW else ()),
    )


def parents(root: Block) -> dict[Item, Block]:
    """Op or block to the block right around it."""
    return {child: block for block in walk(root) for child in block.children}


def leaves_at(leaves: Leaves, root: Block) -> Counter[Item]:
    """How many leaves show as soon as that op is shown or that block is open."""
    parent = parents(root)
    found: Counter[Item] = Counter()
    alone = leaves.kept | leaves.inputs
    for leaf, users in leaves.uses.items():
        found[root if leaf in alone else _home(users, parent, root)] += 1
    # A crowd of leaves will be bundled.
    return Counter({item: n if n <= FEW else 1 for item, n in found.items()})


def _home(users: Sequence[int], parent: Mapping[Item, Block], root: Block) -> Item:
    """The op, or the innermost block, that has all users inside."""
    if len(users) == 1:
        return users[0]
    common: list[Block] | None = None
    for block in {parent[user] for user in users}:
        chain = [block]
        while chain[-1] in parent:
            chain.append(parent[chain[-1]])
        chain.reverse()
        if common is None:
            common = chain
        else:
            same = [a for a, b in zip(common, chain, strict=False) if a is b]
            common = same
    return common[-1] if common else root


@dataclass(frozen=True)
class Placement:
    """Which boxes there are.

    Attributes:
        items: Ops and blocks that are shown, in forward order.
        inside: Per item, the leaves inside it.
        bundles: Leaves shown on their own, or several as one.
    """

    items: list[Item]
    inside: list[list[int]]
    bundles: list[list[int]]

    @property
    def count(self) -> int:
        """Number of boxes."""
        return len(self.items) + len(self.bundles)


def place(items: list[Item], leaves: Leaves, crowd: int) -> Placement:
    """Puts every leaf into the one box that uses it, or shows it.

    Args:
        items: What is shown.
        leaves: The leaves.
        crowd: Leaves of the same users are bundled when there are more than that; below ``FEW``
            inputs are bundled as well, and 0 bundles all.
    """
    alone = leaves.kept | leaves.inputs if crowd >= FEW else leaves.kept
    index = {op: i for i, item in enumerate(items) for op in ops_of(item)}
    inside: list[list[int]] = [[] for _ in items]
    shown: defaultdict[object, list[int]] = defaultdict(list)
    for leaf, users in leaves.uses.items():
        homes = frozenset(index[user] for user in users)
        only = next(iter(homes)) if len(homes) == 1 else None
        if leaf in alone:
            shown[leaf].append(leaf)
        elif only is not None and isinstance(items[only], Block):
            inside[only].append(leaf)
        else:
            shown[homes if crowd else None].append(leaf)
    bundles: list[list[int]] = []
    for found in shown.values():
        bundles.extend([found] if len(found) > max(crowd, 1) else [[leaf] for leaf in found])
    return Placement(items, inside, bundles)
