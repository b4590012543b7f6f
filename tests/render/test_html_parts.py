"""The small parts of the HTML report: listings, pixels, axes, numbers behind the plots, SVG."""

from __future__ import annotations

import base64
import math
import struct
import zlib
from pathlib import Path

import pytest

from gradscope.analysis.fold import fold
from gradscope.model.graph import Source
from gradscope.render.html_findings import lines_around, told
from gradscope.render.html_graph import level_canvas
from gradscope.render.inline_svg import inline_svg
from gradscope.render.listing import Listing, read_listings
from gradscope.render.plot_data import depth_profile, heat_map, loss_series, norm_series
from gradscope.render.png import png_data_uri
from gradscope.render.rows import parameter_rows
from gradscope.render.summary import chosen_graph
from tests.render import reports

CODE = "import torch\n\ndef f(x):\n\treturn x.exp()\n\nf(1)\nf(2)\nf(3)\n"


def test_lines_around_a_line_are_read(tmp_path: Path) -> None:
    file = tmp_path / "train.py"
    file.write_text(CODE)
    source = Source(str(file), 4, "return x.exp()")
    listing = read_listings([source])[str(file), 4]
    assert listing.first == 1
    assert listing.lines == tuple(CODE.splitlines()[:7])
    shown = lines_around(source, {(str(file), 4): listing})
    assert [line.number for line in shown if line.blamed] == [4]
    assert shown[3].text == "    return x.exp()"


@pytest.mark.parametrize("text", ["return x.log()", ""])
def test_a_file_that_reads_differently_is_not_shown(tmp_path: Path, text: str) -> None:
    file = tmp_path / "train.py"
    file.write_text(CODE)
    assert read_listings([Source(str(file), 4, text)]) == {}


@pytest.mark.parametrize("file", ["<stdin>", "/dev/zero", "/nonexistent.py", "", "\0"])
def test_what_is_no_file_is_not_read(file: str) -> None:
    assert read_listings([Source(file, 1, "x")]) == {}


def test_without_the_file_the_recorded_line_is_shown_alone() -> None:
    source = Source("gone.py", 12, "y = f(x)")
    assert [(line.number, line.text) for line in lines_around(source, {})] == [(12, "y = f(x)")]
    assert lines_around(None, {}) == []


def test_blank_lines_do_not_count_as_indentation() -> None:
    source = Source("a.py", 3, "c")
    listing = {("a.py", 3): Listing(1, ("    a", "", "    c"))}
    assert [line.text for line in lines_around(source, listing)] == ["a", "", "c"]


def test_told_sets_pairs_of_backticks_as_code() -> None:
    assert told("a `<b>` c") == "a <code>&lt;b&gt;</code> c"
    assert told("a ` <b> c") == "a ` &lt;b&gt; c"
    assert told("``x") == "``x"


def test_png_holds_the_pixels() -> None:
    uri = png_data_uri([[0, 1, 2], [2, 1, 0]], ["#010203", "#ffffff", None])
    data = base64.b64decode(uri.removeprefix("data:image/png;base64,"))
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", data[16:24]) == (3, 2)
    start = data.index(b"IDAT")
    length = struct.unpack(">I", data[start - 4 : start])[0]
    assert zlib.decompress(data[start + 4 : start + 4 + length]) == b"\0\0\1\2\0\2\1\0"
    assert b"PLTE\x01\x02\x03\xff\xff\xff\x00\x00\x00" in data
    assert b"tRNS\xff\xff\x00" in data


def test_png_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a pixel"):
        png_data_uri([[]], ["#000000"])


def test_depth_profile_follows_the_graph() -> None:
    report = reports.accumulated_report()
    chosen = chosen_graph(report)
    assert chosen is not None
    canvas = level_canvas(report, chosen, fold(chosen.graph))
    profile = depth_profile(canvas)
    assert profile.path[0].name.startswith("loss = mse")
    assert [p.rms for p in profile.path] == pytest.approx([1.0, 1.0, 0.5])
    assert {p.node for p in profile.points} >= {p.node for p in profile.path}
    assert all(canvas.graph.gradient_rms(p.node) == p.rms for p in profile.points)


def test_norms_before_and_at_the_update() -> None:
    report = reports.regression_report(20)
    arrived, used = norm_series(report.trace)
    assert arrived.name == "gradient norm in backward"
    first = math.hypot(*(p.gradients.norm[0] for p in report.trace.parameters if p.kind != "input"))
    assert arrived.y[0] == pytest.approx(first)
    assert used.y == pytest.approx(arrived.y)
    (loss,) = loss_series(report.trace)
    assert loss.y == tuple(step.loss for step in report.trace.steps)


def test_heat_map_holds_the_rms_of_every_step() -> None:
    report = reports.regression_report(20)
    rows = parameter_rows(report)
    heat = heat_map(rows)
    assert heat.steps == tuple(range(20))
    for parameter, cells in zip(heat.parameters, heat.cells, strict=True):
        if parameter.gradients.arrived[0]:
            expected = parameter.gradients.norm[3] / math.sqrt(parameter.count)
            assert cells[3] == pytest.approx(expected)
        else:
            assert set(cells) == {None}


def test_long_runs_are_thinned_and_say_so() -> None:
    report = reports.large_report(1_500, 500)
    heat = heat_map(parameter_rows(report))
    assert len(heat.parameters) == 240
    assert len(heat.steps) == 400
    assert "1,100 steps left out" in heat.left_out
    assert len(loss_series(report.trace)[0].x) <= 600


def test_svg_keeps_pictures_and_drops_everything_else() -> None:
    svg = (
        '<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY x "boom">]>'
        '<svg viewBox="0 0 72 72" xmlns="http://www.w3.org/2000/svg" onload="a()">'
        "<script>alert(1)</script><style>*{}</style>"
        '<g id="n1" class="node" style="x" onclick="b()">'
        '<a href="javascript:c()"><text x="1.23456">&lt;b&gt;</text></a>'
        '<foreignObject><g><text>no</text></g></foreignObject><image href="http://e"/></g></svg>'
    )
    assert inline_svg(svg, "ops", 'a "graph"') == (
        '<svg viewBox="0 0 72 72" width="96" role="img" aria-label="a &quot;graph&quot;">'
        '<g class="node" id="ops-n1"><g><text x="1.2">&lt;b&gt;</text></g></g></svg>'
    )


def test_what_is_no_svg_is_refused() -> None:
    with pytest.raises(ValueError, match="no SVG"):
        inline_svg("<svg><g></svg>", "ops", "graph")


def test_blank_lines_at_the_ends_of_a_listing_are_left_out() -> None:
    source = Source("a.py", 3, "f()")
    listing = Listing(1, ("", "  ", "f()", "", "g()", " ", ""))
    shown = lines_around(source, {("a.py", 3): listing})
    assert [line.number for line in shown] == [3, 4, 5]


def test_pieces_of_a_line_are_one_text() -> None:
    """So that the browser sets them one after the other, however wide its font is."""
    drawn = inline_svg(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><g>'
        '<text x="1" y="5" font-weight="bold">h = f(x) </text>\n<text x="7" y="5">t.py:3</text>'
        '<text x="1" y="8">[2]</text></g><g><text x="9" y="8">other</text></g></svg>',
        "a",
        "name",
    )
    assert drawn.count("<text") == 3
    assert (
        '<text x="1" y="5"><tspan font-weight="bold">h = f(x) </tspan><tspan>t.py:3</tspan></text>'
        in drawn
    )
