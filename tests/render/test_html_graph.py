from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace

import pytest

from gradscope.errors import ImageError
from gradscope.model.finding import Report
from gradscope.model.trace import Trace
from gradscope.render.engine import TooLongError
from gradscope.render.html_data import ranges
from gradscope.render.html_edge import html_page
from gradscope.render.html_graph import (
    Picture,
    box_line,
    draw_pictures,
    level_canvas,
    level_views,
    levels,
)
from gradscope.render.options import RenderOptions
from gradscope.render.summary import chosen_graph
from tests.builders import GraphBuilder, gpt2_like_graph, unrolled_rnn_graph
from tests.graph_builder import stats
from tests.render import reports


def report_of_gpt2() -> Report:
    graph = gpt2_like_graph()
    return Report(
        Trace(
            steps=(reports.training_step(0, 1.0, graph),),
            parameters=reports.leaves_of(graph),
        )
    )


BLANK = b'<svg viewBox="0 0 10 10" xmlns="http://www.w3.org/2000/svg"></svg>'


def blank(dots: Sequence[str], limits: Sequence[float]) -> list[bytes | ImageError]:
    return [BLANK for _ in dots]


def test_levels_go_from_coarse_to_fine() -> None:
    pictures, problems = draw_pictures(report_of_gpt2(), draw=blank)
    assert problems == []
    assert [picture.name for picture in pictures] == ["modules", "blocks", "ops"]
    sizes = [len(picture.folded.nodes) for picture in pictures]
    assert sizes == sorted(sizes)
    assert sizes[0] < 30
    assert sizes[-1] <= 400


def test_a_small_graph_has_one_level() -> None:
    pictures, _ = draw_pictures(reports.scalar_report(), draw=blank)
    assert [picture.name for picture in pictures] == ["ops"]


def test_levels_with_the_same_boxes_are_drawn_once() -> None:
    pictures, _ = draw_pictures(reports.crash_report(), draw=blank)
    assert [len(picture.folded.nodes) for picture in pictures] == [5]


def test_a_graph_that_only_shows_folded_is_not_called_ops() -> None:
    graph = unrolled_rnn_graph(300)
    report = Report(Trace(steps=(reports.training_step(0, 1.0, graph),)))
    pictures, _ = draw_pictures(report, draw=blank)
    assert "ops" not in [picture.name for picture in pictures]


def test_no_level_is_a_tangle() -> None:
    graph = unrolled_rnn_graph(60)
    report = Report(Trace(steps=(reports.training_step(0, 1.0, graph),)))
    pictures, _ = draw_pictures(report, draw=blank)
    assert all(len(p.folded.edges) <= 3 * len(p.folded.nodes) for p in pictures[1:])


def test_levels_name_three_sizes() -> None:
    names = [name for name, _, _ in levels(gpt2_like_graph())]
    most = [nodes for _, nodes, _ in levels(gpt2_like_graph())]
    assert names == ["modules", "blocks", "ops"]
    assert most == sorted(most)


def test_a_level_that_fails_costs_only_itself() -> None:
    def draw(dots: Sequence[str], limits: Sequence[float]) -> list[bytes | ImageError]:
        return [ImageError("too large.") if dot.count(" -> ") > 200 else BLANK for dot in dots]

    pictures, problems = draw_pictures(report_of_gpt2(), draw=draw)
    assert [picture.name for picture in pictures] == ["modules", "blocks"]
    assert problems == ["The graph's level ops is missing: too large."]


def test_a_level_that_takes_too_long_says_how_to_get_it() -> None:
    def draw(dots: Sequence[str], limits: Sequence[float]) -> list[bytes | ImageError]:
        assert limits[0] > limits[1] == limits[2]
        return [BLANK, BLANK, TooLongError("dot", limits[2])]

    _, problems = draw_pictures(report_of_gpt2(), draw=draw)
    assert problems == [
        "The graph's level ops is missing: Graphviz needed more than 3 s;"
        " `gradscope render -o graph.svg --max-nodes 400 --depth 99` draws it, with more patience."
    ]


def test_a_tangle_is_left_out_and_the_page_says_so() -> None:
    b = GraphBuilder()
    layer = [b.leaf(f"x{i}", ()) for i in range(9)]
    for _ in range(9):
        layer = [b.op("Add", *layer, shape=()) for _ in range(9)]
    b.op("Stack", *layer, shape=(9,))
    report = Report(Trace(steps=(reports.training_step(0, 1.0, b.graph()),)))
    pictures, problems = draw_pictures(report, draw=blank)
    assert all(len(p.folded.edges) < 200 for p in pictures)
    assert problems == [
        "A finer level of the graph, with 83 boxes, is left out: it has too many arrows for anyone"
        " to follow; `gradscope render -o graph.svg --max-nodes 400 --depth 99` draws it all the"
        " same."
    ]
    assert "A finer level of the graph" in html_page(report, RenderOptions())


def test_levels_of_a_recurrent_network_are_told_and_quick() -> None:
    graph = unrolled_rnn_graph(25, module=False)
    report = Report(Trace(steps=(reports.training_step(0, 1.0, graph),)))
    said: list[str] = []
    started = time.perf_counter()
    pictures, problems = draw_pictures(report, say=said.append)
    assert time.perf_counter() - started < 3
    assert problems == []
    assert pictures[-1].name == "ops"
    assert len(pictures[-1].folded.nodes) == len(graph.structure.nodes)
    assert said == [f"the graph, levels {', '.join(picture.name for picture in pictures)}"]


def test_no_graph_no_picture() -> None:
    assert draw_pictures(reports.empty_report()) == ([], [])


def test_the_finest_readable_level_is_shown_first() -> None:
    report = report_of_gpt2()
    chosen = chosen_graph(report)
    assert chosen is not None
    pictures, _ = draw_pictures(report, draw=blank)
    views = level_views(report, chosen, pictures)
    assert [view.shown for view in views].count(True) == 1
    shown = next(view for view in views if view.shown)
    finer = pictures[views.index(shown) + 1 :]
    assert all(len(picture.folded.nodes) > 90 for picture in finer)


def test_a_level_too_wide_to_be_read_at_once_is_not_shown_first() -> None:
    report = report_of_gpt2()
    chosen = chosen_graph(report)
    assert chosen is not None
    pictures, _ = draw_pictures(report, draw=blank)
    readable = next(v.name for v in level_views(report, chosen, pictures) if v.shown)
    wide = BLANK.replace(b"10 10", b"2111 1573").decode()
    drawn = [replace(p, svg=wide) if p.name == readable else p for p in pictures]
    shown = next(view.name for view in level_views(report, chosen, drawn) if view.shown)
    names = [picture.name for picture in pictures]
    assert names.index(shown) == names.index(readable) - 1


def test_what_ends_in_a_nan_does_not_stretch_the_colours() -> None:
    """Beside an Inf from elsewhere a large finite term is nowhere to be seen in the picture."""
    b = GraphBuilder()
    p = b.op("Sin", b.leaf("w", (4,), gradient=math.nan), shape=(4,), gradient=math.nan)
    logs = [b.op("Log", p, shape=(4,), gradient=0.01) for _ in range(2)]
    b.op("Add", *logs, shape=(4,), gradient=0.01)
    graph = b.graph()
    into = [i for i, edge in enumerate(graph.structure.edges) if edge.target == b.ids[p]]
    graph = replace(graph, contributions={into[0]: stats(1e23, (4,)), into[1]: stats(math.nan)})
    report = Report(Trace(steps=(reports.training_step(0, 1.0, graph),)))
    chosen = chosen_graph(report)
    assert chosen is not None
    pictures, _ = draw_pictures(report, draw=blank)
    assert level_canvas(report, chosen, pictures[-1].folded).scale.high <= 0


def test_without_a_backward_nothing_is_said_of_gradients_that_flowed() -> None:
    page = html_page(reports.empty_report(forward=True), RenderOptions())
    assert "A gradient would flow down from the loss." in page
    assert "thicker arrows carry more" not in page


def test_every_box_is_told_in_words() -> None:
    report = reports.scalar_report()
    chosen = chosen_graph(report)
    assert chosen is not None
    pictures, _ = draw_pictures(report, draw=blank)
    canvas = level_canvas(report, chosen, pictures[0].folded)
    told = [box_line(canvas, box) for box in pictures[0].folded.nodes]
    assert "x: gradient 2" in told
    assert "W: gradient 1" in told


def test_swatches_follow_the_colours_of_the_picture() -> None:
    report = reports.accumulated_report()
    chosen = chosen_graph(report)
    assert chosen is not None
    pictures, _ = draw_pictures(report)
    for view in level_views(report, chosen, pictures):
        drawn = next(p.svg for p in pictures if p.name == view.name)
        assert view.swatches[0][2] == "1"
        assert view.swatches[0][0] in drawn
        assert f'id="{view.name}-n0"' in view.svg


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [([], []), ([4], [4, 4]), ([3, 1, 2, 7], [1, 3, 7, 7]), ([5, 5, 6], [5, 6])],
)
def test_ranges(numbers: list[int], expected: list[int]) -> None:
    assert ranges(numbers) == expected


def test_a_picture_holds_every_node_of_its_graph() -> None:
    report = report_of_gpt2()
    graph = report.trace.graphs[0][1]
    pictures, _ = draw_pictures(report, draw=blank)

    def members(picture: Picture) -> set[int]:
        return {member for box in picture.folded.nodes for member in box.members}

    assert all(members(p) == set(range(len(graph.structure.nodes))) for p in pictures)


def test_gpt2_with_200_steps_is_quick_and_small() -> None:
    graph = gpt2_like_graph()
    report = Report(
        Trace(
            steps=tuple(
                reports.training_step(i, 1.0, graph if i == 0 else None) for i in range(200)
            ),
            parameters=reports.leaves_of(graph, steps=200),
        )
    )
    start = time.perf_counter()
    html = html_page(report, RenderOptions())
    assert time.perf_counter() - start < 6
    assert len(html.encode()) < 5_000_000
    assert html.count('<figure class="graph"') == 3


def test_a_low_level_is_shown_before_a_tall_one() -> None:
    report = reports.many_parameters_report()
    chosen = chosen_graph(report)
    assert chosen is not None
    coarse = draw_pictures(report)[0][0]
    box = coarse.svg.split('viewBox="', 1)[1].split('"', 1)[0]
    higher = coarse.svg.replace(box, "0.00 0.00 900.00 9000.00")
    for svg, shown in ((coarse.svg, [False, True]), (higher, [True, False])):
        fine = replace(coarse, name="fine", svg=svg)
        views = level_views(report, chosen, [coarse, fine])
        assert [view.shown for view in views] == shown
