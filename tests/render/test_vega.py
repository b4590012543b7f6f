"""Drawing in a child process: what fails there costs that plot, never the report."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from gradscope.errors import ImageError
from gradscope.render import vega
from gradscope.render.html_edge import html_page
from gradscope.render.options import RenderOptions
from gradscope.render.vega import draw_svg
from tests.render import reports

POINT: dict[str, Any] = {"mark": "point", "data": {"values": [{}]}}
BROKEN: dict[str, Any] = {"mark": "no such mark"}
REMOTE: dict[str, Any] = {"mark": "point", "data": {"url": "https://example.org/data.json"}}


def test_one_that_cannot_be_drawn_leaves_the_others() -> None:
    first, broken, last = draw_svg([POINT, BROKEN, POINT])
    assert isinstance(first, str)
    assert first.startswith("<svg")
    assert last == first
    assert isinstance(broken, ImageError)
    assert str(broken).startswith("Vega-Lite to SVG conversion failed: TypeError")


def test_nothing_is_fetched() -> None:
    (drawn,) = draw_svg([REMOTE])
    assert isinstance(drawn, ImageError) or "aria-label" not in drawn


@pytest.mark.parametrize(
    ("child", "reason"),
    [
        ("import os; os.abort()", "killed by signal 6"),
        ("raise SystemExit('no more memory')", "vl-convert: no more memory"),
        ('import sys; sys.stdout.write(\'["svg", "<svg/>\')', "vl-convert: exit code 0"),
        ("import time; time.sleep(60)", "more than 0.5 s"),
    ],
)
def test_a_child_that_dies_is_told(
    monkeypatch: pytest.MonkeyPatch, child: str, reason: str
) -> None:
    monkeypatch.setattr(vega, "_CHILD", child)
    monkeypatch.setattr(vega, "_TIMEOUT", 0.5 if "sleep" in child else 30.0)
    for drawn in draw_svg([POINT, POINT]):
        assert isinstance(drawn, ImageError)
        assert reason in str(drawn)


def test_the_page_comes_without_plots_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vega, "_CHILD", "import os; os.abort()")
    html = html_page(reports.accumulated_report(), RenderOptions())
    assert 'class="plot' not in html
    assert html.count("is missing: vl-convert was killed by signal 6") == 4
    assert "The plot “Loss and gradient norm over steps” is missing" in html


def test_what_is_no_picture_is_told_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    child = 'import sys\nfor _ in sys.stdin: print(\'["svg", "<svg><g></svg>"]\')'
    monkeypatch.setattr(vega, "_CHILD", child)
    html = html_page(reports.accumulated_report(), RenderOptions())
    assert html.count("is missing: the plot is no SVG: ") == 4


def test_only_the_plot_that_ends_the_child_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    child = "import os, sys\nfor line in sys.stdin: 'bad' in line and os.abort(); "
    monkeypatch.setattr(vega, "_CHILD", child + 'print(\'["svg", "<svg/>"]\', flush=True)')
    first, bad, last = draw_svg([POINT, {"mark": "bad"}, POINT])
    assert first == last == "<svg/>"
    assert isinstance(bad, ImageError)


def test_a_machine_with_little_address_space_still_gets_its_page() -> None:
    """V8 ends its process where ``ulimit -v`` is set, as on many clusters; not this one."""
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))\n"
        "from gradscope.render.html_edge import html_page\n"
        "from gradscope.render.options import RenderOptions\n"
        "from tests.render import reports\n"
        "print(html_page(reports.accumulated_report(), RenderOptions()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "</html>" in done.stdout


def test_a_run_without_plots_loads_nothing_for_them() -> None:
    code = (
        "import sys\n"
        "from gradscope.render.html_edge import html_page\n"
        "from gradscope.render.options import RenderOptions\n"
        "from tests.render import reports\n"
        "html_page(reports.scalar_report(), RenderOptions())\n"
        "print(sorted({'altair', 'vl_convert'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
